#pragma once

#include "core/kinds/kind.h"

namespace wherry {

// RFC 6902. All or nothing. kBadRequest when `patch` is no list of operations; kInvalid when an operation fails.
Result<Json> ApplyJsonPatch(const Json& document, const Json& patch);

// RFC 7386.
Json ApplyMergePatch(Json document, const Json& patch);

// Strategic merge patch by the type's patch strategies, with every directive: $patch, $deleteFromPrimitiveList,
// $setElementOrder, $retainKeys (API conventions, "Strategic merge patch"). kBadRequest when an element lacks its merge
// key.
Result<Json> ApplyStrategicMergePatch(const Type& type, Json document, const Json& patch);

}  // namespace wherry
