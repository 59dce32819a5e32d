// Probes and hooks through the whole agent, on the manual clock.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/runtime/object_view.h"
#include "tests/core/agent/agent_fixture.h"

namespace wherry {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Json Simulate(const std::string& behaviour) { return {{kSimulateKey, behaviour}}; }

// A pod of one container with these fields more.
Json With(const char* fields, const char* policy = "Always") {
  Json container = {{"name", "app"}, {"image", "app:1"}, {"command", {"app"}}};
  container.update(Json::parse(fields));
  return {{"restartPolicy", policy}, {"containers", Json::array({std::move(container)})}};
}

struct Agents : AgentCluster {
  Agents() : AgentCluster([](AgentOptions& with) { with.simulated_events = true; }) { AddNode("a"); }

  Json Container(const std::string& pod) { return Pod(pod).at("status").at("containerStatuses").at(0); }
  std::string Condition(const std::string& pod, const std::string& type) {
    const Json document = Pod(pod);
    for (const Json& condition : ListAt(document, "status.conditions")) {
      if (condition.at("type") == type) return condition.at("status");
    }
    return "absent";
  }
  // "<reason>: <message>" of the events about a pod, each once.
  std::set<std::string> Told(const std::string& pod) {
    std::set<std::string> out;
    for (const ObjectPtr& event : cluster.List("events")) {
      const JsonPtr document = event->json();
      if (StringAt(*document, "involvedObject.name") == pod)
        out.insert(StringAt(*document, "reason") + ": " + StringAt(*document, "message"));
    }
    return out;
  }
};

}  // namespace

TEST_CASE("readiness follows its probe, and so do the conditions") {
  Agents c;
  c.AddPod(
      "web", "a",
      With(
          R"({"readinessProbe":{"httpGet":{"port":80},"initialDelaySeconds":5,"periodSeconds":2,"failureThreshold":2}})"),
      Simulate(R"({"probes":{"readiness":{"failAfter":"20s","failFor":"10s","message":"gone fishing"}}})"));
  CHECK(c.Phase("web") == "Running");
  CHECK(c.Container("web").at("started") == true);
  CHECK(c.Container("web").at("ready") == false);
  CHECK(c.Condition("web", "ContainersReady") == "False");
  c.cluster.Advance(milliseconds(4999));
  CHECK(c.Container("web").at("ready") == false);
  c.cluster.Advance(milliseconds(1));
  CHECK(c.Container("web").at("ready") == true);
  CHECK(c.Condition("web", "Ready") == "True");
  // 21 s: the first that fails; 23 s: the second, which counts.
  c.cluster.Advance(seconds(17));
  CHECK(c.Container("web").at("ready") == true);
  c.cluster.Advance(seconds(1));
  CHECK(c.Container("web").at("ready") == false);
  CHECK(c.Condition("web", "Ready") == "False");
  CHECK(c.Told("web").contains("Unhealthy: Readiness probe failed: gone fishing"));
  c.cluster.Advance(seconds(8));
  CHECK(c.Container("web").at("ready") == true);
  CHECK(c.Restarts("web") == 0);
}

TEST_CASE("readiness gates wait for others") {
  Agents c;
  c.AddPod("web", "a", Json::parse(R"({"readinessGates":[{"conditionType":"example.com/lit"}]})"));
  CHECK(c.Condition("web", "ContainersReady") == "True");
  CHECK(c.Condition("web", "Ready") == "False");
  for (const char* value : {"True", "False"}) {
    c.cluster.Update(
        c.cluster.Get("pods", "default", "web"),
        [&](Json& body) {
          Json& conditions = body["status"]["conditions"];
          for (size_t i = conditions.size(); i-- > 0;) {
            if (conditions[i].at("type") == "example.com/lit") conditions.erase(i);
          }
          conditions.push_back({{"type", "example.com/lit"}, {"status", value}});
        },
        "status");
    CHECK(c.Condition("web", "Ready") == value);
    CHECK(c.Condition("web", "example.com/lit") == value);
  }
}

