#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// Rolls the pods of Deployments from one template to the next by sizing ReplicaSets (docs/deployment.md).
// Level-triggered: a reconcile takes a snapshot, lets PlanDeployment decide, acts, and writes the status when it
// changed.
ControllerSpec DeploymentController(RuntimeContext context);

}  // namespace wherry
