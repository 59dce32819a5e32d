#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/json.h"

namespace wherry {

// An EndpointSlice as those who serve it read it: `object->view<SliceView>()`. Only IPv4 endpoints are in it.
struct SliceView {
  explicit SliceView(const Json& slice);

  struct Endpoint {
    uint32_t address = 0;
    bool ready = true, serving = true, terminating = false;
    std::string hostname, node;
    std::string pod, pod_uid;  // of targetRef, when that is a Pod
  };
  struct Port {
    std::string name, protocol;
    int port = 0;
  };
  std::vector<Endpoint> endpoints;
  std::vector<Port> ports;
};

// Dotted quad to host byte order; 0 when it is none.
uint32_t ParseIpv4(const std::string& text);

}  // namespace wherry
