// Pods placed per second in clusters of 1,000 and 5,000 nodes: the decisions alone, and the whole scheduler on a fake
// client (queue, events, binds and their events, all documents parsed as they come; only the store and the registry are
// missing). For scale: the floor that kube-scheduler's own CI sets itself at 5,000 nodes is 270 pods a second.
//
//   scheduler_bench [pods]

#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/scheduler/placement.h"
#include "tests/bench/arguments.h"
#include "tests/core/scheduler/fake_cluster.h"

namespace wherry::testing {
namespace {

using SteadyClock = std::chrono::steady_clock;

double Since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

Json Node(int i) {
  const std::string name = "node-" + std::to_string(i);
  return NodeJson(name, {{"metadata",
                          {{"labels",
                            {{"kubernetes.io/arch", "amd64"},
                             {"kubernetes.io/os", "linux"},
                             {"topology.kubernetes.io/zone", "zone-" + std::to_string(i % 10)},
                             {"node.kubernetes.io/instance-type", "m"}}}}},
                         {"status", {{"allocatable", {{"cpu", "32"}, {"memory", "64Gi"}}}}}});
}

struct Workload {
  const char* name;
  Json (*pod)(int i, int nodes);
};

Json Plain(int i, int) { return PodAsking("pod-" + std::to_string(i), "100m", "128Mi"); }

Json Selecting(int i, int) {
  Json pod = Plain(i, 0);
  pod["spec"]["nodeSelector"] = {{"topology.kubernetes.io/zone", "zone-" + std::to_string(i % 10)}};
  return pod;
}

// As the DaemonSet controller makes them: one for each node in turn.
Json Daemon(int i, int nodes) {
  Json pod = Plain(i, 0);
  pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] = {
      {{"matchFields",
        {{{"key", "metadata.name"}, {"operator", "In"}, {"values", {"node-" + std::to_string(i % nodes)}}}}}}};
  return pod;
}

Json TooLarge(int i, int) { return PodAsking("pod-" + std::to_string(i), "64", "128Mi"); }

constexpr Workload kWorkloads[] = {
    {"plain", Plain}, {"node selector", Selecting}, {"daemon pods", Daemon}, {"too large for all", TooLarge}};

double DecisionsPerSecond(const Workload& workload, int nodes, int pods) {
  Snapshot snapshot;
  for (int i = 0; i < nodes; ++i) snapshot.PutNode(*Stored(Node(i)));
  std::vector<ObjectPtr> objects;
  for (int i = 0; i < pods; ++i) {
    objects.push_back(Stored(workload.pod(i, nodes)));
    objects.back()->view<PodDemand>();
  }
  const Profile profile = DefaultProfile();
  Placer placer(1);
  const auto start = SteadyClock::now();
  for (const ObjectPtr& pod : objects) {
    const Placement placement = placer.Place(profile, pod->view<PodDemand>(), snapshot);
    if (placement.node != nullptr) snapshot.Assume(pod, placement.node->name);
  }
  return pods / Since(start);
}

double PodsPerSecond(const Workload& workload, int nodes, int pods) {
  FakeCluster cluster;
  for (int i = 0; i < nodes; ++i) cluster.Put(Node(i));
  Scheduler scheduler(cluster.context());
  scheduler.Start();
  cluster.Settle();
  std::vector<Json> documents;
  for (int i = 0; i < pods; ++i) documents.push_back(workload.pod(i, nodes));
  const auto start = SteadyClock::now();
  for (Json& document : documents) cluster.Put(std::move(document));
  cluster.Settle();
  return pods / Since(start);
}

void Run(int pods) {
  constexpr double kFloor = 270;
  std::printf("%-18s %6s %15s %15s %12s\n", "pods", "nodes", "decisions/s", "pods/s", "x 270/s");
  for (const int nodes : {1000, 5000}) {
    for (const Workload& workload : kWorkloads) {
      const double decisions = DecisionsPerSecond(workload, nodes, pods);
      const double whole = PodsPerSecond(workload, nodes, pods);
      std::printf("%-18s %6d %15.0f %15.0f %12.1f\n", workload.name, nodes, decisions, whole, whole / kFloor);
    }
  }
}

}  // namespace
}  // namespace wherry::testing

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::warn);
  const char* usage = "scheduler_bench [pods]";
  wherry::bench::CheckArgumentCount(argc, argv, 1, usage);
  wherry::testing::Run(wherry::bench::NumberArgument(argc, argv, 1, 10'000, 1, 10'000'000, usage));
  return 0;
}
