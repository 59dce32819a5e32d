#include <sys/wait.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "tests/bench/cluster/bench_server.h"
#include "tests/bench/cluster/sections.h"

namespace wherry::bench {

void BenchPods(const std::string& program) {
  constexpr int kPods = 1000;
  Server server(program, 10);
  const std::string pods = kPodsPath;
  const pid_t warden = server.warden();
  const double cpu_before = CpuOf(server.pid()), warden_before = CpuOf(warden);
  const auto start = Steady::now();
  CreateMany(server, pods, kPods, [](int i) { return Pod("p" + std::to_string(i)); });
  // Few pods are left to ask for towards the end, so that asking does not cost more than running them.
  const bool all = Await(server, pods + "?fieldSelector=status.phase!%3DSucceeded", 60,
                         [](const Json& list) { return ListAt(list, "items").empty(); });
  const double took = Since(start);
  const double cpu = CpuOf(server.pid()) - cpu_before, warden_cpu = CpuOf(warden) - warden_before;
  if (!all) Die("the pods did not all succeed within a minute");

  const auto bare_start = Steady::now();
  for (int i = 0; i < kPods; ++i) ::waitpid(StartProgram({"/bin/true"}), nullptr, 0);
  const double bare = Since(bare_start);
  std::printf(
      "pods: %d created, scheduled, run to their end and reported: %.0f/s; posix_spawn + wait loop: %.0f/s; ratio "
      "%.2f; %.0f us CPU of the server and %.0f us of the warden each\n",
      kPods, kPods / took, kPods / bare, bare / took, cpu / kPods * 1e6, warden_cpu / kPods * 1e6);
}
}  // namespace wherry::bench
