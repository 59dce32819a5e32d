#include "api/streams/pod_connection.h"

#include <fcntl.h>

#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

namespace wherry::streams {
namespace {

constexpr Duration kConnectLimit = std::chrono::seconds(10);
constexpr int kFirstOrdinaryPort = 1024;

}  // namespace

Task<Result<std::shared_ptr<PodConnection>>> ConnectToPod(asio::any_io_executor executor, Clock& clock,
                                                          PortTarget target, uint16_t port) {
  std::vector<asio::ip::tcp::endpoint> endpoints;
  for (const std::string& address : target.addresses) {
    asio::error_code error;
    const asio::ip::address parsed = asio::ip::make_address(address, error);
    if (error) continue;
    endpoints.emplace_back(parsed, port);
    if (port < kFirstOrdinaryPort && target.privileged_port_offset > 0) {
      endpoints.emplace_back(parsed, static_cast<uint16_t>(port + target.privileged_port_offset));
    }
  }
  std::string tried;
  const auto token = asio::use_awaitable_t<asio::any_io_executor>();
  for (const asio::ip::tcp::endpoint& endpoint : endpoints) {
    auto socket = std::make_shared<asio::ip::tcp::socket>(executor);
    const Clock::TimerId limit = clock.After(kConnectLimit, [socket] {
      asio::error_code ignored;
      socket->close(ignored);
    });
    asio::error_code error;
    co_await socket->async_connect(endpoint, asio::redirect_error(token, error));
    clock.Cancel(limit);
    if (!error) {
      const int copy = fcntl(socket->native_handle(), F_DUPFD_CLOEXEC, 3);
      asio::error_code ignored;
      socket->set_option(asio::ip::tcp::no_delay(true), ignored);
      const int fd = copy < 0 ? -1 : fcntl(copy, F_DUPFD_CLOEXEC, 3);
      socket->close(ignored);
      if (fd < 0) {
        if (copy >= 0) close(copy);
        co_return Status::Unavailable(std::string("out of descriptors: ") + std::strerror(errno));
      }
      co_return std::make_shared<PodConnection>(executor, fd, copy);
    }
    tried += (tried.empty() ? "" : "; ") + endpoint.address().to_string() + ":" + std::to_string(endpoint.port()) +
             ": " + (error == asio::error::operation_aborted ? "no answer" : error.message());
  }
  co_return Status::Unavailable("error forwarding port " + std::to_string(port) + " to pod " + target.name + ": " +
                                (tried.empty() ? "it has no address" : tried));
}

}  // namespace wherry::streams
