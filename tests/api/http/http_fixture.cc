#include "tests/api/http/http_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

namespace wherry::http {

RawClient::RawClient(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const int small = 16 * 1024;  // so that a reader that does not read is soon felt
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  ::fcntl(fd_, F_SETFL, O_NONBLOCK);
}

RawClient::~RawClient() { ::close(fd_); }

bool RawClient::Send(std::string_view bytes) {
  return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

void RawClient::HalfClose() { ::shutdown(fd_, SHUT_WR); }

void RawClient::Reset() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(fd_);
  fd_ = -1;
}

void RawClient::Poll() {
  char buffer[16 * 1024];
  for (;;) {
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got > 0) {
      received_.append(buffer, static_cast<size_t>(got));
      continue;
    }
    if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) ended_ = true;
    return;
  }
}

HttpFixture::HttpFixture() = default;

HttpFixture::~HttpFixture() {
  server.reset();
  Settle();
}

void HttpFixture::Start(Handler handler, Limits limits, TlsContextPtr tls) {
  ServerOptions options;
  options.limits = limits;
  options.tls = std::move(tls);
  server = std::make_unique<Server>(io.get_executor(), clock, options, std::move(handler));
  const Status started = server->Start();
  REQUIRE(started.ok());
}

void HttpFixture::RunUntil(std::function<bool()> done) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!done()) {
    io.restart();
    io.run_for(std::chrono::milliseconds(1));
    if (std::chrono::steady_clock::now() > give_up) FAIL("nothing more happens");
  }
}

void HttpFixture::Settle() {
  // Loopback delivery is synchronous: once nothing is ready, nothing will be.
  for (int quiet = 0; quiet < 3;) {
    io.restart();
    quiet = io.poll() == 0 ? quiet + 1 : 0;
  }
}

void HttpFixture::Advance(Duration by) {
  Settle();
  const Time target = clock.Now() + by;
  while (clock.FireNext(target - clock.Now())) Settle();
  clock.MoveTo(target);
  Settle();
}

std::string HttpFixture::Exchange(std::string_view bytes) {
  RawClient client(server->port());
  size_t sent = 0;
  RunUntil([&] {
    while (sent < bytes.size()) {
      const ssize_t now = ::send(client.fd(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (now <= 0) break;
      sent += static_cast<size_t>(now);
    }
    client.Poll();
    return client.ended();
  });
  return client.received();
}

std::string HttpFixture::Exchange(RawClient& client, std::string_view bytes, std::string_view end) {
  REQUIRE(client.Send(bytes));
  RunUntil([&] {
    client.Poll();
    return client.received().ends_with(end) || client.ended();
  });
  return client.Take();
}

}  // namespace wherry::http
