#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// Makes a Job at each moment of a CronJob's schedule (docs/jobs.md). Woken by a timer at the next moment, by changes of
// the CronJob, and when one of its Jobs comes, ends or goes.
ControllerSpec CronJobController(RuntimeContext context);

}  // namespace wherry
