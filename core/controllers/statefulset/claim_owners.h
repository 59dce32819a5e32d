#pragma once

#include <cstdint>
#include <string>

#include "core/controllers/statefulset/statefulset_view.h"
#include "store/json.h"

namespace wherry {

// Who shall own a claim, by the set's persistentVolumeClaimRetentionPolicy (KEP-1847): the set when claims go with it,
// the pod when it is leaving the range and claims go with that, else nobody. `owners` is the claim's
// metadata.ownerReferences (may be null); the answer is what they shall be. Pure.
struct ClaimPod {  // of the claim's ordinal; uid "" = there is none
  std::string name, uid;
};
Json ClaimOwners(const StatefulSetView& set, int64_t ordinal, const ClaimPod& pod, const Json& owners);

// True when a claim belongs to a pod of that ordinal that is gone: the garbage collector is about to take it.
bool ClaimIsLeaving(const StatefulSetView& set, int64_t ordinal, const std::string& pod_uid, const Json& owners);

// True when somebody else manages the claim: its owners are left alone.
bool ClaimHasOtherController(const StatefulSetView& set, int64_t ordinal, const Json& owners);

}  // namespace wherry
