#pragma once

#include <cstdint>
#include <string>

#include "store/object.h"

namespace wherry {

// The ReplicaSet of a Deployment's current template: named by its hash, which its selector and labels carry too.
Json NewReplicaSet(const Object& deployment, const std::string& hash, int64_t revision, int64_t replicas);

}  // namespace wherry
