#include "core/controllers/disruption/expected_scale.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/controllers/scaled_kinds.h"
#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

std::string GroupOf(const OwnerRef& owner) { return GroupOfApiVersion(owner.api_version); }

ObjectPtr Find(const WatchCache& cache, const std::string& ns, const OwnerRef& owner, bool* scaled) {
  const std::string_view resource = ScaledResource(GroupOf(owner), owner.kind);
  *scaled = !resource.empty();
  if (resource.empty()) return nullptr;
  ObjectPtr found = cache.Get(resource, ns, owner.name);
  return found && found->uid() == owner.uid ? found : nullptr;
}

std::string ResourceName(const OwnerRef& owner) {
  std::string plural = owner.kind + "s";
  std::transform(plural.begin(), plural.end(), plural.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::string group = GroupOf(owner);
  return group.empty() ? plural : plural + "." + group;
}

}  // namespace

Result<ExpectedScale> FindExpectedScale(const WatchCache& cache, const std::vector<ObjectPtr>& pods) {
  ExpectedScale out;
  std::set<std::string> counted;  // owners of pods, and their owners
  for (const ObjectPtr& pod : pods) {
    const OwnerRef* owner = pod->view<MetaView>().controller();
    if (!owner) {
      out.unmanaged.push_back(pod->name());
      continue;
    }
    if (!counted.insert(owner->uid).second) continue;
    bool scaled = false;
    ObjectPtr controller = Find(cache, pod->ns(), *owner, &scaled);
    if (!scaled) return Status::Internal(ResourceName(*owner) + " does not implement the scale subresource");
    if (!controller) return Status::Internal("found no controllers for pod \"" + pod->name() + "\"");
    if (const OwnerRef* above = controller->view<MetaView>().controller(); above && above->kind == "Deployment") {
      if (ObjectPtr deployment = Find(cache, pod->ns(), *above, &scaled)) {
        if (!counted.insert(above->uid).second) continue;
        controller = std::move(deployment);
      }
    }
    const JsonPtr document = controller->json();
    out.scale += IntAt(*document, "spec.replicas", 1);
  }
  return out;
}

}  // namespace wherry
