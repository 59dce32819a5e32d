#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <system_error>

#include "core/network/balancer.h"
#include "core/network/service_rule.h"
#include "core/runtime/clock.h"

namespace wherry {

// A place where a Service is served, TCP or UDP. Proxy thread only; owned by the Proxy through shared_ptr, and by its
// own handlers while they wait.
class Listener {
 public:
  virtual ~Listener() = default;
  // Takes the place; the error the kernel gives if it cannot. Bound is not yet served.
  virtual std::error_code Bind(uint32_t address, uint16_t port) = 0;
  // Serves, or refuses everybody while there is nobody to serve them.
  virtual std::error_code SetOpen(bool open) = 0;
  // Goes on taking in clients after the limit was reached.
  virtual void Resume() {}
  // Lets go of clients whose backend is no longer in use; connections of TCP live on.
  virtual void BackendsChanged() {}
  virtual void Close() = 0;
};

// Accepts connections. `accept` takes ownership of the descriptor; false = no more for now, Resume says when.
std::shared_ptr<Listener> NewTcpListener(asio::io_context& io, Clock& clock,
                                         std::function<bool(int fd, uint32_t client)> accept);

struct UdpOptions {
  Duration idle = std::chrono::seconds(60);  // a flow ends after so long without a datagram, either way
  size_t max_flows = 1024;                   // of one listener; beyond it the one longest idle ends
};
// The backend for a new client of UDP; a Backend without address refuses.
using PickBackend = std::function<Backend(uint32_t client)>;
// Datagrams of one client go to one backend for as long as they come, and answers back. `uses` tells whether a backend
// may still be used; `count` is told of every flow made (+1) and ended (-1).
std::shared_ptr<Listener> NewUdpListener(asio::io_context& io, Clock& clock, UdpOptions options, PickBackend pick,
                                         std::function<bool(const Backend&)> uses, std::function<void(int)> count);

}  // namespace wherry
