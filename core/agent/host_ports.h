#pragma once

#include <vector>

#include "store/json.h"
#include "store/object.h"

namespace wherry {

// A pod asks for a host port that one of `others`, on the same node, has.
bool HostPortTaken(const Json& pod, const std::vector<ObjectPtr>& others);
// Whether it asks for any.
bool WantsHostPorts(const Json& pod);

}  // namespace wherry
