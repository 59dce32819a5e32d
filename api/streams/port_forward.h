#pragma once

#include <asio/ip/address.hpp>
#include <cstdint>
#include <vector>

#include "api/http/exchange.h"
#include "core/runtime/clock.h"

namespace wherry::streams {

// Where a pod's port may be served, in the order to try.
struct PortTarget {
  std::vector<std::string> addresses;
  int privileged_port_offset = 0;  // added to ports below 1024 that nobody answers at
  std::string name;                // of the pod, for messages: "default/web-0"
};

// Serves one port-forward request to its end: SPDY as kubectl speaks it, bare or inside a WebSocket, or the channels of
// v4.channel.k8s.io with `ports` from the query. Each connection of the client becomes one to the pod. Bounded: what
// the pod or the client does not take is not read.
Task<> ServePortForward(http::ExchangePtr exchange, asio::any_io_executor executor, Clock& clock, PortTarget target);

}  // namespace wherry::streams
