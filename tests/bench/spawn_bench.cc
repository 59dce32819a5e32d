// How fast containers start and end through ProcessRuntime and the warden, against a plain posix_spawn + waitpid loop
// in the same run; and how many MB/s of output a container may write to its log. Prints one line each.
#include <spawn.h>
#include <sys/wait.h>
#include <asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "core/agent/runtime/process_runtime.h"
#include "core/agent/warden/warden_main.h"
#include "core/runtime/clock.h"
#include "tests/bench/arguments.h"
#include "tests/bench/bare_sandbox.h"

namespace {

using namespace wherry;
using SteadyClock = std::chrono::steady_clock;

double Seconds(SteadyClock::time_point since) {
  return std::chrono::duration<double>(SteadyClock::now() - since).count();
}

double PosixSpawnsPerSecond(int count) {
  const auto start = SteadyClock::now();
  char program[] = "/bin/true";
  char* argv[] = {program, nullptr};
  char* envp[] = {nullptr};
  for (int i = 0; i < count; ++i) {
    pid_t pid = 0;
    if (posix_spawn(&pid, program, nullptr, nullptr, argv, envp) != 0) exit(1);
    waitpid(pid, nullptr, 0);
  }
  return count / Seconds(start);
}

struct Bench {
  asio::io_context io;
  std::unique_ptr<Clock> clock = NewSystemClock(io);
  std::unique_ptr<ProcessRuntime> runtime;
  std::string dir, prefix;
  int started = 0, ended = 0, count = 0;
  bool steered = false;
  warden::Confinement confinement;

  ContainerSpec Spec(std::string id, std::vector<std::string> argv) const {
    ContainerSpec spec;
    spec.id = std::move(id);
    spec.argv = std::move(argv);
    spec.working_directory = "/";
    spec.log_path = dir + "/log-" + spec.id;
    if (steered) spec.bind_address = "127.88.0.1";
    spec.confinement = confinement;
    return spec;
  }

  ContainerSpec True(std::string id) const { return Spec(std::move(id), {"/bin/true"}); }
  ContainerSpec Flood(const std::string& size) const {
    constexpr char kLine[] = "a line of the usual length, with some words in it, and a number: 1234567890";
    ContainerSpec spec = Spec("flood", {"/bin/sh", "-c", "yes '" + std::string(kLine) + "' | head -c " + size});
    spec.env = {{"PATH", "/usr/bin:/bin"}};
    return spec;
  }

  void RunUntil(int ends) {
    while (ended < ends) io.run_one();
  }
};

// A container's life: started here, removed when its end is told, followed by the next one.
Task<> StartNext(Bench& bench, std::string ended) {
  if (!ended.empty()) {
    const Status removed = co_await bench.runtime->Remove(ended);
    if (!removed.ok()) exit(1);
  }
  if (bench.started == bench.count) co_return;
  const std::string id = bench.prefix + std::to_string(bench.started++);
  const auto result = co_await bench.runtime->Start(bench.True(id));
  if (!result.ok()) {
    fprintf(stderr, "%s\n", result.status().message().c_str());
    exit(1);
  }
}

Task<> Stop(Bench& bench) {
  const Status stopped = co_await bench.runtime->StopWarden();
  if (!stopped.ok()) fprintf(stderr, "%s\n", stopped.message().c_str());
  bench.io.stop();
}

double ContainersPerSecond(Bench& bench, const std::string& prefix, int count, int starters) {
  bench.started = bench.ended = 0;
  bench.count = count;
  bench.prefix = prefix;
  const auto start = SteadyClock::now();
  for (int i = 0; i < starters; ++i) Spawn(bench.io.get_executor(), "bench", StartNext(bench, ""));
  bench.RunUntil(count);
  return count / Seconds(start);
}

Task<> StartFlood(Bench& bench, std::string size) {
  const auto result = co_await bench.runtime->Start(bench.Flood(size));
  if (!result.ok()) exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto status = MaybeRunWarden(argc, argv)) return *status;
  const char* usage = "spawn_bench [containers]";
  bench::CheckArgumentCount(argc, argv, 1, usage);
  const int count = bench::NumberArgument(argc, argv, 1, 2000, 4, 1'000'000, usage);
  std::string name = (std::filesystem::temp_directory_path() / "wherry-bench-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) return 1;
  Bench bench;
  bench.dir = name;
  ProcessRuntimeOptions options;
  options.data_dir = name;
  bench.runtime = std::make_unique<ProcessRuntime>(bench.io, *bench.clock, options);
  bench.runtime->set_on_exit([&bench](const ContainerState& state) {
    ++bench.ended;
    Spawn(bench.io.get_executor(), "bench", StartNext(bench, state.id));
  });

  const double plain = PosixSpawnsPerSecond(count);
  printf("posix_spawn+waitpid:           %8.0f per s\n", plain);
  for (const int starters : {1, 8, 32}) {
    bench.steered = false;
    const double ours = ContainersPerSecond(bench, "c" + std::to_string(starters) + "-", count, starters);
    printf("containers, %2d at a time:      %8.0f per s  ratio %.2f\n", starters, ours, ours / plain);
  }
  bench.steered = true;
  const double steered = ContainersPerSecond(bench, "s", count, 8);
  printf("containers, 8, binds steered:  %8.0f per s  ratio %.2f\n", steered, steered / plain);

  bench.steered = false;
  struct Row {
    const char* what;
    std::vector<std::string> places;
    bool sandbox;
  };
  const Row rows[] = {{"a volume over what is there: ", {"/srv"}, false},
                      {"a volume at /etc/<missing>:  ", {"/etc/wherry-bench"}, false},
                      {"a volume at /<missing>:      ", {"/wherry-bench"}, false},
                      {"a volume at /dev/<missing>:  ", {"/dev/wherry-bench"}, false},
                      {"sandbox:                     ", {}, true}};
  std::filesystem::create_directory(bench.dir + "/volume");
  double sandboxed = 0;
  for (const Row& row : rows) {
    bench.confinement = warden::Confinement();
    bench.confinement.sandbox = row.sandbox;
    for (const std::string& place : row.places)
      bench.confinement.mounts.push_back({bench.dir + "/volume", place, false});
    const double mounted = ContainersPerSecond(bench, "m" + std::to_string(&row - rows) + "-", count / 4, 8);
    printf("%s   %8.0f per s  ratio %.2f\n", row.what, mounted, mounted / plain);
    sandboxed = mounted;  // the last row's
  }
  bench.confinement = warden::Confinement();
  const auto bare_start = SteadyClock::now();
  const int bare_count = count / 20 + 1;
  bool granted = true;
  for (int i = 0; i < bare_count && granted; ++i) granted = bench::BareSandbox() >= 0;
  if (granted) {
    const double bare = bare_count / Seconds(bare_start);
    printf("a clone with its mounts, alone:%8.0f per s  ratio %.2f; the sandbox's to it %.2f\n", bare, bare / plain,
           sandboxed / bare);
  }

  bench.started = bench.count = bench.ended = 0;
  const auto start = SteadyClock::now();
  Spawn(bench.io.get_executor(), "flood", StartFlood(bench, "1000000000"));
  bench.RunUntil(1);
  printf("log of one container:          %8.0f MB/s\n", 1000 / Seconds(start));

  bench.io.restart();
  Spawn(bench.io.get_executor(), "stop", Stop(bench));
  bench.io.run();
  std::filesystem::remove_all(name);
  return 0;
}
