#include "core/controllers/autoscaler/replica_count.h"

#include <catch2/catch.hpp>
#include <list>
#include <nlohmann/json.hpp>

namespace wherry {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const Time kNow = Time(std::chrono::hours(480'000));

// Pods of a workload, each with one container that requests 1 CPU and 1 GiB.
class World {
 public:
  // Long ready, using so many thousandths of a CPU.
  World& Ready(int64_t milli) { return Add("Running", true, minutes(60), minutes(59), milli, seconds(30)); }
  // Ready since `ready_for`, started `age` ago; measured over `window`.
  World& Add(const char* phase, bool ready, Duration age, Duration ready_for, std::optional<int64_t> milli,
             Duration window) {
    Json pod = {{"metadata", {{"name", "p" + std::to_string(views_.size())}}},
                {"spec", {{"containers", {{{"name", "c"}, {"resources", {{"requests", requests}}}}}}}},
                {"status",
                 {{"phase", phase},
                  {"startTime", FormatTime(kNow - age)},
                  {"conditions",
                   {{{"type", "Ready"},
                     {"status", ready ? "True" : "False"},
                     {"lastTransitionTime", FormatTime(kNow - ready_for)}}}}}}};
    if (deleting) pod["metadata"]["deletionTimestamp"] = FormatTime(kNow);
    views_.emplace_back(pod);
    if (milli) usages_.push_back({kNow, window, {{"c", *milli * 1'000'000, *milli << 20}}});
    pods_.push_back({&views_.back(), milli ? &usages_.back() : nullptr});
    return *this;
  }
  World& Missing() { return Add("Running", true, minutes(60), minutes(59), std::nullopt, seconds(0)); }
  World& Unready(int64_t milli) { return Add("Running", false, minutes(2), minutes(2), milli, seconds(30)); }

  Result<ReplicaCount> Cpu(int64_t percent, int64_t current = -1) const {
    ResourceMetric metric;
    metric.resource = "cpu";
    metric.utilization = percent;
    return CountReplicas(metric, current < 0 ? static_cast<int64_t>(pods_.size()) : current, pods_, Tolerance(), kNow);
  }
  Result<ReplicaCount> Count(const ResourceMetric& metric) const {
    return CountReplicas(metric, static_cast<int64_t>(pods_.size()), pods_, Tolerance(), kNow);
  }

  Json requests = {{"cpu", "1"}, {"memory", "1Gi"}};
  bool deleting = false;

 private:
  std::list<ScaledPodView> views_;
  std::list<PodUsage> usages_;
  std::vector<ScaledPod> pods_;
};

}  // namespace

TEST_CASE("replicas are usage over target, rounded up, and left alone near 1") {
  struct Row {
    std::vector<int64_t> used;
    int64_t target, replicas, utilization;
  };
  const Row rows[] = {
      {{500, 500, 500}, 50, 3, 50}, {{600, 600, 600}, 50, 4, 60},      {{540, 540, 540}, 50, 3, 54},
      {{1000, 1000}, 50, 4, 100},   {{100, 100, 100, 100}, 50, 1, 10}, {{0, 0}, 50, 0, 0},
      {{460, 460, 460}, 50, 3, 46}, {{440, 440, 440}, 50, 3, 44},      {{1000, 0, 0}, 30, 3, 33},
      {{5000}, 80, 7, 500},
  };
  for (const Row& row : rows) {
    World world;
    for (int64_t used : row.used) world.Ready(used);
    const Result<ReplicaCount> count = world.Cpu(row.target);
    REQUIRE(count.ok());
    CAPTURE(row.used, row.target);
    CHECK(count->replicas == row.replicas);
    CHECK(count->utilization == row.utilization);
  }
}

TEST_CASE("pods that were not measured count against the direction of the change") {
  // Upwards they use nothing, so that 2 x 1000 of 3 is 66 % of a target of 50.
  CHECK(World().Ready(1000).Ready(1000).Missing().Cpu(50)->replicas == 4);
  // Downwards they use all they request: (200 + 1000) / 2 is above 50.
  CHECK(World().Ready(200).Missing().Cpu(50)->replicas == 2);
  // Many idle ones and one unknown: 700 of 5 is 28 % of 50.
  CHECK(World().Ready(100).Ready(100).Ready(100).Ready(100).Missing().Cpu(50)->replicas == 3);
  // It turns the direction: nothing changes.
  CHECK(World().Ready(600).Missing().Missing().Cpu(50)->replicas == 3);
}

TEST_CASE("pods that are not ready do not speed up, and are not counted downwards") {
  CHECK(World().Ready(1000).Unready(1000).Cpu(50)->replicas == 2);  // 1000 of 2 is at the target
  CHECK(World().Ready(1000).Ready(1000).Unready(1000).Cpu(40)->replicas == 5);
  CHECK(World().Ready(100).Ready(100).Unready(1000).Cpu(50)->replicas == 1);
  const Result<ReplicaCount> none = World().Unready(1000).Cpu(50);
  CHECK(none.status().message() == "did not receive metrics for targeted pods (pods might be unready)");
}

TEST_CASE("a pod's first five minutes count only while it was ready throughout what was measured") {
  const auto counted = [](bool ready, Duration age, Duration since) {
    World world;
    world.Ready(1000).Add("Running", ready, age, since, 1000, seconds(30));
    return world.Cpu(50)->replicas == 4;
  };
  CHECK(counted(true, minutes(4), minutes(2)));
  CHECK_FALSE(counted(true, minutes(4), seconds(20)));  // the window reaches back before it was ready
  CHECK_FALSE(counted(false, minutes(4), minutes(2)));
  CHECK(counted(true, minutes(10), seconds(20)));
  CHECK(counted(false, minutes(10), minutes(1)));         // was ready, and lost it
  CHECK_FALSE(counted(false, minutes(10), minutes(10)));  // never was
}

TEST_CASE("memory counts from the start") {
  ResourceMetric memory;
  memory.resource = "memory";
  memory.utilization = 50;
  World world;
  world.Unready(1024).Unready(1024);
  CHECK(world.Count(memory)->replicas == 4);
}

TEST_CASE("ended and going pods are not looked at") {
  World world;
  world.Ready(1000).Add("Failed", false, minutes(60), minutes(1), 1000, seconds(30));
  world.deleting = true;
  world.Ready(5000);
  CHECK(world.Cpu(50, 1)->replicas == 2);
  CHECK(
      World().Ready(1000).Add("Pending", false, minutes(60), minutes(1), std::nullopt, seconds(0)).Cpu(50)->replicas ==
      2);
}

TEST_CASE("a target for each pod needs no requests; one in percent does") {
  ResourceMetric metric;
  metric.resource = "cpu";
  metric.average_milli = 250;
  World world;
  world.requests = Json::object();
  world.Ready(500).Ready(600);
  CHECK(world.Count(metric)->replicas == 5);
  CHECK(world.Count(metric)->average_milli == 550);
  CHECK_FALSE(world.Count(metric)->utilization);
  CHECK(world.Cpu(50).status().message() == "missing request for cpu in container c of Pod p0");
}

TEST_CASE("one container of each pod can be what counts") {
  ResourceMetric metric;
  metric.resource = "cpu";
  metric.utilization = 50;
  metric.container = "c";
  World world;
  world.Ready(1000);
  CHECK(world.Count(metric)->replicas == 2);
  metric.container = "other";
  CHECK(world.Count(metric).status().message() == "container other not present in metrics for pod p0");
}

}  // namespace wherry
