#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "api/http/server.h"
#include "tests/bench/cluster/bench_server.h"
#include "tests/bench/cluster/sections.h"

namespace wherry::bench {
namespace {

// The same bytes from a handler that does nothing else, in a process of its own.
struct Trivial {
  Trivial(const std::string& directory, const std::string& body) {
    int ready[2];
    if (::pipe(ready) != 0) Die("pipe");
    pid = ::fork();
    if (pid == 0) {
      asio::io_context io{1};
      auto clock = NewSystemClock(io);
      http::ServerTls tls;
      tls.certificate = ReadFile(directory + "/pki/server.crt");
      tls.key = ReadFile(directory + "/pki/server.key");
      tls.client_cas = ReadFile(directory + "/pki/ca.crt");
      http::ServerOptions options;
      options.tls = *http::TlsContext::Server(tls);
      auto text = std::make_shared<const std::string>(body);
      http::Server server(io.get_executor(), *clock, options, [text](http::ExchangePtr exchange) -> Task<> {
        http::Response response;
        response.buffers.emplace_back(text);
        exchange->Respond(std::move(response));
        co_return;
      });
      if (!server.Start().ok()) ::_exit(1);
      const uint16_t bound = server.port();
      if (::write(ready[1], &bound, sizeof bound) != sizeof bound) ::_exit(1);
      io.run();
      ::_exit(0);
    }
    if (::read(ready[0], &port, sizeof port) != sizeof port) Die("the trivial server did not start");
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Trivial() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  pid_t pid = 0;
  uint16_t port = 0;
};

struct ReadFigures {
  double rate, cpu_us;
};

ReadFigures MeasureReads(const http::ClientOptions& client, pid_t server, const std::string& target, int clients,
                         double seconds) {
  Load load = TimedLoad(seconds, [target](http::ClientRequest& request, uint64_t) { request.target = target; });
  const double before = CpuOf(server);
  const double took = RunLoad(client, clients, load);
  return {static_cast<double>(load.done) / took, (CpuOf(server) - before) / static_cast<double>(load.done) * 1e6};
}

void CompareReads(const char* what, const Server& server, const std::string& target, int clients) {
  Loop loop;
  const std::string body = loop.Call(server, "GET", target).dump();
  const ReadFigures ours = MeasureReads(server.client(), server.pid(), target, clients, 3);
  Trivial trivial(server.directory(), body);
  http::ClientOptions options = server.client();
  options.port = trivial.port;
  const ReadFigures limit = MeasureReads(options, trivial.pid, target, clients, 2);
  std::printf(
      "%s (%.1f KiB), %d client%s: %.0f/s, %.0f us server CPU each; trivial handler %.0f/s, %.0f us; CPU ratio %.2f\n",
      what, static_cast<double>(body.size()) / 1024, clients, clients == 1 ? "" : "s", ours.rate, ours.cpu_us,
      limit.rate, limit.cpu_us, ours.cpu_us / limit.cpu_us);
}

}  // namespace

void BenchGet(const std::string& program) {
  Server server(program, 0);
  CreateMany(server, kPodsPath, 1, [](int) { return Pod("p0"); });
  CompareReads("GET", server, std::string(kPodsPath) + "/p0", 64);
}

void BenchList(const std::string& program) {
  Server server(program, 0);
  CreateMany(server, kPodsPath, 1000, [](int i) { return Pod("p" + std::to_string(i)); });
  CompareReads("LIST of 1,000 pods", server, kPodsPath, 1);
}

}  // namespace wherry::bench
