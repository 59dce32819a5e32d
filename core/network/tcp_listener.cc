#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/network/listeners.h"
#include "core/network/socket.h"

namespace wherry {
namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptsAtOnce = 32;
// After the machine had no descriptor left.
constexpr Duration kPause = std::chrono::milliseconds(100);

class TcpListener : public Listener, public std::enable_shared_from_this<TcpListener> {
 public:
  TcpListener(asio::io_context& io, Clock& clock, std::function<bool(int, uint32_t)> accept)
      : clock_(clock), acceptor_(io), accept_(std::move(accept)) {}

  std::error_code Bind(uint32_t address, uint16_t port) override {
    const int fd = BindTcp(address, port);
    if (fd < 0) return {errno, std::system_category()};
    std::error_code error;
    acceptor_.assign(asio::ip::tcp::v4(), fd, error);
    if (error) ::close(fd);
    return error;
  }

  // A socket that is bound but does not listen refuses connections and keeps the port; shutdown() ends a listen().
  std::error_code SetOpen(bool open) override {
    if (open == open_ || !acceptor_.is_open()) return {};
    const int fd = acceptor_.native_handle();
    if ((open ? ::listen(fd, kBacklog) : ::shutdown(fd, SHUT_RD)) != 0) return {errno, std::system_category()};
    open_ = open;
    if (open) Await();
    return {};
  }

  void Resume() override {
    if (std::exchange(paused_, false)) Accept();
  }

  void Close() override {
    clock_.Cancel(std::exchange(timer_, 0));
    open_ = false;
    std::error_code ignored;
    acceptor_.close(ignored);
    accept_ = nullptr;
  }

 private:
  void Await() {
    if (std::exchange(awaiting_, true)) return;
    acceptor_.async_wait(asio::ip::tcp::acceptor::wait_read, [self = shared_from_this()](const std::error_code& error) {
      self->awaiting_ = false;
      if (!error && self->open_) self->Accept();
    });
  }

  void Accept() {
    for (int i = 0; i < kAcceptsAtOnce && open_; ++i) {
      sockaddr_in from{};
      socklen_t size = sizeof from;
      const int fd =
          ::accept4(acceptor_.native_handle(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno == ECONNABORTED || errno == EINTR) continue;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return Pause();
        break;
      }
      if (!accept_(fd, ntohl(from.sin_addr.s_addr))) {
        paused_ = true;
        return;
      }
    }
    if (open_) Await();
  }

  void Pause() {
    timer_ = clock_.After(kPause, [self = shared_from_this()] {
      self->timer_ = 0;
      self->Accept();
    });
  }

  Clock& clock_;
  asio::ip::tcp::acceptor acceptor_;
  std::function<bool(int, uint32_t)> accept_;
  bool open_ = false;
  bool awaiting_ = false;
  bool paused_ = false;
  Clock::TimerId timer_ = 0;
};

}  // namespace

std::shared_ptr<Listener> NewTcpListener(asio::io_context& io, Clock& clock,
                                         std::function<bool(int fd, uint32_t client)> accept) {
  return std::make_shared<TcpListener>(io, clock, std::move(accept));
}

}  // namespace wherry
