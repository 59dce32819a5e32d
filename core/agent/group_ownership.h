#pragma once

#include <cstdint>
#include <string>

#include "store/status.h"

namespace wherry {

// spec.securityContext.fsGroup: gives everything at and below `path` to the group, which may then read and write it and
// owns what is made there later. Walks by descriptors and follows no link, since a pod's own processes may be changing
// the tree meanwhile. What was given before is not walked through again. Needs root. Blocks for the file operations.
Status GiveTreeToGroup(const std::string& path, int64_t group);

}  // namespace wherry
