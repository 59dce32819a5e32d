// What a request and a streamed event cost: our own server with a trivial handler, over TLS, against keep-alive clients
// in another process, so that getrusage of this one is the server's CPU time alone.
//   http_bench [clients=64] [requests=200000] [part of a name]

#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/http/http_client.h"
#include "api/http/pki.h"
#include "api/http/server.h"
#include "api/http/wakeup.h"
#include "tests/bench/arguments.h"

namespace wherry::http {
namespace {

using Seconds = std::chrono::duration<double>;

struct Cpu {
  double user = 0;
  double system = 0;
};

Cpu CpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return {static_cast<double>(usage.ru_utime.tv_sec) + static_cast<double>(usage.ru_utime.tv_usec) / 1e6,
          static_cast<double>(usage.ru_stime.tv_sec) + static_cast<double>(usage.ru_stime.tv_usec) / 1e6};
}

long ResidentKib() {
  long pages = 0;
  long resident = 0;
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%ld %ld", &pages, &resident) != 2) std::abort();
  std::fclose(file);
  return resident * (::sysconf(_SC_PAGESIZE) / 1024);
}

// What one run does: the clients' side of it runs in a child.
struct Run {
  const char* name;
  const char* unit;
  int clients;
  int per_client;  // requests, or events of a stream
  const char* target;
  int burst = 1;  // events published at a time
};

struct Fan {
  explicit Fan(asio::any_io_executor e) : executor(std::move(e)) {}
  asio::any_io_executor executor;
  std::vector<std::shared_ptr<Wakeup>> wakeups;
  int events = 0;
  int published = 0;
};

Task<> Stream(Fan* fan, ExchangePtr exchange, std::shared_ptr<const std::string> event) {
  Response head;
  Result<ResponseStream*> stream = co_await exchange->StartStream(std::move(head));
  if (!stream.ok()) co_return;
  auto wakeup = std::make_shared<Wakeup>(fan->executor);
  fan->wakeups.push_back(wakeup);
  exchange->set_on_close([wakeup] { wakeup->Notify(); });
  int sent = 0;
  while (sent < fan->events && !exchange->closed()) {
    std::vector<SharedBuffer> buffers;
    for (; sent < fan->published; ++sent) buffers.emplace_back(event);
    if (buffers.empty()) {
      co_await wakeup->Wait();
      continue;
    }
    const Status status = co_await (*stream)->Write(std::move(buffers));
    if (!status.ok()) break;
  }
}

// A burst every 2 ms: one write for every watcher.
Task<> Publish(Fan* fan, Clock* clock, int watchers, int burst) {
  while (static_cast<int>(fan->wakeups.size()) < watchers) co_await clock->Sleep(std::chrono::milliseconds(1));
  co_await clock->Sleep(std::chrono::milliseconds(50));
  while (fan->published < fan->events) {
    fan->published = std::min(fan->published + burst, fan->events);
    for (const auto& wakeup : fan->wakeups) wakeup->Notify();
    co_await clock->Sleep(std::chrono::milliseconds(2));
  }
}

Task<> ClientTask(HttpClient* client, const Run* run, int* left, asio::io_context* io) {
  const bool streaming = std::string(run->target) == "/stream";
  if (streaming) {
    ClientRequest request;
    request.target = run->target;
    Result<std::shared_ptr<ClientStream>> opened = co_await client->Open(std::move(request));
    if (!opened.ok()) std::_Exit(1);
    for (;;) {
      const Result<std::string> some = co_await (*opened)->ReadSome();
      if (!some.ok() || some->empty()) break;
    }
  } else {
    for (int i = 0; i < run->per_client; ++i) {
      ClientRequest request;
      request.target = run->target;
      const Result<ClientResponse> response = co_await client->Do(std::move(request));
      if (!response.ok() || response->status != 200) {
        std::fprintf(stderr, "%s: %s\n", run->target, response.status().message().c_str());
        std::_Exit(1);
      }
    }
  }
  if (--*left == 0) io->stop();
}

[[noreturn]] void RunClients(const Run& run, uint16_t port, const std::string& authority, int ready_fd) {
  char go = 0;
  if (::read(ready_fd, &go, 1) != 1) std::_Exit(1);
  asio::io_context io(1);
  const std::unique_ptr<Clock> clock = NewSystemClock(io);
  ClientTls tls;
  tls.server_cas = authority;
  ClientOptions options;
  options.port = port;
  options.tls = *TlsContext::Client(tls);
  std::vector<std::unique_ptr<HttpClient>> clients;
  int left = run.clients;
  for (int i = 0; i < run.clients; ++i) {
    clients.push_back(std::make_unique<HttpClient>(io.get_executor(), *clock, options));
    Spawn(io.get_executor(), "client", ClientTask(clients.back().get(), &run, &left, &io));
  }
  io.run();
  std::_Exit(left == 0 ? 0 : 1);
}

void Measure(const Run& run) {
  asio::io_context io(1);
  const std::unique_ptr<Clock> clock = NewSystemClock(io);
  const Time now = clock->Now();
  const KeyPair authority = *MakeAuthority("bench-ca", now);
  CertificateSpec spec;
  spec.common_name = "bench";
  spec.names = {"127.0.0.1"};
  spec.server = true;
  const KeyPair pair = *IssueCertificate(authority, spec, now);
  ServerTls tls;
  tls.certificate = pair.certificate;
  tls.key = pair.key;
  tls.client_cas = authority.certificate;
  ServerOptions options;
  options.tls = *TlsContext::Server(tls);
  const auto body = std::make_shared<const std::string>(1024, 'x');
  const auto items = std::make_shared<const std::string>(2400, 'y');
  Fan fan(io.get_executor());
  fan.events = run.per_client;
  auto server = std::make_unique<Server>(io.get_executor(), *clock, options, [&](ExchangePtr exchange) -> Task<> {
    if (exchange->request().path() == "/stream") return Stream(&fan, std::move(exchange), body);
    return
        [](ExchangePtr e, std::shared_ptr<const std::string> one, std::shared_ptr<const std::string> item) -> Task<> {
          Response response;
          if (e->request().path() == "/list") {
            for (int i = 0; i < 1000; ++i) response.buffers.emplace_back(item);
          } else {
            response.buffers.emplace_back(std::move(one));
          }
          e->Respond(std::move(response));
          co_return;
        }(std::move(exchange), body, items);
  });
  if (!server->Start().ok()) std::abort();
  int gate[2];
  if (::pipe(gate) != 0) std::abort();
  const long rss_before = ResidentKib();
  const pid_t child = ::fork();
  if (child == 0) RunClients(run, server->port(), authority.certificate, gate[0]);
  if (std::string(run.target) == "/stream")
    Spawn(io.get_executor(), "publish", Publish(&fan, clock.get(), run.clients, run.burst));

  const Cpu before = CpuSeconds();
  const auto begin = std::chrono::steady_clock::now();
  if (::write(gate[1], "g", 1) != 1) std::abort();
  long rss = 0;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    io.run_for(std::chrono::milliseconds(50));
    rss = std::max(rss, ResidentKib());
  }
  const double wall = Seconds(std::chrono::steady_clock::now() - begin).count();
  const Cpu after = CpuSeconds();
  const double total = static_cast<double>(run.clients) * run.per_client;
  const double user = (after.user - before.user) / total * 1e6;
  const double system = (after.system - before.system) / total * 1e6;
  std::printf("%-30s %8.0f %s/s  server CPU each %8.2f us = %7.2f user + %8.2f system  (+%ld KiB RSS at most)%s\n",
              run.name, total / wall, run.unit, user + system, user, system, rss - rss_before,
              status == 0 ? "" : "  FAILED");
  std::fflush(stdout);
  ::close(gate[0]);
  ::close(gate[1]);
  server.reset();
  io.restart();
  io.poll();  // connections end before the clock they hold
}

