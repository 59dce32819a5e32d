#include "core/controllers/daemonset/daemonset_view.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/runtime/object_view.h"

namespace wherry {

DaemonSetView::DaemonSetView(const Json& set) {
  ns = StringAt(set, "metadata.namespace");
  name = StringAt(set, "metadata.name");
  uid = StringAt(set, "metadata.uid");
  generation = IntAt(set, "metadata.generation");
  deleting = FindPath(set, "metadata.deletionTimestamp") != nullptr;
  if (const Json* annotations = FindPath(set, "metadata.annotations")) {
    if (auto it = annotations->find(kDaemonTemplateGeneration); it != annotations->end() && it->is_string()) {
      template_generation = *it;
    }
  }
  if (const Json* found = FindPath(set, "spec.selector")) {
    Result<LabelSelector> parsed = LabelSelector::FromJson(*found);
    if (parsed.ok()) selector = std::move(*parsed);
    selects_all = selector.empty();
  }
  min_ready = std::chrono::seconds(IntAt(set, "spec.minReadySeconds"));
  revision_history_limit = IntAt(set, "spec.revisionHistoryLimit", 10);
  on_delete = StringAt(set, "spec.updateStrategy.type") == "OnDelete";
  const Json* rolling = FindPath(set, "spec.updateStrategy.rollingUpdate");
  if (!rolling) return;
  const std::optional<IntOrPercent> unavailable = IntOrPercent::FromJson(FindPath(*rolling, "maxUnavailable"));
  const std::optional<IntOrPercent> surge = IntOrPercent::FromJson(FindPath(*rolling, "maxSurge"));
  if (unavailable) max_unavailable = *unavailable;
  if (surge) max_surge = *surge;
}

}  // namespace wherry
