#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/controllers/deployment/deployment_plan.h"
#include "core/runtime/time.h"

namespace wherry {

// What a reconcile did that status.conditions has to tell.
struct RolloutNews {
  std::string created;        // the ReplicaSet just made, "" = none
  std::string found;          // the one that was there for the current template, "" = none
  std::string create_failed;  // why none could be made, "" = it could
};

// The new conditions of a Deployment, by upstream's rules and reasons: Available, Progressing (unless there is no
// progressDeadlineSeconds) and ReplicaFailure. `inputs` is the snapshot after acting; its DeploymentView still has the
// status of before.
struct RolloutReport {
  DeploymentCounters counters;
  std::vector<DeploymentCondition> conditions;
  Duration requeue_after{0};  // > 0: when the progress deadline will have passed
};
// `judge_progress`: false while the Deployment is paused or resized.
RolloutReport ReportRollout(const DeploymentInputs& inputs, const RolloutNews& news, bool judge_progress, Time now);

// The status document. Conditions of others stay.
Json DeploymentStatusDocument(const RolloutReport& report, const DeploymentView& deployment);

}  // namespace wherry
