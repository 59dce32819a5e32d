// Somebody sets the wall clock, by hand or because the machine has no battery for it: what is under way goes on as if
// nothing were.
#include <catch2/catch.hpp>

#include "core/agent/usage_meter.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/core/agent/agent_fixture.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

const Duration kJumps[] = {-1h, 1h, -24h * 365 * 10, 24h * 365 * 10};

}  // namespace

TEST_CASE("a jump of the wall clock neither ends nor stretches a grace period") {
  for (const Duration jump : kJumps) {
    INFO(jump.count());
    AgentCluster c;
    c.AddNode("a");
    c.AddPod("web", "a", {{"terminationGracePeriodSeconds", 30}},
             {{std::string(kSimulateKey), R"({"stopLatency":"never"})"}});
    c.cluster.Settle();
    c.cluster.Delete(resources::kPods, "default", "web");
    c.cluster.Advance(10s);
    c.cluster.clock().SetWallClock(jump);
    c.cluster.Advance(19s);
    CHECK(c.State("web") == "running");
    c.cluster.Advance(2s);
    CHECK(c.Pod("web").is_null());
  }
}

TEST_CASE("a jump of the wall clock neither ends nor stretches a back-off") {
  for (const Duration jump : kJumps) {
    INFO(jump.count());
    AgentCluster c;
    c.AddNode("a");
    c.AddPod("web", "a", Json::object(), {{std::string(kSimulateKey), R"({"exitCode":1,"exitAfter":"1s"})"}});
    c.cluster.Advance(3s);
    REQUIRE(c.State("web") == "waiting CrashLoopBackOff");
    REQUIRE(c.Restarts("web") == 1);
    c.cluster.clock().SetWallClock(jump);
    c.cluster.Advance(8s);
    CHECK(c.Restarts("web") == 1);
    c.cluster.Advance(2s);
    CHECK(c.Restarts("web") == 2);
    c.cluster.clock().SetWallClock(jump);  // while it runs
    c.cluster.Advance(19s);
    CHECK(c.Restarts("web") == 2);
    c.cluster.Advance(4s);
    CHECK(c.Restarts("web") == 3);
  }
}

TEST_CASE("probes keep their rhythm when the wall clock jumps") {
  for (const Duration jump : kJumps) {
    INFO(jump.count());
    AgentCluster c;
    c.AddNode("a", false);
    int asked = 0;
    c.processes.set_exec_handler([&asked](std::string, std::vector<std::string>) -> Task<Result<ExecResult>> {
      ++asked;
      co_return ExecResult{};
    });
    const Json probe = {{"exec", {{"command", {"check"}}}}, {"periodSeconds", 10}, {"initialDelaySeconds", 10}};
    Json container = {{"name", "app"}, {"image", "app:1"}, {"command", {"app"}}, {"livenessProbe", probe}};
    c.AddPod("web", "a", {{"containers", Json::array({std::move(container)})}});
    c.cluster.Settle();
    c.cluster.Advance(5s);
    c.cluster.clock().SetWallClock(jump);
    c.cluster.Advance(4s);
    CHECK(asked == 0);
    c.cluster.Advance(2s);
    CHECK(asked == 1);
    c.cluster.clock().SetWallClock(jump);
    c.cluster.Advance(60s);
    CHECK(asked == 7);
    CHECK(c.Restarts("web") == 0);
  }
}

TEST_CASE("a deadline keeps its time when the wall clock jumps") {
  for (const Duration jump : kJumps) {
    INFO(jump.count());
    AgentCluster c;
    c.AddNode("a");
    c.AddPod("short", "a", {{"activeDeadlineSeconds", 60}});
    c.cluster.Settle();
    c.cluster.clock().SetWallClock(jump);
    c.cluster.Advance(59s);
    CHECK(c.Phase("short") == "Running");
    c.cluster.Advance(32s);
    CHECK(c.Phase("short") == "Failed");
    CHECK(c.Pod("short")["status"]["reason"] == "DeadlineExceeded");
  }
}

TEST_CASE("heartbeats, measurements and pressure go on when the wall clock jumps") {
  for (const Duration jump : kJumps) {
    INFO(jump.count());
    AgentCluster c;
    c.AddNode("a", false);
    c.AddPod(
        "web", "a",
        {{"containers",
          Json::array({{{"name", "app"},
                        {"image", "app:1"},
                        {"command", {"app"}},
                        {"env", Json::array({{{"name", "WHERRY_SIMULATE"}, {"value", R"({"memory":"1Mi"})"}}})}}})}});
    c.cluster.Advance(1min);
    UsageMeter meter(c.cluster.clock(), c.cluster.plane().cache(), c.processes);
    const auto window = [&] {
      const auto refresh = [](UsageMeter* one) -> Task<bool> {
        co_await one->Refresh();
        co_return true;
      };
      c.cluster.Run(refresh(&meter));
      PodMeasurement usage;
      REQUIRE(meter.Read(c.cluster.Get(resources::kPods, "default", "web"), &usage));
      return usage.window;
    };
    window();
    c.cluster.clock().SetWallClock(jump);
    const auto before = c.pool->counters();
    c.cluster.Advance(20s);
    CHECK(window() == 20s);
    CHECK(c.pool->counters().lease_writes >= before.lease_writes + 2);
    c.machine[0] = {1, 1000 << 20};
    c.cluster.Advance(12s);
    CHECK(c.NodeCondition("a", "MemoryPressure") == "True");
    CHECK(c.Pod("web")["status"]["reason"] == "Evicted");
    const Json document = c.Node("a");
    const auto beat = [](const Json& node) { return node["status"]["conditions"][0]["lastHeartbeatTime"]; };
    c.cluster.Advance(6min);
    CHECK(beat(c.Node("a")) != beat(document));
  }
}
