#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <asio/post.hpp>
#include <cerrno>
#include <unordered_map>
#include <utility>

#include "core/network/listeners.h"
#include "core/network/socket.h"

namespace wherry {
namespace {

constexpr int kDatagramsAtOnce = 64;

std::array<char, 65536>& SharedBuffer() {
  thread_local std::array<char, 65536> buffer;
  return buffer;
}

uint64_t ClientKey(const sockaddr_in& from) {
  return static_cast<uint64_t>(ntohl(from.sin_addr.s_addr)) << 16 | ntohs(from.sin_port);
}

class UdpListener : public Listener, public std::enable_shared_from_this<UdpListener> {
 public:
  UdpListener(asio::io_context& io, Clock& clock, UdpOptions options, PickBackend pick,
              std::function<bool(const Backend&)> uses, std::function<void(int)> count)
      : io_(io),
        clock_(clock),
        options_(options),
        socket_(io),
        pick_(std::move(pick)),
        uses_(std::move(uses)),
        count_(std::move(count)) {}

  std::error_code Bind(uint32_t address, uint16_t port) override {
    const int fd = BindUdp(address, port);
    if (fd < 0) return {errno, std::system_category()};
    std::error_code error;
    socket_.assign(asio::ip::udp::v4(), fd, error);
    if (error) {
      ::close(fd);
    } else {
      Await();
    }
    return error;
  }

  // Datagrams to nobody are dropped; there is nothing to close.
  std::error_code SetOpen(bool) override { return {}; }

  void BackendsChanged() override {
    for (auto it = flows_.begin(); it != flows_.end();) {
      const auto flow = (it++)->second;
      if (!uses_(flow->backend)) End(*flow);
    }
  }

  void Close() override {
    clock_.Cancel(std::exchange(timer_, 0));
    while (!flows_.empty()) End(*std::shared_ptr<Flow>(flows_.begin()->second));
    std::error_code ignored;
    socket_.close(ignored);
    pick_ = nullptr;
    uses_ = nullptr;
  }

 private:
  struct Flow {
    Flow(asio::io_context& io, uint64_t k, const sockaddr_in& c) : key(k), client(c), socket(io) {}
    const uint64_t key;
    const sockaddr_in client;
    Backend backend;
    asio::ip::udp::socket socket;  // connected to the backend
    Duration last{0};
    std::list<uint64_t>::iterator recency;
  };
  using FlowPtr = std::shared_ptr<Flow>;

  void Await() {
    socket_.async_wait(asio::ip::udp::socket::wait_read, [self = shared_from_this()](const std::error_code& error) {
      if (!error && self->socket_.is_open()) self->FromClients();
    });
  }

  void FromClients() {
    auto& buffer = SharedBuffer();
    for (int i = 0; i < kDatagramsAtOnce; ++i) {
      sockaddr_in from{};
      socklen_t size = sizeof from;
      const ssize_t got = ::recvfrom(socket_.native_handle(), buffer.data(), buffer.size(), 0,
                                     reinterpret_cast<sockaddr*>(&from), &size);
      if (got < 0) break;
      FlowPtr flow = FlowOf(from);
      if (!flow) continue;
      Touch(*flow);
      if (::send(flow->socket.native_handle(), buffer.data(), static_cast<size_t>(got), MSG_NOSIGNAL) < 0 &&
          errno == ECONNREFUSED) {
        // An earlier datagram came back: somebody else may do better with this one.
        End(*flow);
        flow = FlowOf(from);
        if (flow) ::send(flow->socket.native_handle(), buffer.data(), static_cast<size_t>(got), MSG_NOSIGNAL);
      }
    }
    Await();
  }

  FlowPtr FlowOf(const sockaddr_in& from) {
    const uint64_t key = ClientKey(from);
    if (auto it = flows_.find(key); it != flows_.end()) return it->second;
    const Backend backend = pick_(ntohl(from.sin_addr.s_addr));
    if (backend.address == 0) return nullptr;
    auto flow = std::make_shared<Flow>(io_, key, from);
    flow->backend = backend;
    const int fd = OpenUdp();
    if (fd < 0) return nullptr;
    std::error_code error;
    flow->socket.assign(asio::ip::udp::v4(), fd, error);
    if (error) {
      ::close(fd);
      return nullptr;
    }
    const sockaddr_in to = SocketAddress(backend.address, backend.port);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return nullptr;
    if (flows_.size() >= options_.max_flows) End(*std::shared_ptr<Flow>(flows_.at(recency_.back())));
    recency_.push_front(key);
    flow->recency = recency_.begin();
    flow->last = clock_.Monotonic();
    flows_.emplace(key, flow);
    count_(1);
    AwaitAnswer(flow);
    if (timer_ == 0) Arm(options_.idle);
    return flow;
  }

  void AwaitAnswer(FlowPtr flow) {
    auto& socket = flow->socket;
    auto handler = [self = shared_from_this(), flow = std::move(flow)](const std::error_code& error) {
      if (!error && flow->socket.is_open()) self->FromBackend(flow);
    };
    socket.async_wait(asio::ip::udp::socket::wait_read, std::move(handler));
  }

  void FromBackend(const FlowPtr& flow) {
    auto& buffer = SharedBuffer();
    for (int i = 0; i < kDatagramsAtOnce; ++i) {
      const ssize_t got = ::recv(flow->socket.native_handle(), buffer.data(), buffer.size(), 0);
      if (got < 0) {
        if (errno == ECONNREFUSED) return End(*flow);
        break;
      }
      Touch(*flow);
      ::sendto(socket_.native_handle(), buffer.data(), static_cast<size_t>(got), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&flow->client), sizeof flow->client);
    }
    AwaitAnswer(flow);
  }

  void Touch(Flow& flow) {
    flow.last = clock_.Monotonic();
    recency_.splice(recency_.begin(), recency_, flow.recency);
  }

  // `flow` is kept alive by the caller.
  void End(Flow& flow) {
    std::error_code ignored;
    flow.socket.close(ignored);
    recency_.erase(flow.recency);
    flows_.erase(flow.key);
    count_(-1);
  }

  void Arm(Duration delay) {
    timer_ = clock_.After(delay, [self = shared_from_this()] { self->Expire(); });
  }

  void Expire() {
    timer_ = 0;
    const Duration now = clock_.Monotonic();
    while (!recency_.empty()) {
      const FlowPtr oldest = flows_.at(recency_.back());
      const Duration left = oldest->last + options_.idle - now;
      if (left > Duration::zero()) return Arm(left);
      End(*oldest);
    }
  }

  asio::io_context& io_;
  Clock& clock_;
  const UdpOptions options_;
  asio::ip::udp::socket socket_;
  PickBackend pick_;
  std::function<bool(const Backend&)> uses_;
  std::function<void(int)> count_;
  std::unordered_map<uint64_t, FlowPtr> flows_;
  std::list<uint64_t> recency_;  // newest first
  Clock::TimerId timer_ = 0;
};

}  // namespace

std::shared_ptr<Listener> NewUdpListener(asio::io_context& io, Clock& clock, UdpOptions options, PickBackend pick,
                                         std::function<bool(const Backend&)> uses, std::function<void(int)> count) {
  return std::make_shared<UdpListener>(io, clock, options, std::move(pick), std::move(uses), std::move(count));
}

}  // namespace wherry
