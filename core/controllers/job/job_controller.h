#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// Runs pods of a Job until enough of them have succeeded (docs/jobs.md). Level-triggered: a reconcile takes a snapshot,
// lets PlanJob decide, acts, and writes the status when it changed.
ControllerSpec JobController(RuntimeContext context);

// Deletes finished Jobs, with their pods, spec.ttlSecondsAfterFinished after they finished.
ControllerSpec JobTtlController(RuntimeContext context);

}  // namespace wherry
