#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include "core/network/dns/forwarder.h"
#include "core/network/dns/zone.h"
#include "core/network/proxy.h"
#include "core/runtime/clock.h"

namespace wherry {

struct DnsOptions {
  std::string service = "kube-system/kube-dns";  // whose address it is: what reports are about
  uint32_t address = 0;
  uint16_t port = 53;
  int privileged_port_offset = 0;  // where the port may not be bound
  std::string domain = "cluster.local";
  ForwarderOptions forwarder;
  size_t max_streams = 128;                         // TCP clients at once
  Duration stream_idle = std::chrono::seconds(10);  // after which a silent one is let go
  Duration retry = std::chrono::seconds(10);        // of a port that is taken
};

// Answers DNS over UDP and TCP from the zone, and passes on what is not of this cluster. Lives on the thread that runs
// `io` (the proxy thread), which alone may call it.
class DnsServer {
 public:
  DnsServer(asio::io_context& io, Clock& clock, DnsOptions options, std::function<void(ListenReport)> report);
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  // Begins to serve; a port that is taken is reported and tried again.
  void Start();
  void Close();
  DnsZone& zone() { return zone_; }
  uint16_t port() const { return served_at_; }  // 0 = not served
  size_t streams() const { return streams_.size(); }

 private:
  class Stream;
  void Listen();
  std::error_code BindAt(uint16_t port);
  void AwaitDatagrams();
  void OnDatagrams();
  void AwaitStreams();
  void OnStreams();
  // `done` gets the bytes to send back, "" = nothing; at once, or later for what had to be asked for.
  void Handle(std::string request, bool tcp, std::function<void(std::string)> done);
  void Follow(DnsQuery query, DnsReply reply, std::string target, size_t limit, std::function<void(std::string)> done);

  asio::io_context& io_;
  Clock& clock_;
  const DnsOptions options_;
  std::function<void(ListenReport)> report_;
  DnsZone zone_;
  Forwarder forwarder_;
  asio::ip::udp::socket datagrams_;
  asio::ip::tcp::acceptor acceptor_;
  std::unordered_set<std::shared_ptr<Stream>> streams_;
  uint16_t served_at_ = 0;
  bool told_ = false;
  Clock::TimerId timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace wherry
