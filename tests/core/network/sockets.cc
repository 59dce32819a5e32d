#include "tests/core/network/sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "core/network/socket.h"

namespace wherry {
namespace {

void Must(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(std::string(what) + ": " + std::generic_category().message(errno));
}

int Open(int type) {
  const int fd = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
  Must(fd >= 0, "socket");
  const timeval limit{20, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return fd;
}

int OpenBound(int type, uint32_t address, uint16_t port) {
  const int fd = Open(type);
  const int on = 1;
  if (type == SOCK_STREAM) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in at = SocketAddress(address, port);
  Must(::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0, "bind");
  return fd;
}

}  // namespace

TestSocket::~TestSocket() { Close(); }

TestSocket& TestSocket::operator=(TestSocket&& other) noexcept {
  Close();
  fd_ = other.Release();
  return *this;
}

TestSocket TestSocket::ConnectTcp(uint32_t address, uint16_t port, int* error) {
  TestSocket out(Open(SOCK_STREAM));
  const sockaddr_in to = SocketAddress(address, port);
  if (error) *error = 0;
  if (::connect(out.fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    Must(error != nullptr, "connect");
    *error = errno;
    out.Close();
  }
  return out;
}

TestSocket TestSocket::ConnectUdp(uint32_t address, uint16_t port) {
  TestSocket out(Open(SOCK_DGRAM));
  const sockaddr_in to = SocketAddress(address, port);
  Must(::connect(out.fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0, "connect");
  return out;
}

TestSocket TestSocket::ListenTcp(uint32_t address, uint16_t port) {
  TestSocket out(OpenBound(SOCK_STREAM, address, port));
  Must(::listen(out.fd_, 128) == 0, "listen");
  return out;
}

TestSocket TestSocket::BindUdp(uint32_t address, uint16_t port) {
  return TestSocket(OpenBound(SOCK_DGRAM, address, port));
}

uint16_t TestSocket::port() const {
  sockaddr_in at{};
  socklen_t size = sizeof at;
  Must(::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size) == 0, "getsockname");
  return ntohs(at.sin_port);
}

int TestSocket::Release() { return std::exchange(fd_, -1); }

void TestSocket::Send(const std::string& bytes) const {
  size_t at = 0;
  while (at < bytes.size() || bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    Must(sent >= 0, "send");
    at += static_cast<size_t>(sent);
    if (bytes.empty()) return;
  }
}

std::string TestSocket::Receive(size_t size) const {
  std::string out(size, '\0');
  const ssize_t got = ::recv(fd_, out.data(), size, 0);
  if (got < 0 && errno == ECONNRESET) return "reset";
  Must(got >= 0, "recv");
  out.resize(static_cast<size_t>(got));
  return out;
}

std::string TestSocket::ReceiveAll() const {
  std::string out;
  for (;;) {
    const std::string piece = Receive(1 << 20);
    if (piece.empty()) return out;
    out += piece;
    if (piece == "reset") return out;
  }
}

void TestSocket::EndSending() const { ::shutdown(fd_, SHUT_WR); }

void TestSocket::Reset() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  Close();
}

void TestSocket::Close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

TestServer::TestServer(uint32_t address, std::function<void(TestSocket&)> serve, uint16_t port)
    : listener_(TestSocket::ListenTcp(address, port)), port_(listener_.port()), serve_(std::move(serve)) {
  // Without a limit: whoever destroys the server ends the wait.
  const timeval none{0, 0};
  ::setsockopt(listener_.fd(), SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
  accepts_ = std::thread([this] {
    for (;;) {
      const int fd = ::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++accepted_;
      const timeval limit{20, 0};
      ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      const std::lock_guard lock(mutex_);
      threads_.emplace_back([this, fd] {
        TestSocket client(fd);
        try {
          serve_(client);
        } catch (const std::exception&) {
          // The client went away: the test sees it at its end.
        }
      });
    }
  });
}

TestServer::~TestServer() {
  ::shutdown(listener_.fd(), SHUT_RDWR);
  accepts_.join();
  for (std::thread& thread : threads_) thread.join();
}

int CountDescriptors() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

}  // namespace wherry
