#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// How long a node may be silent (neither lease nor heartbeat) before it counts as unreachable.
inline constexpr Duration kNodeGrace = std::chrono::seconds(40);

// Watches over nodes: a silent one's conditions become Unknown and its pods not ready; taints follow conditions
// (Kubernetes: "Taint nodes by condition"): not-ready and unreachable with NoSchedule and NoExecute, pressure, network
// and spec.unschedulable with NoSchedule.
//
// Renewals of leases cost nothing here: a node's silence is found by one timer per node that reads the lease when it
// fires. A jump of the wall clock (a laptop that slept) and the start of the server give every
// node its full grace again.
ControllerSpec NodeLifecycleController(RuntimeContext context);

// Deletes the pods of a node that do not tolerate its NoExecute taints, or no longer (tolerationSeconds).
ControllerSpec TaintEvictionController(RuntimeContext context);

// How many pods that ended on their own are kept before the oldest go.
inline constexpr size_t kFinishedPodsKept = 12'500;

// Removes the pods of nodes that are gone: at once when the node is deleted, after a quarantine when a pod names a node
// that was never there. Their agent cannot confirm anything any more, so they are marked Failed and go without grace.
// So do the pods that were told to go on a node that is not ready and has the taint
// node.kubernetes.io/out-of-service: somebody vouches that nothing runs there any more.
// Of the pods that ended, the oldest go when there are more than `finished_kept`; those that were evicted first.
ControllerSpec PodGarbageController(RuntimeContext context, size_t finished_kept = kFinishedPodsKept);

}  // namespace wherry
