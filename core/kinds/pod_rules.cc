#include "core/kinds/pod_rules.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"

namespace wherry {
namespace {

void Add(ResourceList& to, const ResourceList& from) {
  for (const auto& [name, quantity] : from) to[name] += quantity;
}

void TakeLarger(ResourceList& to, const ResourceList& from) {
  for (const auto& [name, quantity] : from) {
    const auto [it, inserted] = to.try_emplace(name, quantity);
    if (!inserted && it->second.Compare(quantity) < 0) it->second = quantity;
  }
}

// cpu and memory only, without zeros: what a quality of service is judged by.
ResourceList Compute(const Json& resources) {
  ResourceList out;
  for (auto& [name, quantity] : ParseResources(resources)) {
    if ((name == "cpu" || name == "memory") && quantity.Compare(Quantity()) > 0) out.emplace(name, quantity);
  }
  return out;
}

}  // namespace

ResourceList ParseResources(const Json& resources) {
  ResourceList out;
  if (!resources.is_object()) return out;
  for (const auto& [name, value] : resources.items()) {
    if (!value.is_string()) continue;
    const Result<Quantity> quantity = Quantity::Parse(value.get_ref<const std::string&>());
    if (quantity.ok()) out.emplace(name, *quantity);
  }
  return out;
}

namespace {

// `list` is "requests" or "limits".
ResourceList PodSum(const Json& pod, const std::string& list) {
  const Json& spec = At(pod, "spec");
  const std::string of = "resources." + list;
  ResourceList total, sidecars, largest_init;
  for (const Json& container : ListAt(spec, "containers")) Add(total, ParseResources(At(container, of)));
  // An init container runs beside the sidecars that were started before it.
  for (const Json& container : ListAt(spec, "initContainers")) {
    const ResourceList own = ParseResources(At(container, of));
    if (StringAt(container, "restartPolicy") == "Always") {
      Add(total, own);
      Add(sidecars, own);
      TakeLarger(largest_init, sidecars);
    } else {
      ResourceList together = sidecars;
      Add(together, own);
      TakeLarger(largest_init, together);
    }
  }
  TakeLarger(total, largest_init);
  for (const auto& [name, quantity] : ParseResources(At(spec, of))) total[name] = quantity;
  return total;
}

}  // namespace

ResourceList PodRequests(const Json& pod) {
  ResourceList total = PodSum(pod, "requests");
  Add(total, ParseResources(At(pod, "spec.overhead")));
  return total;
}

ResourceList PodLimits(const Json& pod) {
  ResourceList total = PodSum(pod, "limits");
  for (const auto& [name, quantity] : ParseResources(At(pod, "spec.overhead"))) {
    if (auto it = total.find(name); it != total.end()) it->second += quantity;  // no limit stays none
  }
  return total;
}

std::string QosClass(const Json& pod) {
  ResourceList requests, limits;
  bool guaranteed = true;
  for (const char* list : {"spec.containers", "spec.initContainers"}) {
    for (const Json& container : ListAt(pod, list)) {
      Add(requests, Compute(At(container, "resources.requests")));
      const ResourceList own = Compute(At(container, "resources.limits"));
      guaranteed = guaranteed && own.size() == 2;
      Add(limits, own);
    }
  }
  if (requests.empty() && limits.empty()) return "BestEffort";
  const bool equal = std::all_of(requests.begin(), requests.end(), [&](const auto& request) {
    const auto limit = limits.find(request.first);
    return limit != limits.end() && limit->second.Compare(request.second) == 0;
  });
  return guaranteed && equal && requests.size() == limits.size() ? "Guaranteed" : "Burstable";
}

std::string DefaultPullPolicy(std::string_view image) {
  const size_t at = image.find('@');
  const bool digest = at != std::string_view::npos;
  image = image.substr(0, at);
  if (const size_t slash = image.rfind('/'); slash != std::string_view::npos) image.remove_prefix(slash + 1);
  const size_t colon = image.find(':');
  if (colon == std::string_view::npos) return digest ? "IfNotPresent" : "Always";
  return image.substr(colon + 1) == "latest" ? "Always" : "IfNotPresent";
}

}  // namespace wherry
