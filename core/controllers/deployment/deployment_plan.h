#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/controllers/deployment/deployment_view.h"

namespace wherry {

// One of the Deployment's ReplicaSets. The view outlives the planning.
struct RolloutSet {
  std::string_view name;
  const RolloutSetView* view = nullptr;
};

// Everything one decision about a Deployment rests on: a snapshot.
struct DeploymentInputs {
  const DeploymentView* deployment = nullptr;
  std::optional<RolloutSet> newest;  // the one of the current template; none = not made yet
  std::vector<RolloutSet> old;       // all others
  bool old_pods_left = false;        // of the others: any that has not ended, going ones included
};

// What to do, in this order.
struct DeploymentPlan {
  struct Scale {
    std::string name;
    int64_t from = 0, to = 0;  // equal: only the annotations that tell the Deployment's size are brought up to date
    bool operator==(const Scale&) const = default;
  };
  std::optional<int64_t> create;  // the ReplicaSet of the current template, with so many replicas
  std::vector<Scale> scales;
  std::vector<std::string> removals;  // ReplicaSets that the history has no room for
  bool resizing = false;              // the Deployment is paused or was scaled: progress is not judged
};

// The decision, pure. Small steps: it is asked again whenever a ReplicaSet has changed.
DeploymentPlan PlanDeployment(const DeploymentInputs& inputs);

// True when every wanted pod is of the current template and available, and there are no others.
bool IsComplete(const DeploymentView& deployment, const DeploymentCounters& counters);

// The numbers of status, from the same snapshot.
DeploymentCounters CountReplicas(const DeploymentInputs& inputs);

}  // namespace wherry
