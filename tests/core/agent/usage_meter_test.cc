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
  Task<std::vector<ContainerReading>> Usage() override {
    ++asked;
    co_return usages;
  }
  std::vector<ContainerReading> usages;
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
    PodMeasurement usage;
    return meter.Read(pod, &usage) ? usage : PodMeasurement();
  };
  CHECK(read().containers.empty());  // nothing is known of it
  a.cluster.Advance(std::chrono::seconds(10));
  const Time start = a.cluster.clock().Now() - std::chrono::seconds(20);
  const std::string id = StringAt(*pod->json(), "metadata.uid") + "/app/0";
  runtime.usages = {{id, start, std::chrono::seconds(5), 1 << 20, 1}};
  PodMeasurement usage = read();
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
  PodMeasurement usage;
  ObjectPtr pod = a.cluster.Get(resources::kPods, "default", "web");
  REQUIRE(meter.Read(pod, &usage));
  REQUIRE(usage.containers.size() == 1);
  CHECK(usage.containers[0].nano_cpu == 100'000'000);
  CHECK(usage.containers[0].memory_bytes == 1 << 20);
  pod = a.cluster.Update(pod, [](Json& object) {
    object["metadata"]["annotations"]["wherry.dev/simulate"] = R"({"containers":{"app":{"cpu":"2"}}})";
  });
  PodMeasurement busy;
  REQUIRE(meter.Read(pod, &busy));
  CHECK(busy.containers[0].nano_cpu == 2'000'000'000);
  CHECK(busy.containers[0].memory_bytes == 1 << 20);
}

TEST_CASE("an autoscaler follows what simulated pods take") {
  TestCluster cluster;
  cluster.AddNode("n");
  const auto load = [](const char* cpu) { return std::string(R"({"cpu":")") + cpu + R"("})"; };
  Json pods = {
      {"metadata", {{"labels", {{"app", "web"}}}, {"annotations", {{"wherry.dev/simulate", load("90m")}}}}},
      {"spec",
       {{"containers",
         Json::array({{{"name", "app"}, {"image", "app"}, {"resources", {{"requests", {{"cpu", "100m"}}}}}}})}}}};
  cluster.Create({{"apiVersion", "apps/v1"},
                  {"kind", "Deployment"},
                  {"metadata", {{"name", "web"}, {"namespace", "default"}}},
                  {"spec", {{"replicas", 1}, {"selector", {{"matchLabels", {{"app", "web"}}}}}, {"template", pods}}}});
  cluster.Create(
      {{"apiVersion", "autoscaling/v2"},
       {"kind", "HorizontalPodAutoscaler"},
       {"metadata", {{"name", "web"}, {"namespace", "default"}}},
       {"spec",
        {{"scaleTargetRef", {{"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"name", "web"}}},
         {"minReplicas", 1},
         {"maxReplicas", 3},
         {"metrics",
          Json::array({{{"type", "Resource"},
                        {"resource",
                         {{"name", "cpu"}, {"target", {{"type", "Utilization"}, {"averageUtilization", 45}}}}}}})}}}});
  const auto replicas = [&] { return cluster.Document(resources::kDeployments, "default", "web")["spec"]["replicas"]; };
  CHECK(replicas() == 1);
  cluster.Advance(std::chrono::minutes(3));
  CHECK(replicas() == 3);  // each takes twice the target, however many there are
  for (const ObjectPtr& pod : cluster.List(resources::kPods, "default")) {
    cluster.Update(pod, [&](Json& object) { object["metadata"]["annotations"]["wherry.dev/simulate"] = load("10m"); });
  }
  cluster.Advance(std::chrono::minutes(10));
  CHECK(replicas() == 1);
}

}  // namespace wherry
