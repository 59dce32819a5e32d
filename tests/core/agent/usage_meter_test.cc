#include "core/agent/usage_meter.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"
#include "tests/core/agent/agent_fixture.h"

namespace wherry {
namespace {

// A runtime that only tells what its test put there.
class TellingRuntime : public SimulatedRuntime {
 public:
  using SimulatedRuntime::SimulatedRuntime;
  Task<std::vector<ContainerUsage>> Usage() override {
    ++asked;
    co_return usages;
  }
  std::vector<ContainerUsage> usages;
  int asked = 0;
};

}  // namespace

TEST_CASE("CPU is the mean since the last measurement, and one is kept for ten seconds") {
  AgentCluster a;
  a.AddNode("n", false);
  a.AddPod("web", "n");
  a.cluster.Settle();
  const ObjectPtr pod = a.cluster.Get(resources::kPods, "default", "web");
  REQUIRE(a.State("web") == "running");
  TellingRuntime runtime(a.cluster.clock());
  UsageMeter meter(a.cluster.clock(), a.cluster.plane().cache(), runtime);
  const auto read = [&] {
    const auto refresh = [](UsageMeter* one) -> Task<bool> {
      co_await one->Refresh();
      co_return true;
    };
    a.cluster.Run(refresh(&meter));
    PodUsage usage;
    return meter.Read(pod, &usage) ? usage : PodUsage();
  };
  CHECK(read().containers.empty());  // nothing is known of it
  a.cluster.Advance(std::chrono::seconds(10));
  const Time start = a.cluster.clock().Now() - std::chrono::seconds(20);
  const std::string id = StringAt(*pod->json(), "metadata.uid") + "/app/0";
  runtime.usages = {{id, start, std::chrono::seconds(5), 1 << 20, 1}};
  PodUsage usage = read();
  REQUIRE(usage.containers.size() == 1);
  CHECK(usage.containers[0].name == "app");
  CHECK(usage.containers[0].nano_cpu == 250'000'000);  // 5 s of 20
  CHECK(usage.containers[0].memory_bytes == 1 << 20);
  CHECK(usage.window == std::chrono::seconds(20));

  runtime.usages = {{id, start, std::chrono::seconds(10), 2 << 20, 1}};
  a.cluster.Advance(std::chrono::seconds(9));
  CHECK(read().containers[0].memory_bytes == 1 << 20);  // kept
  CHECK(runtime.asked == 2);
  a.cluster.Advance(std::chrono::seconds(1));
  usage = read();
  CHECK(usage.containers[0].nano_cpu == 500'000'000);  // 5 s of 10
  CHECK(usage.containers[0].memory_bytes == 2 << 20);
  CHECK(usage.window == std::chrono::seconds(10));
}

TEST_CASE("simulated pods take what their annotations say at the moment") {
  AgentCluster a;
  a.AddNode("s", true, {{"wherry.dev/simulate", R"({"cpu":"100m","memory":"1Mi"})"}});
  a.AddPod("web", "s");
  a.cluster.Settle();
  UsageMeter meter(a.cluster.clock(), a.cluster.plane().cache(), a.processes);
  PodUsage usage;
  ObjectPtr pod = a.cluster.Get(resources::kPods, "default", "web");
  REQUIRE(meter.Read(pod, &usage));
  REQUIRE(usage.containers.size() == 1);
  CHECK(usage.containers[0].nano_cpu == 100'000'000);
  CHECK(usage.containers[0].memory_bytes == 1 << 20);
  pod = a.cluster.Update(pod, [](Json& object) {
    object["metadata"]["annotations"]["wherry.dev/simulate"] = R"({"containers":{"app":{"cpu":"2"}}})";
  });
  PodUsage busy;
  REQUIRE(meter.Read(pod, &busy));
  CHECK(busy.containers[0].nano_cpu == 2'000'000'000);
  CHECK(busy.containers[0].memory_bytes == 1 << 20);
}

}  // namespace wherry
