#pragma once

#include <string>
#include <vector>

#include "store/object.h"

namespace wherry {

// The pod of one ordinal as `revision` (a ControllerRevision of the set) has it: name, host name, subdomain, labels,
// owner, and the volumes of its claims.
Json StatefulPodFor(const Object& set, const Object& revision, int64_t ordinal);

// Puts the labels on a pod that say which one it is.
void LabelStatefulPod(Json& pod, int64_t ordinal);

// The claims of one ordinal, from the volumeClaimTemplates, without owners.
std::vector<Json> ClaimsFor(const Object& set, int64_t ordinal);

}  // namespace wherry