TEST_CASE("a failed liveness probe restarts the container") {
  Agents c;
  c.AddPod("web", "a", With(R"({"livenessProbe":{"tcpSocket":{"port":80},"periodSeconds":1,"failureThreshold":3,
                    "terminationGracePeriodSeconds":4}})"),
           Simulate(R"({"stopLatency":"never","probes":{"liveness":{"failAfter":"10s","times":1,"message":"dead"}}})"));
  c.cluster.Advance(seconds(12));
  CHECK(c.Told("web").contains("Killing: Container app failed liveness probe, will be restarted"));
  CHECK(c.Told("web").contains("Unhealthy: Liveness probe failed: dead"));
  CHECK(c.State("web") == "running");
  CHECK(c.Restarts("web") == 0);
  c.cluster.Advance(seconds(4));  // the probe's own grace, not the pod's 30 s
  CHECK(c.State("web") == "running");
  CHECK(c.Restarts("web") == 1);
  CHECK(c.Container("web").at("lastState").at("terminated").at("exitCode") == 137);
  c.cluster.Advance(seconds(60));
  CHECK(c.Restarts("web") == 1);
}

TEST_CASE("liveness against the restart policy") {
  struct Row {
    const char* policy;
    int stop_exit_code;
    const char* phase;
    int restarts;
    const char* killing;
  };
  const Row rows[] = {
      {"Always", 0, "Running", 1, "Killing: Container app failed liveness probe, will be restarted"},
      {"Always", 7, "Running", 1, "Killing: Container app failed liveness probe, will be restarted"},
      // Whatever its exit code: it was not done.
      {"OnFailure", 0, "Running", 1, "Killing: Container app failed liveness probe, will be restarted"},
      {"OnFailure", 7, "Running", 1, "Killing: Container app failed liveness probe, will be restarted"},
      {"Never", 0, "Succeeded", 0, "Killing: Container app failed liveness probe"},
      {"Never", 7, "Failed", 0, "Killing: Container app failed liveness probe"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy, row.stop_exit_code);
    Agents c;
    c.AddPod("p", "a",
             With(R"({"livenessProbe":{"exec":{"command":["x"]},"periodSeconds":1,"failureThreshold":1}})", row.policy),
             Simulate(R"({"probes":{"liveness":{"failAfter":"5s","times":1}},"stopExitCode":)" +
                      std::to_string(row.stop_exit_code) + "}"));
    c.cluster.Advance(seconds(6));
    CHECK(c.Phase("p") == row.phase);
    CHECK(c.Restarts("p") == row.restarts);
    CHECK(c.Told("p").contains(row.killing));
  }
}

TEST_CASE("startup holds back the others and may condemn") {
  Agents c;
  c.AddPod("slow", "a", With(R"({"startupProbe":{"httpGet":{"port":80},"periodSeconds":5,"failureThreshold":4},
                    "livenessProbe":{"httpGet":{"port":80},"periodSeconds":1,"failureThreshold":1},
                    "readinessProbe":{"httpGet":{"port":80},"periodSeconds":1}})"),
           Simulate(R"({"probes":{"startup":{"failFor":"12s"}}})"));
  c.cluster.Advance(seconds(14));
  CHECK(c.Container("slow").at("started") == false);
  CHECK(c.Container("slow").at("ready") == false);
  c.cluster.Advance(seconds(1));
  CHECK(c.Container("slow").at("started") == true);
  CHECK(c.Container("slow").at("ready") == true);

  c.AddPod("never", "a", With(R"({"startupProbe":{"httpGet":{"port":80},"periodSeconds":1,"failureThreshold":2}})"),
           Simulate(R"({"probes":{"startup":{"fails":true}}})"));
  c.cluster.Advance(seconds(1));
  CHECK(c.Restarts("never") == 1);
  CHECK(c.Told("never").contains("Killing: Container app failed startup probe, will be restarted"));
  c.cluster.Advance(seconds(2));
  CHECK(c.State("never") == "waiting CrashLoopBackOff");
}

