// What the Service proxy costs, against a direct loopback connection in the same run: throughput of one and of four
// streams, the time of a small exchange on an open connection, and whole connections per second; UDP exchanges too.
//   proxy_bench [MiB=2048] [exchanges=20000]

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/network/proxy.h"
#include "core/network/socket.h"
#include "tests/bench/arguments.h"

namespace {

using namespace wherry;
using SteadyClock = std::chrono::steady_clock;

constexpr uint32_t kBack = 0x7f0a0101, kFront = 0x7f0a0164;  // 127.10.1.1, 127.10.1.100

double Seconds(SteadyClock::time_point since) {
  return std::chrono::duration<double>(SteadyClock::now() - since).count();
}

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::exit(1);
}

int Connect(uint32_t address, uint16_t port, int type = SOCK_STREAM) {
  const int fd = ::socket(AF_INET, type, 0);
  const sockaddr_in to = SocketAddress(address, port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) Die("connect");
  const int on = 1;
  if (type == SOCK_STREAM) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

void SendAll(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t sent = ::send(fd, data, size, MSG_NOSIGNAL);
    if (sent < 0) Die("send");
    data += sent;
    size -= static_cast<size_t>(sent);
  }
}

// Serves each connection on a thread: a first byte 's' swallows everything and answers with one byte, 'e' echoes.
class Server {
 public:
  Server() {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at = SocketAddress(kBack, 0);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(listener_, 1024) != 0)
      Die("listen");
    socklen_t size = sizeof at;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    port = ntohs(at.sin_port);
    std::thread([this] {
      for (;;) {
        const int fd = ::accept(listener_, nullptr, nullptr);
        if (fd < 0) return;
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (inline_echo) {
          Serve(fd);
        } else {
          std::thread([fd] { Serve(fd); }).detach();
        }
      }
    }).detach();
  }
  uint16_t port = 0;
  std::atomic<bool> inline_echo{false};

 private:
  static void Serve(int fd) {
    std::vector<char> buffer(256 << 10);
    char mode = 0;
    if (::recv(fd, &mode, 1, 0) == 1) {
      for (;;) {
        const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
        if (got <= 0) break;
        if (mode == 'e') SendAll(fd, buffer.data(), static_cast<size_t>(got));
      }
      if (mode == 's') SendAll(fd, "x", 1);
    }
    ::close(fd);
  }
  int listener_;
};

