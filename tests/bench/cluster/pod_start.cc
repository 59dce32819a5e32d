// From the bind of a pod to its being Running, and how many pods start per second: plain processes and sandboxes.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/kinds/fields.h"
#include "tests/bench/bare_sandbox.h"
#include "tests/bench/cluster/bench_server.h"
#include "tests/bench/cluster/sections.h"

namespace wherry::bench {
namespace {

constexpr int kAlone = 100;  // pods that start one after the other
constexpr int kAtOnce = 200;
constexpr int kPatience = 120;  // seconds

Json Sleeper(const std::string& name, const char* runtime_class) {
  Json pod = Pod(name);
  pod["spec"]["runtimeClassName"] = runtime_class;
  pod["spec"]["terminationGracePeriodSeconds"] = 0;
  pod["spec"]["containers"][0]["command"] = {"/bin/sleep", "1000"};
  return pod;
}

// When a watcher saw each pod bound and running, in seconds after `start`.
struct Sightings {
  Steady::time_point start = Steady::now();
  std::map<std::string, double> bound, running;

  void See(const Json& pod) {
    const std::string name = StringAt(pod, "metadata.name");
    if (!StringAt(pod, "spec.nodeName").empty()) bound.emplace(name, Since(start));
    if (StringAt(pod, "status.phase") == "Running") running.emplace(name, Since(start));
  }
};

Task<> Watch(http::HttpClient* client, Sightings* sightings, std::shared_ptr<http::ClientStream>* stream) {
  http::ClientRequest request;
  request.target = std::string(kPodsPath) + "?watch=true";
  Result<std::shared_ptr<http::ClientStream>> opened = co_await client->Open(std::move(request));
  if (!opened.ok()) Die("watch: " + opened.status().message());
  *stream = *opened;
  while (true) {
    Result<std::optional<std::string>> line = co_await (*stream)->ReadLine();
    if (!line.ok() || !line->has_value()) co_return;
    sightings->See(At(Json::parse(**line, nullptr, false), "object"));
  }
}

Task<> Create(http::HttpClient* client, Json pod) {
  http::ClientRequest request;
  request.method = "POST";
  request.target = kPodsPath;
  request.headers = {{"Content-Type", "application/json"}};
  request.body = pod.dump();
  Result<http::ClientResponse> answer = co_await client->Do(std::move(request));
  if (!answer.ok() || answer->status != 201) Die("POST of a pod");
}

struct Starts {
  std::vector<double> latencies;  // of those that started alone
  double per_second = 0;
};

Task<> StartAll(Loop* loop, http::HttpClient* client, const char* runtime_class, Sightings* sightings,
                std::shared_ptr<http::ClientStream>* stream, Starts* starts) {
  const auto deadline = Steady::now() + std::chrono::seconds(kPatience);
  const auto await_running = [&](size_t count) -> bool {
    if (Steady::now() > deadline) Die(std::string("pods of class ") + runtime_class + " do not become Running");
    return sightings->running.size() >= count;
  };
  while (!*stream) co_await loop->clock->Sleep(std::chrono::milliseconds(5));
  for (int i = 0; i < kAlone; ++i) {
    const std::string name = "alone-" + std::to_string(i);
    Json pod = Sleeper(name, runtime_class);
    co_await Create(client, std::move(pod));
    while (!await_running(static_cast<size_t>(i) + 1)) co_await loop->clock->Sleep(std::chrono::milliseconds(1));
    starts->latencies.push_back(sightings->running.at(name) - sightings->bound.at(name));
  }
  const auto start = Steady::now();
  for (int i = 0; i < kAtOnce; ++i) {
    Json pod = Sleeper("at-once-" + std::to_string(i), runtime_class);
    co_await Create(client, std::move(pod));
  }
  while (!await_running(kAlone + kAtOnce)) co_await loop->clock->Sleep(std::chrono::milliseconds(1));
  starts->per_second = kAtOnce / Since(start);
  (*stream)->Close();
  client->Close();
}

Starts MeasureStarts(const std::string& program, const char* runtime_class) {
  Server server(program, 4);
  Loop loop;
  Sightings sightings;
  Starts starts;
  std::shared_ptr<http::ClientStream> stream;
  http::HttpClient watcher(loop.io.get_executor(), *loop.clock, server.client());
  http::HttpClient writer(loop.io.get_executor(), *loop.clock, server.client());
  Spawn(loop.io.get_executor(), "watch", Watch(&watcher, &sightings, &stream));
  Spawn(loop.io.get_executor(), "start", StartAll(&loop, &writer, runtime_class, &sightings, &stream, &starts));
  loop.io.run();
  return starts;
}

// Seconds of one posix_spawn and its wait.
double BareSpawn() {
  const auto start = Steady::now();
  ::waitpid(StartProgram({"/bin/true"}), nullptr, 0);
  return Since(start);
}

}  // namespace

void BenchPodStart(const std::string& program) {
  struct Row {
    const char* runtime_class;
    const char* limit;
    double (*bare)();
  };
  const Row rows[] = {{"host", "posix_spawn + wait", BareSpawn},
                      {"sandbox", "clone with the same namespaces and mounts + wait", BareSandbox}};
  for (const Row& row : rows) {
    if (row.bare() < 0) {
      std::printf("pod start, %s: this user is granted no namespaces here\n", row.runtime_class);
      continue;
    }
    const Starts starts = MeasureStarts(program, row.runtime_class);
    std::vector<double> bare;
    for (int i = 0; i < kAlone; ++i) bare.push_back(row.bare());
    const double median = Quantile(starts.latencies, 0.5), bare_median = Quantile(bare, 0.5);
    std::printf(
        "pod start, %s: bound to Running, alone: p50 %.2f ms, p99 %.2f ms; %s: p50 %.2f ms, p99 %.2f ms; ratio %.1f; "
        "%d "
        "at once, created, scheduled and Running: %.0f/s; ratio %.2f\n",
        row.runtime_class, median * 1e3, Quantile(starts.latencies, 0.99) * 1e3, row.limit, bare_median * 1e3,
        Quantile(bare, 0.99) * 1e3, median / bare_median, kAtOnce, starts.per_second, starts.per_second * bare_median);
  }
}

void BenchPodMemory(const std::string& program) {
  constexpr int kPods = 500;
  Server server(program, 5);
  const auto sleeper = [](int i) { return Sleeper("p" + std::to_string(i), "host"); };
  const auto running = [&](int count) {
    return Await(server, std::string(kPodsPath) + "?fieldSelector=status.phase!%3DRunning", kPatience,
                 [](const Json& list) { return ListAt(list, "items").empty(); }) &&
           Await(server, std::string(kPodsPath) + "?limit=1", kPatience, [count](const Json& list) {
             return IntAt(list, "metadata.remainingItemCount") == count - 1 || count == 1;
           });
  };
  // The first one brings the warden, and opens everything once.
  CreateMany(server, kPodsPath, 1, sleeper);
  if (!running(1)) Die("the first pod does not become Running");
  ::usleep(4'000'000);  // until the server has given back what only starting needed
  const double before = ResidentMib(server.pid()), warden_before = ResidentMib(server.warden());
  CreateMany(server, kPodsPath, kPods, [&](int i) { return sleeper(i + 1); });
  if (!running(kPods + 1)) Die("the pods do not all become Running");
  ::usleep(2'000'000);
  const double kib = 1024.0 / kPods;
  const double server_kib = (ResidentMib(server.pid()) - before) * kib;
  const double warden_kib = (ResidentMib(server.warden()) - warden_before) * kib;
  const pid_t sleep = StartProgram({"/bin/sleep", "1000"});
  ::usleep(100'000);
  const double bare = ResidentMib(sleep) * 1024;
  ::kill(sleep, SIGKILL);
  ::waitpid(sleep, nullptr, 0);
  std::printf(
      "memory of running pods: %d pods of one `sleep`: %.1f KiB more in the server and %.1f KiB in the warden for "
      "each; "
      "the sleep itself %.0f KiB; ratio %.2f\n",
      kPods, server_kib, warden_kib, bare, (server_kib + warden_kib) / bare);
}

}  // namespace wherry::bench