TEST_CASE("a sidecar that has not started holds back the containers") {
  Agents c;
  Json spec = Json::parse(R"({"initContainers":[{"name":"side","image":"s","command":["s"],"restartPolicy":"Always",
      "startupProbe":{"httpGet":{"port":80},"periodSeconds":1,"failureThreshold":9}}]})");
  c.AddPod("web", "a", spec, Simulate(R"({"containers":{"side":{"probes":{"startup":{"failFor":"3s"}}}}})"));
  c.cluster.Advance(seconds(2));
  CHECK(c.Phase("web") == "Pending");
  CHECK(c.State("web") == "waiting PodInitializing");
  c.cluster.Advance(seconds(1));
  CHECK(c.Phase("web") == "Running");
}

TEST_CASE("probes that are too slow fail") {
  Agents c;
  c.AddPod("web", "a", With(R"({"readinessProbe":{"httpGet":{"port":80},"timeoutSeconds":2}})"),
           Simulate(R"({"probes":{"readiness":{"latency":"2s"}}})"));
  c.cluster.Advance(seconds(30));
  CHECK(c.Container("web").at("ready") == false);
  c.AddPod("quick", "a", With(R"({"readinessProbe":{"httpGet":{"port":80},"timeoutSeconds":2}})"),
           Simulate(R"({"probes":{"readiness":{"latency":"1900ms"}}})"));
  c.cluster.Advance(seconds(2));
  CHECK(c.Container("quick").at("ready") == true);
}

TEST_CASE("simulated probes follow their annotation at once, and cost nothing while they are steady") {
  Agents c;
  ObjectPtr pod = c.AddPod(
      "web", "a", With(R"({"readinessProbe":{"httpGet":{"port":80},"periodSeconds":1,"failureThreshold":1}})"));
  CHECK(c.Container("web").at("ready") == true);
  const uint64_t writes = c.pool->counters().pod_status_writes;
  c.cluster.Advance(seconds(600));
  CHECK(c.pool->counters().pod_status_writes == writes);
  pod = c.cluster.Get("pods", "default", "web");
  pod = c.cluster.Update(pod, [](Json& body) {
    body["metadata"]["annotations"][std::string(kSimulateKey)] = R"({"probes":{"readiness":{"fails":true}}})";
  });
  c.cluster.Advance(milliseconds(1));
  CHECK(c.Container("web").at("ready") == false);
  c.cluster.Update(c.cluster.Get("pods", "default", "web"), [](Json& body) { body["metadata"].erase("annotations"); });
  c.cluster.Advance(milliseconds(1));
  CHECK(c.Container("web").at("ready") == true);
}

TEST_CASE("readiness is asked until the end, liveness is not") {
  Agents c;
  c.AddPod(
      "web", "a", With(R"({"readinessProbe":{"httpGet":{"port":80},"periodSeconds":1,"failureThreshold":1},
                    "livenessProbe":{"httpGet":{"port":80},"periodSeconds":1,"failureThreshold":1}})"),
      Simulate(R"({"stopLatency":"20s","probes":{"readiness":{"failAfter":"5s"},"liveness":{"failAfter":"5s"}}})"));
  c.cluster.Advance(seconds(2));
  REQUIRE(c.Container("web").at("ready") == true);
  c.cluster.Delete("pods", "default", "web");
  c.cluster.Advance(seconds(8));
  CHECK(c.Container("web").at("ready") == false);
  CHECK(!c.Told("web").contains("Killing: Container app failed liveness probe, will be restarted"));
  CHECK(c.Told("web").contains("Killing: Stopping container app"));
  c.cluster.Advance(seconds(12));
  CHECK(c.Phase("web") == "gone");
}

