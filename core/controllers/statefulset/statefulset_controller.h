#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// Keeps the pods of each StatefulSet: one per ordinal, with a name, host name and storage of its own that outlive it
// (docs/statefulset.md). Level-triggered: a reconcile takes a snapshot, lets PlanStatefulSet decide, acts, and writes
// the status when it changed.
ControllerSpec StatefulSetController(RuntimeContext context);

}  // namespace wherry
