#pragma once

#include <string>

#include "core/registry/client.h"

namespace wherry {

// The objects every cluster begins with: the system namespaces, the two system priority classes, the
// default storage class and the default/kubernetes Service. `address` is that Service's cluster IP, `port` the server's
// own port on 127.0.0.1. Creates what is absent and leaves what is there alone. The first error that is not "already
// exists" ends it.
Task<Status> Bootstrap(Client& client, std::string address, int port);

}  // namespace wherry
