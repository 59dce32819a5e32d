#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// Keeps the status of PodDisruptionBudgets: how many pods may be evicted just now (docs/policy.md). Evictions spend it
// (core/registry/eviction.h).
ControllerSpec DisruptionController(RuntimeContext context);

}  // namespace wherry
