#include "core/scheduler/toleration.h"

#include <nlohmann/json.hpp>

#include "core/runtime/object_view.h"

namespace wherry {

std::vector<Taint> ReadTaints(const Json& node) {
  std::vector<Taint> taints;
  const Json* list = FindPath(node, "spec.taints");
  if (list == nullptr || !list->is_array()) return taints;
  for (const Json& item : *list) taints.push_back({StringAt(item, "key"), StringAt(item, "value"), StringAt(item, "effect")});
  return taints;
}

std::vector<Toleration> ReadTolerations(const Json& pod_spec) {
  std::vector<Toleration> tolerations;
  const Json* list = FindPath(pod_spec, "tolerations");
  if (list == nullptr || !list->is_array()) return tolerations;
  for (const Json& item : *list) {
    tolerations.push_back(
        {StringAt(item, "key"), StringAt(item, "operator"), StringAt(item, "value"), StringAt(item, "effect")});
  }
  return tolerations;
}

}  // namespace wherry