TEST_CASE("verdicts outlive the server") {
  Agents c;
  c.AddPod("web", "a", With(R"({"readinessProbe":{"httpGet":{"port":80},"initialDelaySeconds":30}})"));
  c.cluster.Advance(seconds(31));
  REQUIRE(c.Container("web").at("ready") == true);
  const uint64_t revision = c.cluster.Get("pods", "default", "web")->revision();
  c.StopAgents();
  c.StartAgents();
  c.cluster.Advance(seconds(20));
  CHECK(c.Container("web").at("ready") == true);
  CHECK(c.cluster.Get("pods", "default", "web")->revision() == revision);  // it never wavered
}

TEST_CASE("postStart holds back the container, and the next one") {
  Agents c;
  Json spec = With(R"({"lifecycle":{"postStart":{"httpGet":{"port":80}}}})");
  spec["containers"].push_back({{"name", "second"}, {"image", "s"}, {"command", {"s"}}});
  c.AddPod("web", "a", spec, Simulate(R"({"containers":{"app":{"hooks":{"postStart":{"latency":"5s"}}}}})"));
  c.cluster.Advance(seconds(4));
  CHECK(c.Phase("web") == "Pending");
  CHECK(c.State("web") == "waiting ContainerCreating");
  CHECK(c.simulated.running() == 1);
  c.cluster.Advance(seconds(1));
  CHECK(c.State("web") == "running");
  CHECK(c.simulated.running() == 2);
  CHECK(c.Phase("web") == "Running");
}

TEST_CASE("a failed postStart kills the container") {
  for (const char* policy : {"Always", "Never"}) {
    CAPTURE(policy);
    Agents c;
    c.AddPod("web", "a", With(R"({"lifecycle":{"postStart":{"exec":{"command":["x","y"]}}}})", policy),
             Simulate(R"({"stopLatency":"2s","stopExitCode":3,
                          "hooks":{"postStart":{"fails":true,"times":1,"message":"no luck"}}})"));
    CHECK(c.Told("web").contains("FailedPostStartHook: PostStartHook failed"));
    CHECK(c.Told("web").contains("Killing: FailedPostStartHook"));
    CHECK(c.State("web") == "waiting PostStartHookError");
    CHECK_THAT(c.Container("web").at("state").at("waiting").at("message").get<std::string>(),
               Catch::StartsWith("Exec lifecycle hook ([x y]) for Container \"app\" in Pod \"web_default(") &&
                   Catch::EndsWith(")\" failed - error: no luck"));
    c.cluster.Advance(seconds(2));
    CHECK(c.Phase("web") == (std::string(policy) == "Never" ? "Failed" : "Running"));
    CHECK(c.Restarts("web") == (std::string(policy) == "Never" ? 0 : 1));
  }
}

