#pragma once

#include <string>

#include "core/kinds/selector.h"
#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// What the planner needs of a ReplicaSet: `object->view<ReplicaSetView>()`.
struct ReplicaSetView {
  ReplicaSetView() = default;
  explicit ReplicaSetView(const Json& set);

  int64_t generation = 0;
  bool deleting = false;
  int64_t replicas = 1;
  Duration min_ready{0};
  LabelSelector selector = LabelSelector::Nothing();
  LabelSelector template_labels;  // matches pods that carry every label of the template
};

// The same of a ReplicationController, whose selector is a plain map.
struct ReplicationControllerView : ReplicaSetView {
  explicit ReplicationControllerView(const Json& controller);
};

}  // namespace wherry
