#include "core/controllers/node_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/runtime/object_view.h"

namespace wherry {

uint64_t Fnv1a64(std::string_view text, uint64_t seed) {
  for (const char c : text) seed = (seed ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return seed;
}

NodeView::NodeView(const Json& node) {
  name = StringAt(node, "metadata.name");
  ParseTime(StringAt(node, "metadata.creationTimestamp"), &created);
  if (const Json* found = FindPath(node, "metadata.labels"); found && found->is_object()) {
    for (auto it = found->begin(); it != found->end(); ++it) {
      if (it->is_string()) labels.emplace_back(it.key(), it->get<std::string>());
    }
  }
  taints = ParseTaints(At(node, "spec.taints"));
  unschedulable = BoolAt(node, "spec.unschedulable");
  if (const Json* conditions = FindPath(node, "status.conditions"); conditions && conditions->is_array()) {
    for (const Json& condition : *conditions) {
      const std::string type = StringAt(condition, "type"), status = StringAt(condition, "status");
      if (type == "Ready") {
        ready = status;
        ParseTime(StringAt(condition, "lastHeartbeatTime"), &heartbeat);
      } else if (status == "True") {
        bad.push_back(type);
      }
    }
  }
  // Zero bytes between the parts: no two nodes that differ look alike.
  const std::string_view zero("\0", 1);
  auto mix = [&](std::string_view part) { placement_hash = Fnv1a64(zero, Fnv1a64(part, placement_hash)); };
  placement_hash = Fnv1a64(name);
  for (const auto& [key, value] : labels) mix(key), mix(value);
  mix("taints");
  for (const Taint& taint : taints) mix(taint.key), mix(taint.value), mix(TaintEffectName(taint.effect));
}

const std::string* NodeView::label(std::string_view key) const {
  auto it = std::lower_bound(labels.begin(), labels.end(), key,
                             [](const auto& pair, std::string_view wanted) { return pair.first < wanted; });
  return it != labels.end() && it->first == key ? &it->second : nullptr;
}

}  // namespace wherry
