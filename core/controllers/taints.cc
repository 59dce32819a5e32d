#include "core/controllers/taints.h"

#include <nlohmann/json.hpp>

#include "core/runtime/object_view.h"

namespace wherry {

std::string NodeTaint::ToString() const { return key + (value.empty() ? "" : "=" + value) + ":" + effect; }

bool PodToleration::Tolerates(const NodeTaint& taint) const {
  if (!effect.empty() && effect != taint.effect) return false;
  if (!key.empty() && key != taint.key) return false;
  if (op == "Exists") return true;
  return !key.empty() && value == taint.value;
}

std::vector<NodeTaint> ReadTaints(const Json& node) {
  std::vector<NodeTaint> out;
  const Json* taints = FindPath(node, "spec.taints");
  if (!taints || !taints->is_array()) return out;
  for (const Json& taint : *taints) {
    out.push_back({StringAt(taint, "key"), StringAt(taint, "value"), StringAt(taint, "effect"), std::nullopt});
    Time added;
    if (ParseTime(StringAt(taint, "timeAdded"), &added)) out.back().time_added = added;
  }
  return out;
}

std::vector<PodToleration> ReadTolerations(const Json& pod_spec) {
  std::vector<PodToleration> out;
  const Json* tolerations = FindPath(pod_spec, "tolerations");
  if (!tolerations || !tolerations->is_array()) return out;
  for (const Json& toleration : *tolerations) {
    out.push_back({StringAt(toleration, "key"), StringAt(toleration, "operator"), StringAt(toleration, "value"),
                   StringAt(toleration, "effect"), std::nullopt});
    if (FindPath(toleration, "tolerationSeconds")) out.back().seconds = IntAt(toleration, "tolerationSeconds");
  }
  return out;
}

Json ToJson(const NodeTaint& taint) {
  Json out = {{"key", taint.key}, {"effect", taint.effect}};
  if (!taint.value.empty()) out["value"] = taint.value;
  if (taint.time_added) out["timeAdded"] = FormatTime(*taint.time_added);
  return out;
}

}  // namespace wherry
