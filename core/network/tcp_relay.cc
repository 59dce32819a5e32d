#include "core/network/tcp_relay.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <asio/post.hpp>
#include <cerrno>
#include <utility>

#include "core/network/socket.h"

namespace wherry {
namespace {

constexpr Duration kConnectTimeout = std::chrono::seconds(3);
// Between two rounds when all backends refused.
constexpr Duration kFirstPause = std::chrono::milliseconds(5), kLongestPause = std::chrono::milliseconds(80);
constexpr size_t kBuffer = 64 << 10;
constexpr int kPipeBytes = 256 << 10;
// After so many reads in a row the others get their turn.
constexpr int kTurns = 16;

// What is being copied at this moment; nothing stays in it.
std::array<char, kBuffer>& SharedBuffer() {
  thread_local std::array<char, kBuffer> buffer;
  return buffer;
}

void SetNoDelay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK; }

void CloseSocket(asio::ip::tcp::socket& socket, bool reset) {
  if (!socket.is_open()) return;
  if (reset) {
    const linger now{1, 0};
    ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  std::error_code ignored;
  socket.close(ignored);
}

}  // namespace

TcpRelay::TcpRelay(asio::io_context& io, Clock& clock, int client, std::function<void(TcpRelay*)> on_end)
    : io_(io),
      clock_(clock),
      client_(io),
      backend_(io),
      up_{client_, backend_},
      down_{backend_, client_},
      on_end_(std::move(on_end)) {
  std::error_code error;
  client_.assign(asio::ip::tcp::v4(), client, error);
  if (error) {
    ::close(client);
    return;
  }
  client_.native_non_blocking(true, error);
  SetNoDelay(client);
}

TcpRelay::~TcpRelay() {
  for (Way* way : {&up_, &down_}) {
    if (way->pipe_in < 0) continue;
    ::close(way->pipe_in);
    ::close(way->pipe_out);
  }
}

void TcpRelay::Start(Source source) {
  source_ = std::move(source);
  if (!client_.is_open()) return End(true);
  backends_ = source_.order();
  TryNext();
}

void TcpRelay::Abort() { End(true); }

// On loopback a connection is made or refused at once; elsewhere it takes its time.
void TcpRelay::TryNext() {
  while (next_ < backends_.size()) {
    const Backend& backend = backends_[next_];
    std::error_code error;
    backend_.close(error);
    const int fd = OpenTcp();
    if (fd < 0) break;
    backend_.assign(asio::ip::tcp::v4(), fd, error);
    if (error) {
      ::close(fd);
      break;
    }
    backend_.native_non_blocking(true, error);
    const sockaddr_in to = SocketAddress(backend.address, backend.port);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return Begin();
    if (errno == EINPROGRESS) {
      auto self = shared_from_this();
      timer_ = clock_.After(kConnectTimeout, [self] {
        self->timer_ = 0;
        std::error_code ignored;
        self->backend_.cancel(ignored);
      });
      backend_.async_wait(Socket::wait_write, [self](const std::error_code& failed) {
        self->clock_.Cancel(std::exchange(self->timer_, 0));
        if (self->over_) return;
        int outcome = failed ? ETIMEDOUT : 0;
        socklen_t size = sizeof outcome;
        if (!failed) ::getsockopt(self->backend_.native_handle(), SOL_SOCKET, SO_ERROR, &outcome, &size);
        if (outcome == 0) return self->Begin();
        ++self->next_;
        self->TryNext();
      });
      return;
    }
    ++next_;
  }
  AllRefused();
}

void TcpRelay::AllRefused() {
  if (!source_.patient || !source_.patient()) return End(true);
  pause_ = pause_ == Duration::zero() ? kFirstPause : std::min(pause_ * 2, kLongestPause);
  timer_ = clock_.After(pause_, [self = shared_from_this()] {
    self->timer_ = 0;
    self->backends_ = self->source_.order();
    self->next_ = 0;
    self->TryNext();
  });
}

void TcpRelay::Begin() {
  SetNoDelay(backend_.native_handle());
  taken_ = backends_[next_];
  if (source_.connected) source_.connected(taken_);
  pause_ = Duration::zero();
  backend_refused_ = false;
  const int turn = ++turn_;
  Pump(up_);
  if (!over_ && turn_ == turn) AwaitRead(down_);
}

// The reader of `way` takes nothing more. What a backend said before is still to be heard; then it is lost.
void TcpRelay::OnRefused(const Way& way) {
  if (&way == &down_ || down_.done) return End(true);
  backend_refused_ = true;
}

void TcpRelay::BackendLost() {
  if (answered_ || !source_.again) return End(true);
  std::vector<Backend> others = source_.again(taken_);
  if (others.empty()) return End(true);
  ++turn_;
  backends_ = std::move(others);
  next_ = 0;
  // From the beginning: what was said, and the end of it if that was said too.
  up_.left.assign(told_.begin(), told_.end());
  up_.done = false;
  down_.ended = down_.done = false;
  TryNext();
}

void TcpRelay::Pump(Way& way) {
  for (int turn = 0; turn < kTurns; ++turn) {
    bool blocked = false;
    if (!Flush(way, &blocked)) return OnRefused(way);
    if (blocked) return AwaitWrite(way);
    if (way.ended) {
      ::shutdown(way.to.native_handle(), SHUT_WR);
      way.done = true;
      if (up_.done && down_.done) End(false);
      return;
    }
    switch (way.pipe_in >= 0 ? Read(way) : Copy(way)) {
      case Fill::kSome:
        break;
      case Fill::kLittle:  // all there was: what comes next is announced
        if (!Flush(way, &blocked)) return OnRefused(way);
        return blocked ? AwaitWrite(way) : AwaitRead(way);
      case Fill::kNothing:
        return AwaitRead(way);
      case Fill::kEnd:
        if (&way == &down_ && backend_refused_) return BackendLost();
        way.ended = true;
        break;
      case Fill::kBroken:
        return &way == &down_ ? BackendLost() : End(true);
    }
  }
  asio::post(io_, [self = shared_from_this(), &way, turn = turn_] {
    if (!self->over_ && self->turn_ == turn) self->Pump(way);
  });
}

TcpRelay::Fill TcpRelay::Copy(Way& way) {
  auto& buffer = SharedBuffer();
  const ssize_t got = ::recv(way.from.native_handle(), buffer.data(), buffer.size(), 0);
  if (got == 0) return Fill::kEnd;
  if (got < 0) return WouldBlock() || errno == EINTR ? Fill::kNothing : Fill::kBroken;
  const auto size = static_cast<size_t>(got);
  if (&way == &down_ || told_.size() + size >= kBuffer) {
    answered_ = true;
    told_ = {};
  } else if (!answered_) {
    told_.append(buffer.data(), size);
  }
  const ssize_t sent = ::send(way.to.native_handle(), buffer.data(), size, MSG_NOSIGNAL);
  const size_t passed = sent < 0 ? 0 : static_cast<size_t>(sent);  // Flush finds out why
  if (passed < size) way.left.assign(buffer.data() + passed, buffer.data() + size);
  if (size < kBuffer) return Fill::kLittle;
  OpenPipe(way);
  return Fill::kSome;
}

void TcpRelay::OpenPipe(Way& way) {
  int ends[2];
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return;  // then it is copied on
  way.pipe_out = ends[0];
  way.pipe_in = ends[1];
  ::fcntl(way.pipe_in, F_SETPIPE_SZ, kPipeBytes);
}

TcpRelay::Fill TcpRelay::Read(Way& way) {
  const ssize_t got =
      ::splice(way.from.native_handle(), nullptr, way.pipe_in, nullptr, kPipeBytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (got == 0) return Fill::kEnd;
  if (got < 0) return WouldBlock() || errno == EINTR ? Fill::kNothing : Fill::kBroken;
  way.in_pipe += static_cast<size_t>(got);
  return Fill::kSome;
}

// Passes on what was read. False when the other side is gone; `*blocked` when it takes no more for now.
bool TcpRelay::Flush(Way& way, bool* blocked) {
  while (!way.left.empty()) {
    const ssize_t sent = ::send(way.to.native_handle(), way.left.data(), way.left.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      *blocked = WouldBlock() || errno == EINTR;
      return *blocked;
    }
    way.left.erase(way.left.begin(), way.left.begin() + sent);
  }
  while (way.in_pipe > 0) {
    const ssize_t sent = ::splice(way.pipe_out, nullptr, way.to.native_handle(), nullptr, way.in_pipe,
                                  SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (sent <= 0) {
      *blocked = sent < 0 && (WouldBlock() || errno == EINTR);
      return *blocked;
    }
    way.in_pipe -= static_cast<size_t>(sent);
  }
  return true;
}

void TcpRelay::AwaitRead(Way& way) {
  way.from.async_wait(Socket::wait_read, [self = shared_from_this(), &way, turn = turn_](const std::error_code& error) {
    if (!self->over_ && !error && self->turn_ == turn) self->Pump(way);
  });
}

void TcpRelay::AwaitWrite(Way& way) {
  way.to.async_wait(Socket::wait_write, [self = shared_from_this(), &way, turn = turn_](const std::error_code& error) {
    if (!self->over_ && !error && self->turn_ == turn) self->Pump(way);
  });
}

void TcpRelay::End(bool reset) {
  if (std::exchange(over_, true)) return;
  clock_.Cancel(std::exchange(timer_, 0));
  CloseSocket(client_, reset);
  CloseSocket(backend_, reset);
  source_ = {};
  // Whoever keeps us may let go here; a handler on the stack holds us still.
  auto self = shared_from_this();
  if (on_end_) on_end_(this);
}

}  // namespace wherry
