#pragma once

#include <string>

#include "core/registry/client.h"

namespace wherry {

// Where what the cluster itself serves is found.
struct BootstrapAddresses {
  std::string kubernetes;  // cluster IP of default/kubernetes
  std::string api;         // where the API server listens: the endpoint of that Service
  int api_port = 6443;
  std::string dns;    // cluster IP of kube-system/kube-dns; "" = there is no responder
  int dns_port = 53;  // where it listens
};

// The objects every cluster begins with: the system namespaces, the two system priority classes, the default storage
// class, and the Services of the API server and the DNS responder. Creates what is absent and leaves what is there
// alone, but for where the server itself is found, which may be elsewhere at each start. The first error that is not
// "already exists" ends it.
Task<Status> Bootstrap(Client& client, BootstrapAddresses addresses);

}  // namespace wherry
