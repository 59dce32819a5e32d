#pragma once

#include <asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "core/network/balancer.h"
#include "core/network/listeners.h"
#include "core/network/service_rule.h"
#include "core/network/tcp_relay.h"
#include "core/runtime/clock.h"

namespace wherry {

struct ProxyOptions {
  size_t max_connections = 16384;  // of all Services together; more wait in the kernel's queues
  UdpOptions udp;
  // Added to ports below 1024 when they may not be bound; 0 = such ports are asked for as they are.
  int privileged_port_offset = 0;
  Duration retry_first = std::chrono::seconds(1), retry_most = std::chrono::seconds(60);  // of a port that is taken
};

// What became of a place where a Service was to be served.
struct ListenReport {
  enum class What : uint8_t { kShifted, kTaken, kRefused };
  What what;
  std::string service;  // "namespace/name"
  uint32_t address;
  uint16_t port;       // as the Service says
  uint16_t served_at;  // kShifted: where it is served instead
  std::string why;     // kTaken, kRefused: the kernel's words
};

// Serves the Services that it was told of: listens at their addresses and relays to their backends. Lives on the
// thread that runs `io` (the proxy thread; a test's own), which alone may call it.
class Proxy {
 public:
  Proxy(asio::io_context& io, Clock& clock, ProxyOptions options, std::function<void(ListenReport)> report);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  // The Service as it now is; null = it is gone. Places that stay keep their sockets, and connections live on.
  void SetService(const std::string& key, ServiceRulePtr rule);
  void SetNodeBlocks(NodeBlocksPtr blocks) { blocks_ = std::move(blocks); }
  // Closes everything, connections as well.
  void Close();

  size_t connections() const { return relays_.size(); }
  size_t flows() const { return flows_; }
  size_t listeners() const { return places_.size(); }

 private:
  // A Service's port: what its places share.
  struct PortState {
    Balancer balancer;
  };
  struct PlaceKey {
    bool udp;
    uint32_t address;
    uint16_t port;
    auto operator<=>(const PlaceKey&) const = default;
  };
  struct Place {
    std::string service;
    ListenAt at;
    std::shared_ptr<PortState> port;
    std::shared_ptr<Listener> listener;  // null while it could not be bound
    Duration retry{0};
    Clock::TimerId timer = 0;
    bool told = false;  // of the trouble there is
  };
  struct Service {
    std::map<std::pair<std::string, bool>, std::shared_ptr<PortState>> ports;  // by name and protocol
    std::vector<PlaceKey> places;
  };

  void Open(const PlaceKey& key);
  std::shared_ptr<Listener> MakeListener(const PlaceKey& key);
  void Remove(const PlaceKey& key);
  void Fail(const PlaceKey& key, Place& place, const std::error_code& error);
  void Tell(const Place& place, ListenReport::What what, uint16_t served_at, std::string why) const;
  bool Accept(const PlaceKey& key, int fd, uint32_t client);
  Backend Pick(const PlaceKey& key, uint32_t client);
  // The node whose backends a client of this place may have; "" = any.
  std::string NodeFor(const Place& place, uint32_t client) const;

  asio::io_context& io_;
  Clock& clock_;
  const ProxyOptions options_;
  std::function<void(ListenReport)> report_;
  NodeBlocksPtr blocks_;
  std::map<std::string, Service> services_;
  std::map<PlaceKey, Place> places_;
  std::unordered_map<TcpRelay*, std::shared_ptr<TcpRelay>> relays_;
  size_t flows_ = 0;
  bool full_ = false;
  bool closed_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace wherry
