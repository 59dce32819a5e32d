#pragma once

#include <cstdint>

#include "core/kinds/taints.h"
#include "store/json.h"

namespace wherry {

// Which nodes a pod may run on, as the scheduler and the DaemonSet controller both decide it. Pure functions of
// documents; whatever a schema would refuse matches nothing.

// The pod's nodeSelector and required node affinity. Terms are OR-ed, a term's requirements AND-ed, an empty term
// matches nothing (API docs of NodeSelector).
bool MatchesNodeAffinity(const Json& pod_spec, const Json& node);
// A NodeSelector ({nodeSelectorTerms}) alone.
bool MatchesNodeSelector(const Json& node_selector, const Json& node);
// The sum of the weights of the preferred terms that the node matches; an empty preference matches every node.
int64_t PreferredNodeScore(const Json& pod_spec, const Json& node);

}  // namespace wherry
