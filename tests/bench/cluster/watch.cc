#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asio/ip/tcp.hpp>
#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>
#include <vector>

#include "tests/bench/cluster/bench_server.h"
#include "tests/bench/cluster/sections.h"

namespace wherry::bench {
namespace {

struct Fan {
  std::vector<double> latencies;
  uint64_t delivered = 0;
  Steady::time_point sent;
};

Task<> Follow(http::HttpClient* client, Fan* fan, int* open,
              std::vector<std::shared_ptr<http::ClientStream>>* streams) {
  http::ClientRequest request;
  request.target = "/api/v1/namespaces/default/configmaps?watch=true";
  Result<std::shared_ptr<http::ClientStream>> stream = co_await client->Open(std::move(request));
  if (!stream.ok()) Die("watch: " + stream.status().message());
  streams->push_back(*stream);
  ++*open;
  while (true) {
    Result<std::optional<std::string>> line = co_await (*stream)->ReadLine();
    if (!line.ok() || !line->has_value()) co_return;
    fan->latencies.push_back(Since(fan->sent));
    ++fan->delivered;
  }
}

Task<> Publish(Loop* loop, http::HttpClient* client, Fan* fan, int* open, int watchers, int events, pid_t server,
               double* cpu, std::vector<std::shared_ptr<http::ClientStream>>* streams) {
  while (*open < watchers) co_await loop->clock->Sleep(std::chrono::milliseconds(10));
  co_await loop->clock->Sleep(std::chrono::milliseconds(200));
  fan->latencies.clear();
  fan->delivered = 0;
  const double before = CpuOf(server);
  for (int i = 0; i < events; ++i) {
    http::ClientRequest request;
    request.method = "POST";
    request.target = "/api/v1/namespaces/default/configmaps";
    request.headers = {{"Content-Type", "application/json"}};
    request.body = ConfigMap("w" + std::to_string(i));
    fan->sent = Steady::now();
    Result<http::ClientResponse> answer = co_await client->Do(std::move(request));
    if (!answer.ok()) Die(answer.status().message());
    while (fan->delivered < static_cast<uint64_t>(i + 1) * static_cast<uint64_t>(watchers)) {
      co_await loop->clock->Sleep(std::chrono::milliseconds(1));
    }
  }
  *cpu = CpuOf(server) - before;
  for (auto& stream : *streams) stream->Close();
  client->Close();
}

// CPU seconds that this thread takes for one send(2) of a frame's bytes to one of `count` connected loopback sockets,
// which another process reads: what a delivered event costs at least.
double BareSend(int count) {
  asio::io_context io{1};
  asio::ip::tcp::acceptor acceptor(io, {asio::ip::make_address("127.0.0.1"), 0});
  const uint16_t port = acceptor.local_endpoint().port();
  const pid_t reader = ::fork();
  if (reader == 0) {
    acceptor.close();
    asio::io_context own{1};
    std::vector<std::unique_ptr<asio::ip::tcp::socket>> sockets;
    std::vector<char> buffer(16 * 1024);
    std::function<void(asio::ip::tcp::socket*)> drain = [&](asio::ip::tcp::socket* socket) {
      socket->async_read_some(asio::buffer(buffer), [&, socket](const std::error_code& error, size_t) {
        if (error) std::_Exit(0);
        drain(socket);
      });
    };
    for (int i = 0; i < count; ++i) {
      sockets.push_back(std::make_unique<asio::ip::tcp::socket>(own));
      sockets.back()->connect({asio::ip::make_address("127.0.0.1"), port});
      drain(sockets.back().get());
    }
    own.run();
    std::_Exit(0);
  }
  std::vector<asio::ip::tcp::socket> sockets;
  for (int i = 0; i < count; ++i) {
    sockets.push_back(acceptor.accept());
    sockets.back().set_option(asio::ip::tcp::no_delay(true));
  }
  const std::string frame(1200, 'x');
  const auto cpu = [] {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  };
  const double before = cpu();
  constexpr int kRounds = 100;
  for (int round = 0; round < kRounds; ++round) {
    for (auto& socket : sockets) {
      if (::send(socket.native_handle(), frame.data(), frame.size(), MSG_NOSIGNAL) < 0) Die("send");
    }
    ::usleep(2000);  // as between events
  }
  const double each = (cpu() - before) / (static_cast<double>(count) * kRounds);
  sockets.clear();
  ::waitpid(reader, nullptr, 0);
  return each;
}

}  // namespace

void BenchWatch(const std::string& program) {
  for (int watchers : {100, 1000}) {
    Server server(program, 0);
    Loop loop;
    Fan fan;
    int open = 0;
    double cpu = 0;
    const int events = watchers == 100 ? 200 : 50;
    std::vector<std::shared_ptr<http::ClientStream>> streams;
    std::vector<std::unique_ptr<http::HttpClient>> clients;
    for (int i = 0; i <= watchers; ++i) {
      clients.push_back(std::make_unique<http::HttpClient>(loop.io.get_executor(), *loop.clock, server.client()));
      if (i < watchers) Spawn(loop.io.get_executor(), "watch", Follow(clients.back().get(), &fan, &open, &streams));
    }
    Spawn(loop.io.get_executor(), "publish",
          Publish(&loop, clients.back().get(), &fan, &open, watchers, events, server.pid(), &cpu, &streams));
    loop.io.run();
    const double each = cpu / static_cast<double>(fan.delivered) * 1e6, bare = BareSend(watchers) * 1e6;
    std::printf(
        "watch: %d events to %d watchers: %.1f us server CPU per delivered event; bare send(2) of as many bytes %.1f "
        "us; "
        "ratio %.1f; from POST p50 %.2f ms, p99 %.2f ms (the readers share the machine)\n",
        events, watchers, each, bare, each / bare, Quantile(fan.latencies, 0.5) * 1e3,
        Quantile(fan.latencies, 0.99) * 1e3);
  }
}
}  // namespace wherry::bench
