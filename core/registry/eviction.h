#pragma once

#include "core/registry/registry.h"

namespace wherry {

// Deletes a pod on somebody's wish (drain), when its disruption budget allows it (policy/v1, KEP-85): takes one
// disruption from the budget, marks the pod with the condition DisruptionTarget, and deletes it. The answer as
// Registry::Delete.
//
// kTooManyRequests with cause DisruptionBudget when the budget has none left or has not been counted yet;
// kInternalError when several budgets cover the pod. Pods that are finished, pending or already going need no leave,
// nor, by spec.unhealthyPodEvictionPolicy, do some that are not ready.
Task<Result<ObjectPtr>> Evict(Registry& registry, ObjectPtr pod, DeleteOptions options, RequestContext context);

}  // namespace wherry
