#pragma once

#include "core/registry/registry.h"

namespace wherry {

// Asks the disruption budgets that cover a pod for leave to evict it, and takes one disruption from them (policy/v1,
// KEP-85). kTooManyRequests with cause DisruptionBudget when a budget has none left; kInternalError when several
// budgets cover the pod. Pods that are finished, unbound or already going need no leave.
Task<Status> SpendDisruption(Registry& registry, ObjectPtr pod, RequestContext context);

}  // namespace wherry