// What the kernel alone takes to send a 1 KiB event's bytes to sleeping readers, a round to all of them every 2 ms: the
// floor of the figures for events.
void MeasureFloor(int readers, int rounds) {
  asio::io_context io(1);
  asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  const asio::ip::tcp::endpoint endpoint = acceptor.local_endpoint();
  const pid_t child = ::fork();
  if (child == 0) {
    asio::io_context peer_io(1);
    std::vector<asio::ip::tcp::socket> peers;
    std::vector<pollfd> polls;
    for (int i = 0; i < readers; ++i) {
      peers.emplace_back(peer_io).connect(endpoint);
      polls.push_back({peers.back().native_handle(), POLLIN, 0});
    }
    std::vector<char> buffer(64 * 1024);
    for (bool open = true; open;) {
      if (::poll(polls.data(), polls.size(), -1) < 0) std::_Exit(1);
      for (const pollfd& one : polls) {
        if (one.revents != 0) open = ::recv(one.fd, buffer.data(), buffer.size(), 0) > 0 && open;
      }
    }
    std::_Exit(0);
  }
  std::vector<asio::ip::tcp::socket> sockets;
  for (int i = 0; i < readers; ++i) {
    sockets.push_back(acceptor.accept());
    sockets.back().set_option(asio::ip::tcp::no_delay(true));
  }
  const std::string record(1024 + 7 + 22, 'x');
  const Cpu before = CpuSeconds();
  for (int round = 0; round < rounds; ++round) {
    for (asio::ip::tcp::socket& socket : sockets) {
      if (::send(socket.native_handle(), record.data(), record.size(), 0) < 0) std::abort();
    }
    ::usleep(2000);
  }
  const Cpu after = CpuSeconds();
  sockets.clear();
  int status = 0;
  ::waitpid(child, &status, 0);
  std::printf("%-30s                        CPU each %8.2f us\n", "send(2) of 1 KiB, alone",
              (after.user - before.user + after.system - before.system) / rounds / readers * 1e6);
}

}  // namespace
}  // namespace wherry::http

int main(int argc, char** argv) {
  const char* usage = "http_bench [clients=64] [requests=200000] [part of a name]";
  wherry::bench::CheckArgumentCount(argc, argv, 3, usage);
  const int clients = wherry::bench::NumberArgument(argc, argv, 1, 64, 1, 10'000, usage);
  const int requests = wherry::bench::NumberArgument(argc, argv, 2, 200'000, 1000, 1'000'000'000, usage);
  const std::string only = argc > 3 ? argv[3] : "";
  const auto Measure = [&only](wherry::http::Run run) {
    if (only.empty() || std::string(run.name).find(only) != std::string::npos) wherry::http::Measure(run);
  };
  Measure({"GET 1 KiB, 1 client", "req", 1, requests / 10, "/one"});
  Measure({"GET 1 KiB, all clients", "req", clients, requests / clients, "/one"});
  Measure({"LIST 2.4 MB of 1000, 1 client", "req", 1, requests / 1000, "/list"});
  Measure({"watch event 1 KiB, one by one", "event", clients, std::max(1, requests / 200), "/stream", 1});
  Measure({"watch event 1 KiB, 10 at once", "event", clients, std::max(1, requests / 50), "/stream", 10});
  wherry::http::MeasureFloor(clients, std::max(1, requests / 400));
  Measure({"connect, shake hands, GET", "req", 512, 1, "/one"});
}
