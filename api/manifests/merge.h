#pragma once

#include <string>

#include "store/json.h"

namespace wherry {

// What `apply` remembers of the last manifest, so that it can tell a field taken out of the manifest from one that the
// server or a controller has added. The same annotation as kubectl's: the two may take turns.
inline constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

// The manifest with that annotation set to its own text, and without what no manifest decides: status, and a
// creationTimestamp of null.
Json WithLastApplied(Json manifest);

// The JSON merge patch (RFC 7386) that brings `live` to `wanted`, a result of WithLastApplied:
//  - a field of `wanted` that `live` does not have, or has otherwise, is set;
//  - a field that the last applied manifest had and `wanted` has not is removed;
//  - any other field of `live` is left alone: somebody else owns it.
// Lists are one value: replaced as a whole, with the wanted one, when the live list lacks something that is wanted, or
// when the manifest's list changed. Fields that the server adds to list elements (defaults) make no difference. An
// empty object when nothing is to be done.
Json ThreeWayMergePatch(const Json& wanted, const Json& live);

}  // namespace wherry
