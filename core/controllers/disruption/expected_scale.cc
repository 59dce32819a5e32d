#include "core/controllers/disruption/expected_scale.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// The kinds that have a scale, and where they are kept.
struct ScaledKind {
  std::string_view kind, group, resource;
};
constexpr ScaledKind kScaled[] = {{"ReplicaSet", "apps", resources::kReplicaSets},
                                  {"Deployment", "apps", resources::kDeployments},
                                  {"StatefulSet", "apps", resources::kStatefulSets},
                                  {"ReplicationController", "", resources::kReplicationControllers}};

std::string GroupOf(const OwnerRef& owner) {
  const size_t slash = owner.api_version.find('/');
  return slash == std::string::npos ? std::string() : owner.api_version.substr(0, slash);
}

ObjectPtr Find(const WatchCache& cache, const std::string& ns, const OwnerRef& owner, bool* scaled) {
  const std::string group = GroupOf(owner);
  *scaled = false;
  for (const ScaledKind& known : kScaled) {
    if (known.kind != owner.kind || known.group != group) continue;
    *scaled = true;
    ObjectPtr found = cache.Get(known.resource, ns, owner.name);
    return found && found->uid() == owner.uid ? found : nullptr;
  }
  return nullptr;
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