double GigabytesPerSecond(uint32_t address, uint16_t port, size_t megabytes, int streams) {
  const auto start = SteadyClock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < streams; ++i) {
    threads.emplace_back([=] {
      const int fd = Connect(address, port);
      SendAll(fd, "s", 1);
      const std::vector<char> block(1 << 20, 'b');
      for (size_t n = 0; n < megabytes / static_cast<size_t>(streams); ++n) SendAll(fd, block.data(), block.size());
      ::shutdown(fd, SHUT_WR);
      char done;
      if (::recv(fd, &done, 1, 0) != 1) Die("recv");
      ::close(fd);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return static_cast<double>(megabytes) / 1024 / Seconds(start);
}

struct Latency {
  double p50, p99;
};

Latency Exchanges(int fd, int count) {
  char message[64] = {}, answer[64];
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    const auto start = SteadyClock::now();
    if (::send(fd, message, sizeof message, MSG_NOSIGNAL) != sizeof message) Die("send");
    for (size_t got = 0; got < sizeof answer;) {
      const ssize_t n = ::recv(fd, answer, sizeof answer, 0);
      if (n <= 0) Die("recv");
      got += static_cast<size_t>(n);
    }
    times.push_back(Seconds(start) * 1e6);
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times[times.size() * 99 / 100]};
}

Latency TcpLatency(uint32_t address, uint16_t port, int count) {
  const int fd = Connect(address, port);
  SendAll(fd, "e", 1);
  const Latency out = Exchanges(fd, count);
  ::close(fd);
  return out;
}

double ConnectionsPerSecond(uint32_t address, uint16_t port, int count) {
  const auto start = SteadyClock::now();
  for (int i = 0; i < count; ++i) {
    const int fd = Connect(address, port);
    SendAll(fd, "ehello", 6);
    char answer[16];
    if (::recv(fd, answer, sizeof answer, 0) <= 0) Die("recv");
    ::close(fd);
  }
  return count / Seconds(start);
}

double ThreadCpu(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  const char* usage = "proxy_bench [MiB=2048] [exchanges=20000]";
  bench::CheckArgumentCount(argc, argv, 2, usage);
  const auto megabytes = static_cast<size_t>(bench::NumberArgument(argc, argv, 1, 2048, 1, 1 << 20, usage));
  const int exchanges = bench::NumberArgument(argc, argv, 2, 20'000, 1, 100'000'000, usage);

  Server server;
  const int udp = BindUdp(kBack, 0);
  sockaddr_in at{};
  socklen_t size = sizeof at;
  ::getsockname(udp, reinterpret_cast<sockaddr*>(&at), &size);
  const uint16_t udp_port = ntohs(at.sin_port);
  const int echo = ::socket(AF_INET, SOCK_DGRAM, 0);
  ::close(udp);
  if (::bind(echo, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) Die("bind");
  std::thread([echo] {
    char buffer[2048];
    for (;;) {
      sockaddr_in from{};
      socklen_t length = sizeof from;
      const ssize_t got = ::recvfrom(echo, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (got >= 0) ::sendto(echo, buffer, static_cast<size_t>(got), 0, reinterpret_cast<sockaddr*>(&from), length);
    }
  }).detach();

  asio::io_context io{1};
  auto guard = asio::make_work_guard(io);
  const std::unique_ptr<Clock> clock = NewSystemClock(io);
  auto proxy = std::make_unique<Proxy>(io, *clock, ProxyOptions{}, [](const ListenReport& report) {
    std::fprintf(stderr, "cannot serve port %d: %s\n", report.port, report.why.c_str());
    std::exit(1);
  });
  const uint16_t front = 18080;
  auto rule = std::make_shared<ServiceRule>();
  for (const bool is_udp : {false, true}) {
    PortRule port;
    port.name = is_udp ? "udp" : "tcp";
    port.udp = is_udp;
    port.listens.push_back({kFront, front, "", false});
    port.backends.push_back({kBack, is_udp ? udp_port : server.port, "", true, true});
    rule->ports.push_back(std::move(port));
  }
  proxy->SetService("bench/service", rule);
  clockid_t proxy_cpu{};
  std::promise<void> running;
  std::thread thread([&] {
    pthread_getcpuclockid(pthread_self(), &proxy_cpu);
    running.set_value();
    io.run();
  });
  running.get_future().wait();

  for (const int streams : {1, 4}) {
    const double direct = GigabytesPerSecond(kBack, server.port, megabytes, streams);
    const double before = ThreadCpu(proxy_cpu);
    const double via = GigabytesPerSecond(kFront, front, megabytes, streams);
    const double cpu = ThreadCpu(proxy_cpu) - before;
    std::printf(
        "throughput, %d stream%s: direct %.2f GiB/s, through the proxy %.2f GiB/s: %.0f %%; proxy CPU %.0f ms/GiB\n",
        streams, streams == 1 ? "" : "s", direct, via, 100 * via / direct,
        cpu * 1000 / (static_cast<double>(megabytes) / 1024));
  }
  const Latency direct = TcpLatency(kBack, server.port, exchanges), via = TcpLatency(kFront, front, exchanges);
  std::printf(
      "64-byte exchange: direct p50 %.1f us p99 %.1f us, through the proxy p50 %.1f us p99 %.1f us: %.1f times, +%.1f "
      "us\n",
      direct.p50, direct.p99, via.p50, via.p99, via.p50 / direct.p50, via.p50 - direct.p50);
  const int to_back = Connect(kBack, udp_port, SOCK_DGRAM), to_front = Connect(kFront, front, SOCK_DGRAM);
  const Latency udp_direct = Exchanges(to_back, exchanges), udp_via = Exchanges(to_front, exchanges);
  std::printf("64-byte UDP exchange: direct p50 %.1f us, through the proxy p50 %.1f us: %.1f times, +%.1f us\n",
              udp_direct.p50, udp_via.p50, udp_via.p50 / udp_direct.p50, udp_via.p50 - udp_direct.p50);
  server.inline_echo = true;
  const double conn_direct = ConnectionsPerSecond(kBack, server.port, exchanges / 2);
  const double before = ThreadCpu(proxy_cpu);
  const double conn_via = ConnectionsPerSecond(kFront, front, exchanges / 2);
  std::printf(
      "connections with one exchange: direct %.0f/s, through the proxy %.0f/s: %.0f %%; proxy CPU %.0f us each\n",
      conn_direct, conn_via, 100 * conn_via / conn_direct, (ThreadCpu(proxy_cpu) - before) * 1e6 / (exchanges / 2));

  asio::post(io, [&] {
    proxy->Close();
    guard.reset();
    io.stop();
  });
  thread.join();
  std::fflush(stdout);
  std::_Exit(0);  // the servers' threads wait for ever
}