TEST_CASE("preStop comes before SIGTERM, within the grace") {
  struct Row {
    const char* what;
    const char* behaviour;
    int grace;
    int gone_after;  // seconds
    bool failed;
  };
  const Row rows[] = {
      {"a quick one", R"({"hooks":{"preStop":{"latency":"3s"}},"stopLatency":"2s"})", 30, 5, false},
      {"one that fails delays nothing", R"({"hooks":{"preStop":{"fails":true}},"stopLatency":"2s"})", 30, 2, true},
      {"one that uses up the grace leaves two seconds more",
       R"({"hooks":{"preStop":{"latency":"60s"}},"stopLatency":"never"})", 10, 12, false},
      {"its time counts", R"({"hooks":{"preStop":{"latency":"6s"}},"stopLatency":"never"})", 10, 10, false},
      {"and two seconds are the least", R"({"hooks":{"preStop":{"latency":"9s"}},"stopLatency":"never"})", 10, 11,
       false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    Agents c;
    Json spec = With(R"({"lifecycle":{"preStop":{"exec":{"command":["x"]}}}})");
    spec["terminationGracePeriodSeconds"] = row.grace;
    c.AddPod("web", "a", spec, Simulate(row.behaviour));
    c.cluster.Advance(seconds(1));
    c.cluster.Delete("pods", "default", "web");
    CHECK(c.Told("web").contains("Killing: Stopping container app"));
    c.cluster.Advance(seconds(row.gone_after) - milliseconds(1));
    CHECK(c.simulated.running() == 1);
    c.cluster.Advance(milliseconds(1));
    CHECK(c.Phase("web") == "gone");
    CHECK(c.simulated.running() == 0);
    CHECK(c.Told("web").contains("FailedPreStopHook: PreStopHook failed") == row.failed);
  }
}

TEST_CASE("preStop by sleeping; and none at all without grace") {
  Agents c;
  c.AddPod("web", "a", With(R"({"lifecycle":{"preStop":{"sleep":{"seconds":4}}}})"));
  c.AddPod("now", "a", With(R"({"lifecycle":{"preStop":{"sleep":{"seconds":4}}}})"));
  c.cluster.Delete("pods", "default", "web");
  c.cluster.Advance(seconds(3));
  CHECK(c.Phase("web") == "Running");
  c.cluster.Advance(seconds(1));
  CHECK(c.Phase("web") == "gone");
  DeleteOptions now;
  now.grace_period_seconds = 0;
  c.cluster.Delete("pods", "default", "now", now);
  c.cluster.Advance(milliseconds(1));
  CHECK(c.simulated.running() == 0);
}

TEST_CASE("the hooks of sidecars run at once, their SIGTERM waits its turn") {
  Agents c;
  Json spec = Json::parse(R"({"initContainers":[{"name":"side","image":"s","command":["s"],"restartPolicy":"Always",
      "lifecycle":{"preStop":{"sleep":{"seconds":3}}}}]})");
  c.AddPod("web", "a", spec, Simulate(R"({"containers":{"app":{"stopLatency":"5s"},"side":{"stopLatency":"1s"}}})"));
  REQUIRE(c.simulated.running() == 2);
  c.cluster.Delete("pods", "default", "web");
  c.cluster.Advance(seconds(5));
  CHECK(c.simulated.running() == 1);
  c.cluster.Advance(seconds(1));
  CHECK(c.Phase("web") == "gone");
}

TEST_CASE("exec checks run in the container and show what it said") {
  Agents c;
  c.AddNode("real", false);
  int code = 0;
  c.processes.set_exec_handler([&](std::string, std::vector<std::string> argv) -> Task<Result<ExecResult>> {
    ExecResult result;
    result.exit_code = argv.at(0) == "check" ? code : 99;
    co_return result;
  });
  c.AddPod("web", "real",
           With(R"({"readinessProbe":{"exec":{"command":["check","it"]},"periodSeconds":1,"failureThreshold":1}})"));
  c.cluster.Advance(milliseconds(1));
  CHECK(c.Container("web").at("ready") == true);
  code = 4;
  c.cluster.Advance(seconds(1));
  CHECK(c.Container("web").at("ready") == false);
  CHECK(c.Told("web").contains("Unhealthy: Readiness probe failed: command \"check it\" exited with 4"));
}

TEST_CASE("exec checks that take too long are ended") {
  Agents c;
  c.AddNode("real", false);
  ManualClock& clock = c.cluster.clock();
  c.processes.set_exec_handler([&clock](std::string, std::vector<std::string>) -> Task<Result<ExecResult>> {
    co_await clock.Sleep(seconds(100));
    co_return ExecResult();
  });
  c.AddPod(
      "web", "real",
      With(
          R"({"livenessProbe":{"exec":{"command":["sleep","100"]},"timeoutSeconds":2,"periodSeconds":5,"failureThreshold":1}})"));
  c.cluster.Advance(seconds(2));
  CHECK(
      c.Told("web").contains("Unhealthy: Liveness probe failed: command timed out: \"sleep 100\" timed out after 2s"));
  CHECK(c.Restarts("web") == 1);
}

}  // namespace wherry
