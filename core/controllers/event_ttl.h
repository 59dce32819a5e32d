#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// How long an Event is kept after it was last written.
inline constexpr Duration kEventTtl = std::chrono::hours(1);

// Deletes Events that have reached their age, a bounded number at a time. It remembers when each was written in a queue
// ordered by time, so nothing is searched and one timer serves all.
ControllerSpec EventTtlController(RuntimeContext context);

}  // namespace wherry
