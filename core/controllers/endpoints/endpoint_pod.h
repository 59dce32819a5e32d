#pragma once

#include <string>
#include <vector>

#include "store/json.h"

namespace wherry {

// What the endpoints of Services depend on in a pod: `object->view<EndpointPodView>()`. While two of these are equal
// (and the labels), no Service has to be looked at.
struct EndpointPodView {
  explicit EndpointPodView(const Json& pod);

  std::string ip, node_name, hostname, subdomain;
  bool ready = false;     // condition Ready
  bool terminal = false;  // Succeeded or Failed: no endpoint any more
  bool deleting = false;
  struct Port {
    std::string name, protocol;
    int port = 0;
    bool operator==(const Port&) const = default;
  };
  std::vector<Port> ports;  // the named ones, of containers and sidecars

  bool operator==(const EndpointPodView&) const = default;
  // 0 when no container has a port of that name and protocol.
  int FindPort(const std::string& name, const std::string& protocol) const;
};

}  // namespace wherry
