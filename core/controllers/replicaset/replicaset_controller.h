#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// Keep as many pods as spec.replicas says (docs/deployment.md). Level-triggered: a reconcile takes a snapshot, lets
// PlanReplicaSet decide, acts, and writes the status when it changed.
ControllerSpec ReplicaSetController(RuntimeContext context);
ControllerSpec ReplicationControllerController(RuntimeContext context);

}  // namespace wherry
