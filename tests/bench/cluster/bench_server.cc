#include "tests/bench/cluster/bench_server.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

extern char** environ;

namespace wherry::bench {
namespace {

Task<> One(http::HttpClient* client, std::string method, std::string target, std::string body, Json* answer) {
  http::ClientRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.body = std::move(body);
  Result<http::ClientResponse> response = co_await client->Do(std::move(request));
  if (!response.ok()) Die(response.status().message());
  *answer = Json::parse(response->body, nullptr, false);
  client->Close();  // else its connection keeps the loop running
}

Task<> RunClient(http::HttpClient* client, Load* load) {
  while (true) {
    http::ClientRequest request;
    if (!load->next(request)) break;
    Result<http::ClientResponse> response = co_await client->Do(std::move(request));
    if (response.ok() && response->status < 300) {
      ++load->done;
    } else {
      ++load->failed;
    }
  }
  client->Close();
}

}  // namespace

Server::Server(const std::string& program, int nodes, const char* durability) {
  char directory[] = "/tmp/wherry-bench-XXXXXX";
  if (!::mkdtemp(directory)) Die("mkdtemp");
  directory_ = directory;
  int out[2];
  if (::pipe(out) != 0) Die("pipe");
  const std::string count = std::to_string(nodes);
  const char* argv[] = {program.c_str(), "up",           "--data-dir", directory,     "--port",      "0",     "--nodes",
                        count.c_str(),   "--durability", durability,   "--stop-pods", "--log-level", "error", nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_addclose(&actions, out[0]);
  const auto start = Steady::now();
  if (posix_spawn(&pid_, program.c_str(), &actions, nullptr, const_cast<char**>(argv), environ) != 0)
    Die("cannot run " + program);
  posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  std::string text;
  char buffer[512];
  while (text.find("KUBECONFIG") == std::string::npos) {
    const ssize_t n = ::read(out[0], buffer, sizeof buffer);
    if (n <= 0) Die("the server ended before it was ready");
    text.append(buffer, static_cast<size_t>(n));
  }
  ready_after_ = Since(start);
  ::close(out[0]);
  const size_t colon = text.find("127.0.0.1:");
  port_ = static_cast<uint16_t>(std::atoi(text.c_str() + colon + 10));
  http::ClientTls tls;
  tls.server_cas = ReadFile(directory_ + "/pki/ca.crt");
  tls.certificate = ReadFile(directory_ + "/pki/admin.crt");
  tls.key = ReadFile(directory_ + "/pki/admin.key");
  auto context = http::TlsContext::Client(tls);
  if (!context.ok()) Die(context.status().message());
  tls_ = *context;
}

Server::~Server() {
  ::kill(pid_, SIGTERM);
  int status = 0;
  pid_t ended = 0;
  for (int i = 0; i < 300 && (ended = ::waitpid(pid_, &status, WNOHANG)) == 0; ++i) ::usleep(100'000);
  if (ended == 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

http::ClientOptions Server::client() const {
  http::ClientOptions options;
  options.port = port_;
  options.tls = tls_;
  return options;
}

pid_t Server::warden() const {
  for (const pid_t pid : ProcessesWith(directory_)) {
    if (pid != pid_) return pid;
  }
  return 0;
}

Json Loop::Call(const Server& server, const std::string& method, const std::string& target, const Json& body) {
  http::HttpClient client(io.get_executor(), *clock, server.client());
  Json answer;
  Spawn(io.get_executor(), "call", One(&client, method, target, body.is_null() ? "" : body.dump(), &answer));
  io.restart();
  io.run();
  return answer;
}

double RunLoad(const http::ClientOptions& options, int clients, Load& load) {
  Loop loop;
  std::vector<std::unique_ptr<http::HttpClient>> all;
  const auto start = Steady::now();
  for (int i = 0; i < clients; ++i) {
    all.push_back(std::make_unique<http::HttpClient>(loop.io.get_executor(), *loop.clock, options));
    Spawn(loop.io.get_executor(), "client", RunClient(all.back().get(), &load));
  }
  loop.io.run();
  return Since(start);
}

Load TimedLoad(double seconds, std::function<void(http::ClientRequest&, uint64_t)> make) {
  Load load;
  const auto end = Steady::now() + std::chrono::duration_cast<Steady::duration>(Seconds(seconds));
  load.next = [end, make, n = uint64_t{0}](http::ClientRequest& request) mutable {
    if (Steady::now() >= end) return false;
    make(request, n++);
    return true;
  };
  return load;
}

void CreateMany(const Server& server, const std::string& target, int count, const std::function<Json(int)>& make) {
  Load load;
  load.next = [&, n = 0](http::ClientRequest& request) mutable {
    if (n == count) return false;
    request.method = "POST";
    request.target = target;
    request.headers = {{"Content-Type", "application/json"}};
    request.body = make(n++).dump();
    return true;
  };
  RunLoad(server.client(), 32, load);
  if (load.failed > 0) Die(std::to_string(load.failed) + " creates failed at " + target);
}

bool Await(const Server& server, const std::string& target, double seconds,
           const std::function<bool(const Json&)>& good) {
  Loop loop;
  const auto start = Steady::now();
  while (Since(start) < seconds) {
    if (good(loop.Call(server, "GET", target))) return true;
    ::usleep(10'000);
  }
  return false;
}

Json Pod(const std::string& name) {
  return {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata", {{"name", name}, {"labels", {{"app", "bench"}}}}},
          {"spec",
           {{"restartPolicy", "Never"},
            {"terminationGracePeriodSeconds", 1},
            {"containers", Json::array({{{"name", "c"}, {"image", "bench:1"}, {"command", {"/bin/true"}}}})}}}};
}

std::string ConfigMap(const std::string& name) {
  return Json{{"apiVersion", "v1"},
              {"kind", "ConfigMap"},
              {"metadata", {{"name", name}}},
              {"data", {{"k", std::string(800, 'x')}}}}
      .dump();
}
}  // namespace wherry::bench
