#include "core/controllers/replicaset/replicaset_view.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/fields.h"

namespace wherry {

ReplicaSetView::ReplicaSetView(const Json& set) {
  generation = IntAt(set, "metadata.generation");
  deleting = FindPath(set, "metadata.deletionTimestamp") != nullptr;
  replicas = IntAt(set, "spec.replicas", 1);
  min_ready = std::chrono::seconds(IntAt(set, "spec.minReadySeconds"));
  if (const Json* found = FindPath(set, "spec.selector")) {
    Result<LabelSelector> parsed = LabelSelector::FromJson(*found);
    // One that selects everything would take every pod of the namespace; validation refuses it.
    if (parsed.ok() && !parsed->empty()) selector = std::move(*parsed);
  }
  template_labels = LabelSelector::FromMap(At(set, "spec.template.metadata.labels"));
}

ReplicationControllerView::ReplicationControllerView(const Json& controller) : ReplicaSetView(controller) {
  LabelSelector parsed = LabelSelector::FromMap(At(controller, "spec.selector"));
  selector = parsed.empty() ? LabelSelector::Nothing() : std::move(parsed);
}

}  // namespace wherry
