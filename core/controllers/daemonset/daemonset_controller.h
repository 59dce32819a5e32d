#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// Runs one pod of each DaemonSet on every node that should have one (docs/daemonset.md). Level-triggered: a reconcile
// takes a snapshot, lets PlanDaemonSet decide, acts, and writes the status when it changed.
ControllerSpec DaemonSetController(RuntimeContext context);

}  // namespace wherry
