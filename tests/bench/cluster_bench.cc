// What the whole cluster costs, against the physical limit of the same machine in the same run. Starts `wherry up` as a
// process of its own, talks to it over TLS like any client, and reads its CPU time and memory from /proc. Bounded in
// time; stops what it starts.
//   cluster_bench WHERRY [section …]      sections: start create get list watch pods deployment daemonset memory;
//                                         none = all

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "api/http/http_client.h"
#include "api/http/server.h"
#include "core/kinds/fields.h"
#include "core/runtime/clock.h"
#include "store/json.h"

extern char** environ;

namespace wherry {
namespace {

using Seconds = std::chrono::duration<double>;
using Steady = std::chrono::steady_clock;

double Since(Steady::time_point start) { return Seconds(Steady::now() - start).count(); }

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "cluster_bench: %s\n", why.c_str());
  std::exit(1);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) Die("cannot read " + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// CPU seconds of a process so far.
double CpuOf(pid_t pid) {
  const std::string stat = ReadFile("/proc/" + std::to_string(pid) + "/stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string skip;
  for (int i = 0; i < 11; ++i) fields >> skip;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double ResidentMib(pid_t pid) {
  std::istringstream lines(ReadFile("/proc/" + std::to_string(pid) + "/status"));
  std::string line;
  while (std::getline(lines, line)) {
    if (line.starts_with("VmRSS:")) return std::atof(line.c_str() + 6) / 1024;
  }
  return 0;
}

// The processes whose command line holds `text`.
std::vector<pid_t> ProcessesWith(const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "cmdline");
    const std::string line((std::istreambuf_iterator<char>(file)), {});
    if (line.find(text) != std::string::npos) found.push_back(std::atoi(name.c_str()));
  }
  return found;
}

// A server in a temporary directory, ended with its pods when it goes out of scope.
class Server {
 public:
  Server(const std::string& program, int nodes, const char* durability = "full") {
    char directory[] = "/tmp/wherry-bench-XXXXXX";
    if (!::mkdtemp(directory)) Die("mkdtemp");
    directory_ = directory;
    int out[2];
    if (::pipe(out) != 0) Die("pipe");
    const std::string count = std::to_string(nodes);
    const char* argv[] = {program.c_str(), "up",          "--data-dir",   directory,  "--port",      "0",
                          "--nodes",       count.c_str(), "--durability", durability, "--stop-pods", "--log-level",
                          "error",         nullptr};
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
  ~Server() {
    ::kill(pid_, SIGTERM);
    int status;
    for (int i = 0; i < 300 && ::waitpid(pid_, &status, WNOHANG) == 0; ++i) ::usleep(100'000);
    ::kill(pid_, SIGKILL);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  http::ClientOptions client() const {
    http::ClientOptions options;
    options.port = port_;
    options.tls = tls_;
    return options;
  }
  pid_t pid() const { return pid_; }
  double ready_after() const { return ready_after_; }
  const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
  pid_t pid_ = 0;
  uint16_t port_ = 0;
  double ready_after_ = 0;
  http::TlsContextPtr tls_;
};

// An event loop with clients on it.
struct Loop {
  asio::io_context io{1};
  std::unique_ptr<Clock> clock = NewSystemClock(io);

  Json Call(const Server& server, const std::string& method, const std::string& target, const Json& body = {}) {
    http::HttpClient client(io.get_executor(), *clock, server.client());
    Json answer;
    Spawn(io.get_executor(), "call", One(&client, method, target, body.is_null() ? "" : body.dump(), &answer));
    io.restart();
    io.run();
    return answer;
  }
  static Task<> One(http::HttpClient* client, std::string method, std::string target, std::string body, Json* answer) {
    http::ClientRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    Result<http::ClientResponse> response = co_await client->Do(std::move(request));
    if (!response.ok()) Die(response.status().message());
    *answer = Json::parse(response->body, nullptr, false);
    client->Close();  // else its connection keeps the loop running
  }
};

// Requests made by `clients` keep-alive connections until `next` gives no more.
struct Load {
  std::function<bool(http::ClientRequest&)> next;
  uint64_t done = 0, failed = 0;
};

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

std::string ConfigMap(const std::string& name) {
  return Json{{"apiVersion", "v1"},
              {"kind", "ConfigMap"},
              {"metadata", {{"name", name}}},
              {"data", {{"k", std::string(800, 'x')}}}}
      .dump();
}

// 1 KiB rows, `group` to a durable transaction, for a while: what SQLite itself does. Gives rows per second, and the
// CPU seconds of one.
std::pair<double, double> BareSqlite(const std::string& directory, int group, double seconds) {
  const std::string path = directory + "/bare.db";
  sqlite3* db = nullptr;
  if (sqlite3_open(path.c_str(), &db) != SQLITE_OK) Die("sqlite3_open");
  sqlite3_exec(
      db,
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, b BLOB)",
      nullptr, nullptr, nullptr);
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v2(db, "INSERT INTO t(b) VALUES(?)", -1, &insert, nullptr);
  const std::string row(1024, 'x');
  uint64_t rows = 0;
  const auto start = Steady::now();
  const double cpu_before = CpuOf(::getpid());
  while (Since(start) < seconds) {
    sqlite3_exec(db, "BEGIN", nullptr, nullptr, nullptr);
    for (int i = 0; i < group; ++i, ++rows) {
      sqlite3_bind_blob(insert, 1, row.data(), static_cast<int>(row.size()), SQLITE_STATIC);
      sqlite3_step(insert);
      sqlite3_reset(insert);
    }
    sqlite3_exec(db, "COMMIT", nullptr, nullptr, nullptr);
  }
  const double took = Since(start);
  sqlite3_finalize(insert);
  sqlite3_close(db);
  return {static_cast<double>(rows) / took, (CpuOf(::getpid()) - cpu_before) / static_cast<double>(rows)};
}

void BenchStart(const std::string& program) {
  std::vector<double> ready, bare;
  double rss = 0, warden = 0, cpu = 0;
  for (int i = 0; i < 5; ++i) {
    // A bare process that opens an SQLite database.
    char directory[] = "/tmp/wherry-bench-XXXXXX";
    if (!::mkdtemp(directory)) Die("mkdtemp");
    const auto start = Steady::now();
    pid_t child;
    const std::string path = std::string(directory) + "/x.db";
    const char* argv[] = {"/proc/self/exe", "--open-sqlite", path.c_str(), nullptr};
    if (posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, const_cast<char**>(argv), environ) != 0)
      Die("posix_spawn");
    ::waitpid(child, nullptr, 0);
    bare.push_back(Since(start));
    std::filesystem::remove_all(directory);

    Server server(program, 3);
    ready.push_back(server.ready_after());
    if (i < 4) continue;
    ::usleep(1'500'000);
    const double before = CpuOf(server.pid());
    ::usleep(10'000'000);
    cpu = (CpuOf(server.pid()) - before) / 10;
    rss = ResidentMib(server.pid());
    for (pid_t pid : ProcessesWith(server.directory())) {
      if (pid != server.pid()) warden += ResidentMib(pid);
    }
  }
  std::sort(ready.begin(), ready.end());
  std::sort(bare.begin(), bare.end());
  std::printf("start: 3 Ready nodes after %.1f ms (median of 5); bare process opening SQLite %.1f ms; ratio %.1f\n",
              ready[2] * 1e3, bare[2] * 1e3, ready[2] / bare[2]);
  std::printf("idle: %.1f MiB server + %.1f MiB warden resident; %.2f %% CPU over 10 s\n", rss, warden, cpu * 100);
}

void BenchCreate(const std::string& program) {
  for (int clients : {1, 64}) {
    Server server(program, 0);
    Load load = TimedLoad(3, [](http::ClientRequest& request, uint64_t n) {
      request.method = "POST";
      request.target = "/api/v1/namespaces/default/configmaps";
      request.headers = {{"Content-Type", "application/json"}};
      request.body = ConfigMap("c" + std::to_string(n));
    });
    const double before = CpuOf(server.pid());
    const double took = RunLoad(server.client(), clients, load);
    const double cpu = CpuOf(server.pid()) - before;
    const double rate = static_cast<double>(load.done) / took;
    const auto [bare, bare_cpu] = BareSqlite(server.directory(), clients, 1.5);
    std::printf(
        "create 1 KiB, durable, %2d client%s: %.0f/s; bare SQLite in groups of %d: %.0f/s; ratio %.2f; %.0f us server "
        "CPU each (SQLite alone %.0f us); %llu failed\n",
        clients, clients == 1 ? " " : "s", rate, clients, bare, rate / bare, cpu / static_cast<double>(load.done) * 1e6,
        bare_cpu * 1e6, static_cast<unsigned long long>(load.failed));
  }
}

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

Json Pod(const std::string& name, bool simulated_node) {
  Json pod = {{"apiVersion", "v1"},
              {"kind", "Pod"},
              {"metadata", {{"name", name}, {"labels", {{"app", "bench"}}}}},
              {"spec",
               {{"restartPolicy", "Never"},
                {"terminationGracePeriodSeconds", 1},
                {"containers", Json::array({{{"name", "c"}, {"image", "bench:1"}, {"command", {"/bin/true"}}}})}}}};
  if (simulated_node) pod["spec"]["nodeName"] = "nowhere";
  return pod;
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

void BenchGetAndList(const std::string& program, bool list) {
  Server server(program, 0);
  const std::string pods = "/api/v1/namespaces/default/pods";
  CreateMany(server, pods, list ? 1000 : 1, [](int i) { return Pod("p" + std::to_string(i), false); });
  if (list) {
    CompareReads("LIST of 1,000 pods", server, pods, 1);
  } else {
    CompareReads("GET", server, pods + "/p0", 64);
  }
}

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
    std::sort(fan.latencies.begin(), fan.latencies.end());
    const double each = cpu / static_cast<double>(fan.delivered) * 1e6, bare = BareSend(watchers) * 1e6;
    std::printf(
        "watch: %d events to %d watchers: %.1f us server CPU per delivered event; bare send(2) of as many bytes %.1f "
        "us; "
        "ratio %.1f; from POST p50 %.2f ms, p99 %.2f ms (the readers share the machine)\n",
        events, watchers, each, bare, each / bare, fan.latencies[fan.latencies.size() / 2] * 1e3,
        fan.latencies[fan.latencies.size() * 99 / 100] * 1e3);
  }
}

// Polls a document until `good`; false after `seconds`.
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

void BenchPods(const std::string& program) {
  constexpr int kPods = 1000;
  Server server(program, 10);
  const std::string pods = "/api/v1/namespaces/default/pods";
  pid_t warden = 0;
  for (pid_t pid : ProcessesWith(server.directory())) {
    if (pid != server.pid()) warden = pid;
  }
  const double cpu_before = CpuOf(server.pid()), warden_before = CpuOf(warden);
  const auto start = Steady::now();
  CreateMany(server, pods, kPods, [](int i) { return Pod("p" + std::to_string(i), false); });
  // Few pods are left to ask for towards the end, so that asking does not cost more than running them.
  const bool all = Await(server, pods + "?fieldSelector=status.phase!%3DSucceeded", 60,
                         [](const Json& list) { return ListAt(list, "items").empty(); });
  const double took = Since(start);
  const double cpu = CpuOf(server.pid()) - cpu_before, warden_cpu = CpuOf(warden) - warden_before;
  if (!all) Die("the pods did not all succeed within a minute");

  const auto bare_start = Steady::now();
  for (int i = 0; i < kPods; ++i) {
    pid_t child;
    const char* argv[] = {"/bin/true", nullptr};
    if (posix_spawn(&child, "/bin/true", nullptr, nullptr, const_cast<char**>(argv), environ) != 0) Die("posix_spawn");
    ::waitpid(child, nullptr, 0);
  }
  const double bare = Since(bare_start);
  std::printf(
      "pods: %d created, scheduled, run to their end and reported: %.0f/s; posix_spawn + wait loop: %.0f/s; ratio "
      "%.2f; %.0f us CPU of the server and %.0f us of the warden each\n",
      kPods, kPods / took, kPods / bare, bare / took, cpu / kPods * 1e6, warden_cpu / kPods * 1e6);
}

// When the pods of one Deployment had come how far, in seconds after the POST: the last of the three each time.
struct Progress {
  static constexpr const char* kStages[] = {"created", "bound", "running", "readyReplicas"};
  Steady::time_point sent;
  std::string name;
  int replicas = 0;
  std::map<std::string, Json> pods;
  double at[4] = {};

  bool done() const { return at[3] > 0; }
  void Note(int stage) {
    if (at[stage] == 0) at[stage] = Since(sent);
  }
  void OnPod(const Json& pod) {
    if (StringAt(pod, "metadata.labels.app") != name) return;
    pods[StringAt(pod, "metadata.name")] = pod;
    const auto all = [this](auto good) {
      int count = 0;
      for (const auto& [pod_name, document] : pods) count += good(document);
      return count == replicas;
    };
    if (all([](const Json&) { return true; })) Note(0);
    if (all([](const Json& p) { return !StringAt(p, "spec.nodeName").empty(); })) Note(1);
    if (all([](const Json& p) { return StringAt(p, "status.phase") == "Running"; })) Note(2);
  }
  void OnDeployment(const Json& deployment) {
    if (StringAt(deployment, "metadata.name") != name) return;
    if (IntAt(deployment, "status.readyReplicas") == replicas) Note(3);
  }
};

Task<> FollowProgress(http::HttpClient* client, std::string target, int* open, Progress* progress,
                      std::vector<std::shared_ptr<http::ClientStream>>* streams) {
  http::ClientRequest request;
  request.target = target + "?watch=true";
  Result<std::shared_ptr<http::ClientStream>> stream = co_await client->Open(std::move(request));
  if (!stream.ok()) Die("watch: " + stream.status().message());
  streams->push_back(*stream);
  ++*open;
  while (true) {
    Result<std::optional<std::string>> line = co_await (*stream)->ReadLine();
    if (!line.ok() || !line->has_value()) co_return;
    const Json event = Json::parse(**line, nullptr, false);
    const Json& object = At(event, "object");
    if (StringAt(object, "kind") == "Pod") {
      progress->OnPod(object);
    } else {
      progress->OnDeployment(object);
    }
  }
}

Task<> Deploy(Loop* loop, http::HttpClient* client, int* open, Progress* progress, int rounds,
              std::vector<std::array<double, 4>>* times, std::vector<std::shared_ptr<http::ClientStream>>* streams) {
  while (*open < 2) co_await loop->clock->Sleep(std::chrono::milliseconds(10));
  for (int round = 0; round < rounds; ++round) {
    co_await loop->clock->Sleep(std::chrono::milliseconds(300));
    Progress fresh;
    fresh.name = "d" + std::to_string(round);
    fresh.replicas = 3;
    Json labels = {{"app", fresh.name}};
    Json container = {{"name", "c"}, {"image", "bench:1"}, {"command", {"/bin/sleep", "1000"}}};
    Json pod_spec = {{"terminationGracePeriodSeconds", 1}, {"containers", Json::array({std::move(container)})}};
    Json deployment = {{"apiVersion", "apps/v1"},
                       {"kind", "Deployment"},
                       {"metadata", {{"name", fresh.name}}},
                       {"spec",
                        {{"replicas", fresh.replicas},
                         {"selector", {{"matchLabels", labels}}},
                         {"template", {{"metadata", {{"labels", labels}}}, {"spec", std::move(pod_spec)}}}}}};
    http::ClientRequest request;
    request.method = "POST";
    request.target = "/apis/apps/v1/namespaces/default/deployments";
    request.headers = {{"Content-Type", "application/json"}};
    request.body = deployment.dump();
    fresh.sent = Steady::now();
    *progress = std::move(fresh);
    Result<http::ClientResponse> answer = co_await client->Do(std::move(request));
    if (!answer.ok() || answer->status != 201) Die("POST of a Deployment");
    for (int i = 0; !progress->done(); ++i) {
      if (i > 10'000) Die("the Deployment did not become ready");
      co_await loop->clock->Sleep(std::chrono::milliseconds(1));
    }
    times->push_back({progress->at[0], progress->at[1], progress->at[2], progress->at[3]});
  }
  for (auto& stream : *streams) stream->Close();
  client->Close();
}

// From the POST of a Deployment to readyReplicas=3, with real processes.
void BenchDeployment(const std::string& program) {
  Server server(program, 3);
  Loop loop;
  Progress progress;
  int open = 0;
  std::vector<std::array<double, 4>> times;
  std::vector<std::shared_ptr<http::ClientStream>> streams;
  std::vector<std::unique_ptr<http::HttpClient>> clients;
  for (int i = 0; i < 3; ++i)
    clients.push_back(std::make_unique<http::HttpClient>(loop.io.get_executor(), *loop.clock, server.client()));
  Spawn(loop.io.get_executor(), "pods",
        FollowProgress(clients[0].get(), "/api/v1/namespaces/default/pods", &open, &progress, &streams));
  Spawn(loop.io.get_executor(), "deployments",
        FollowProgress(clients[1].get(), "/apis/apps/v1/namespaces/default/deployments", &open, &progress, &streams));
  Spawn(loop.io.get_executor(), "deploy", Deploy(&loop, clients[2].get(), &open, &progress, 15, &times, &streams));
  loop.io.run();

  std::vector<double> bare;
  for (size_t i = 0; i < times.size(); ++i) {
    const auto start = Steady::now();
    pid_t children[3];
    const char* argv[] = {"/bin/sleep", "1000", nullptr};
    for (pid_t& child : children) {
      if (posix_spawn(&child, "/bin/sleep", nullptr, nullptr, const_cast<char**>(argv), environ) != 0)
        Die("posix_spawn");
    }
    bare.push_back(Since(start));
    for (pid_t child : children) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
  }
  const auto median = [](std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2] * 1e3;
  };
  std::printf("deployment: from POST to the third pod");
  double last = 0;
  for (size_t stage = 0; stage < 4; ++stage) {
    std::vector<double> values;
    for (const auto& time : times) values.push_back(time[stage]);
    last = median(values);
    std::printf(" %s %.1f ms,", Progress::kStages[stage], last);
  }
  std::printf(" median of %zu; three posix_spawns %.2f ms; ratio %.1f\n", times.size(), median(bare),
              last / median(bare));
}

void BenchDaemonSet(const std::string& program) {
  for (int nodes : {1000, 5000}) {
    Server server(program, 0);
    CreateMany(server, "/api/v1/nodes", nodes, [](int i) {
      return Json{{"apiVersion", "v1"},
                  {"kind", "Node"},
                  {"metadata", {{"name", "n" + std::to_string(i)}, {"labels", {{"wherry.dev/runtime", "simulated"}}}}}};
    });
    Await(server, "/api/v1/nodes", 60, [nodes](const Json& list) {
      int ready = 0;
      for (const Json& node : ListAt(list, "items")) {
        for (const Json& c : ListAt(node, "status.conditions"))
          ready += StringAt(c, "type") == "Ready" && StringAt(c, "status") == "True";
      }
      return ready == nodes;
    });
    ::usleep(1'000'000);
    const Json set = Json::parse(
        R"({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":
      {"app":"d"}},"template":{"metadata":{"labels":{"app":"d"}},"spec":{"containers":[{"name":"c","image":"x","command":["x"]}]}}}})");
    const double cpu_before = CpuOf(server.pid());
    const auto start = Steady::now();
    CreateMany(server, "/apis/apps/v1/namespaces/default/daemonsets", 1, [&](int) { return set; });
    const bool all = Await(server, "/apis/apps/v1/namespaces/default/daemonsets/d", 120,
                           [nodes](const Json& d) { return IntAt(d, "status.numberAvailable") == nodes; });
    std::printf(
        "daemonset over %d simulated nodes: all available after %.2f s%s; %.2f s server CPU; %.0f MiB resident\n",
        nodes, Since(start), all ? "" : " (GAVE UP)", CpuOf(server.pid()) - cpu_before, ResidentMib(server.pid()));
  }
}

