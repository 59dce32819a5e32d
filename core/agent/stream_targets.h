#pragma once

#include <string>
#include <vector>

#include "core/agent/container_runtime.h"
#include "store/object.h"

namespace wherry {

// What exec, attach and port-forward need to know of a pod. A look at one moment: a container may end right after it.
struct ContainerTarget {
  ContainerRuntime* runtime = nullptr;
  std::string id;                                 // ContainerSpec::id of the current run
  std::string container;                          // its name
  bool in = false, in_once = false, tty = false;  // spec.stdin, stdinOnce, tty
};

struct AddressTarget {
  std::vector<std::string> addresses;  // where its ports may be served, in the order to try
  int privileged_port_offset = 0;
};

}  // namespace wherry
