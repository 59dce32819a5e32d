#pragma once

#include <string>

#include "core/registry/client.h"

namespace wherry {

// The objects every cluster begins with: the system namespaces, the two system priority classes and the default/kubernetes Service.
// Creates what is absent and leaves what is there alone. The first error that is not "already exists" ends it.
Task<Status> Bootstrap(Client& client);

}  // namespace wherry