void BenchMemory(const std::string& program) {
  constexpr int kPods = 5000;
  Server server(program, 0);
  ::usleep(500'000);
  const double before = ResidentMib(server.pid());
  CreateMany(server, "/api/v1/namespaces/default/pods", kPods,
             [](int i) { return Pod("p" + std::to_string(i), false); });
  Loop loop;
  const double body = static_cast<double>(loop.Call(server, "GET", "/api/v1/namespaces/default/pods/p0").dump().size());
  ::usleep(500'000);
  const double after = ResidentMib(server.pid());
  std::printf("memory: %.0f bytes resident per stored pod (%d pods of %.0f bytes as JSON): ratio %.1f\n",
              (after - before) * 1048576 / kPods, kPods, body, (after - before) * 1048576 / kPods / body);
}

}  // namespace
}  // namespace wherry

int main(int argc, char** argv) {
  using namespace wherry;  // NOLINT(google-build-using-namespace)
  if (argc == 3 && std::string(argv[1]) == "--open-sqlite") {
    sqlite3* db = nullptr;
    if (sqlite3_open(argv[2], &db) != SQLITE_OK) return 1;
    sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE t(x)", nullptr, nullptr, nullptr);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
  }
  if (argc < 2) Die("usage: cluster_bench WHERRY [section …]");
  ::signal(SIGPIPE, SIG_IGN);
  struct Section {
    const char* name;
    std::function<void(const std::string&)> run;
  };
  const Section sections[] = {{"start", BenchStart},
                              {"create", BenchCreate},
                              {"get", [](const std::string& p) { BenchGetAndList(p, false); }},
                              {"list", [](const std::string& p) { BenchGetAndList(p, true); }},
                              {"watch", BenchWatch},
                              {"pods", BenchPods},
                              {"deployment", BenchDeployment},
                              {"daemonset", BenchDaemonSet},
                              {"memory", BenchMemory}};
  for (const Section& section : sections) {
    bool wanted = argc == 2;
    for (int i = 2; i < argc; ++i) wanted = wanted || section.name == std::string(argv[i]);
    if (!wanted) continue;
    section.run(argv[1]);
    std::fflush(stdout);
  }
  return 0;
}
