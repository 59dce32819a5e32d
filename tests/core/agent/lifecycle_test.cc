// The lifecycle table: restart policy, verdict of the probes and exit code against phase, state, restarts and
// conditions, through the whole agent on the manual clock.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/runtime/object_view.h"
#include "tests/core/agent/agent_fixture.h"

namespace wherry {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// "True " or "False <reason>".
std::string Condition(const Json& pod, const std::string& type) {
  for (const Json& condition : ListAt(pod, "status.conditions")) {
    if (condition.at("type") == type) return StringAt(condition, "status") + " " + StringAt(condition, "reason");
  }
  return "absent";
}

Json ProbeFor(const std::string& what) {
  Json probe = {{"httpGet", {{"port", 80}}}, {"periodSeconds", 1}, {"failureThreshold", 1}};
  if (what == "readiness fails") return {{"readinessProbe", probe}};
  if (what == "liveness fails") return {{"livenessProbe", probe}};
  if (what == "none") return Json::object();
  probe["failureThreshold"] = what == "startup pending" ? 1000 : 5;
  return {{"startupProbe", probe}};
}

}  // namespace

TEST_CASE("the lifecycle of a container") {
  struct Row {
    const char* policy;
    const char* probe;
    int exit_code;
    const char* ready_before;  // after 3 s of its first run
    // After its end at 5 s, by itself or by a probe:
    const char* phase;
    const char* state;
    int restarts;
    const char* last_reason;  // of lastState; "" = there is none
    const char* ready;
    const char* initialized;
  };
  const Row rows[] = {
      {"Always", "none", 0, "True ", "Running", "running", 1, "Completed", "True ", "True "},
      {"Always", "none", 1, "True ", "Running", "running", 1, "Error", "True ", "True "},
      {"Always", "none", 137, "True ", "Running", "running", 1, "Error", "True ", "True "},
      {"OnFailure", "none", 0, "True ", "Succeeded", "terminated Completed", 0, "", "False PodCompleted",
       "True PodCompleted"},
      {"OnFailure", "none", 1, "True ", "Running", "running", 1, "Error", "True ", "True "},
      {"OnFailure", "none", 137, "True ", "Running", "running", 1, "Error", "True ", "True "},
      {"Never", "none", 0, "True ", "Succeeded", "terminated Completed", 0, "", "False PodCompleted",
       "True PodCompleted"},
      {"Never", "none", 1, "True ", "Failed", "terminated Error", 0, "", "False PodFailed", "True "},
      {"Never", "none", 137, "True ", "Failed", "terminated Error", 0, "", "False PodFailed", "True "},
      {"Always", "readiness fails", 0, "False ContainersNotReady", "Running", "running", 1, "Completed",
       "False ContainersNotReady", "True "},
      {"Always", "readiness fails", 1, "False ContainersNotReady", "Running", "running", 1, "Error",
       "False ContainersNotReady", "True "},
      {"Always", "readiness fails", 137, "False ContainersNotReady", "Running", "running", 1, "Error",
       "False ContainersNotReady", "True "},
      {"OnFailure", "readiness fails", 0, "False ContainersNotReady", "Succeeded", "terminated Completed", 0, "",
       "False PodCompleted", "True PodCompleted"},
      {"OnFailure", "readiness fails", 1, "False ContainersNotReady", "Running", "running", 1, "Error",
       "False ContainersNotReady", "True "},
      {"OnFailure", "readiness fails", 137, "False ContainersNotReady", "Running", "running", 1, "Error",
       "False ContainersNotReady", "True "},
      {"Never", "readiness fails", 0, "False ContainersNotReady", "Succeeded", "terminated Completed", 0, "",
       "False PodCompleted", "True PodCompleted"},
      {"Never", "readiness fails", 1, "False ContainersNotReady", "Failed", "terminated Error", 0, "",
       "False PodFailed", "True "},
      {"Never", "readiness fails", 137, "False ContainersNotReady", "Failed", "terminated Error", 0, "",
       "False PodFailed", "True "},
      {"Always", "startup pending", 0, "False ContainersNotReady", "Running", "running", 1, "Completed",
       "False ContainersNotReady", "True "},
      {"Always", "startup pending", 1, "False ContainersNotReady", "Running", "running", 1, "Error",
       "False ContainersNotReady", "True "},
      {"Always", "startup pending", 137, "False ContainersNotReady", "Running", "running", 1, "Error",
       "False ContainersNotReady", "True "},
      {"OnFailure", "startup pending", 0, "False ContainersNotReady", "Succeeded", "terminated Completed", 0, "",
       "False PodCompleted", "True PodCompleted"},
      {"OnFailure", "startup pending", 1, "False ContainersNotReady", "Running", "running", 1, "Error",
       "False ContainersNotReady", "True "},
      {"OnFailure", "startup pending", 137, "False ContainersNotReady", "Running", "running", 1, "Error",
       "False ContainersNotReady", "True "},
      {"Never", "startup pending", 0, "False ContainersNotReady", "Succeeded", "terminated Completed", 0, "",
       "False PodCompleted", "True PodCompleted"},
      {"Never", "startup pending", 1, "False ContainersNotReady", "Failed", "terminated Error", 0, "",
       "False PodFailed", "True "},
      {"Never", "startup pending", 137, "False ContainersNotReady", "Failed", "terminated Error", 0, "",
       "False PodFailed", "True "},
      {"Always", "liveness fails", 0, "True ", "Running", "running", 1, "Completed", "True ", "True "},
      {"Always", "liveness fails", 1, "True ", "Running", "running", 1, "Error", "True ", "True "},
      {"Always", "liveness fails", 137, "True ", "Running", "running", 1, "Error", "True ", "True "},
      {"OnFailure", "liveness fails", 0, "True ", "Running", "running", 1, "Completed", "True ", "True "},
      {"OnFailure", "liveness fails", 1, "True ", "Running", "running", 1, "Error", "True ", "True "},
      {"OnFailure", "liveness fails", 137, "True ", "Running", "running", 1, "Error", "True ", "True "},
      {"Never", "liveness fails", 0, "True ", "Succeeded", "terminated Completed", 0, "", "False PodCompleted",
       "True PodCompleted"},
      {"Never", "liveness fails", 1, "True ", "Failed", "terminated Error", 0, "", "False PodFailed", "True "},
      {"Never", "liveness fails", 137, "True ", "Failed", "terminated Error", 0, "", "False PodFailed", "True "},
      {"Always", "startup fails", 0, "False ContainersNotReady", "Running", "running", 1, "Completed",
       "False ContainersNotReady", "True "},
      {"Always", "startup fails", 1, "False ContainersNotReady", "Running", "running", 1, "Error",
       "False ContainersNotReady", "True "},
      {"Always", "startup fails", 137, "False ContainersNotReady", "Running", "running", 1, "Error",
       "False ContainersNotReady", "True "},
      {"OnFailure", "startup fails", 0, "False ContainersNotReady", "Running", "running", 1, "Completed",
       "False ContainersNotReady", "True "},
      {"OnFailure", "startup fails", 1, "False ContainersNotReady", "Running", "running", 1, "Error",
       "False ContainersNotReady", "True "},
      {"OnFailure", "startup fails", 137, "False ContainersNotReady", "Running", "running", 1, "Error",
       "False ContainersNotReady", "True "},
      {"Never", "startup fails", 0, "False ContainersNotReady", "Succeeded", "terminated Completed", 0, "",
       "False PodCompleted", "True PodCompleted"},
      {"Never", "startup fails", 1, "False ContainersNotReady", "Failed", "terminated Error", 0, "", "False PodFailed",
       "True "},
      {"Never", "startup fails", 137, "False ContainersNotReady", "Failed", "terminated Error", 0, "",
       "False PodFailed", "True "},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy, row.probe, row.exit_code);
    AgentCluster c;
    c.AddNode("a");
    Json container = {{"name", "app"}, {"image", "app:1"}, {"command", {"app"}}};
    container.update(ProbeFor(row.probe));
    const std::string probe = row.probe;
    // Who a probe kills ends with the code when asked to; the others by themselves. Only the first run is so.
    const bool killed = probe == "liveness fails" || probe == "startup fails";
    Json behaviour = {{"stopExitCode", row.exit_code},
                      {"probes",
                       {{"readiness", {{"fails", true}}},
                        {"startup", {{"fails", true}}},
                        {"liveness", {{"failAfter", "5s"}, {"times", 1}}}}}};
    if (!killed) behaviour.update({{"exitCode", row.exit_code}, {"exitAfter", "5s"}, {"times", 1}});
    c.AddPod("p", "a", {{"restartPolicy", row.policy}, {"containers", Json::array({container})}},
             {{std::string(kSimulateKey), behaviour.dump()}});
    c.cluster.Advance(seconds(3));
    CHECK(c.Phase("p") == "Running");
    CHECK(Condition(c.Pod("p"), "Ready") == row.ready_before);
    CHECK(Condition(c.Pod("p"), "ContainersReady") == row.ready_before);
    CHECK(c.Restarts("p") == 0);
    c.cluster.Advance(seconds(2));
    const Json pod = c.Pod("p");
    const Json status = pod.at("status").at("containerStatuses").at(0);
    CHECK(c.Phase("p") == row.phase);
    CHECK(c.State("p") == row.state);
    CHECK(c.Restarts("p") == row.restarts);
    CHECK(StringAt(status, "lastState.terminated.reason") == row.last_reason);
    if (row.restarts > 0) CHECK(IntAt(status, "lastState.terminated.exitCode") == row.exit_code);
    CHECK(Condition(pod, "Ready") == row.ready);
    CHECK(Condition(pod, "ContainersReady") == row.ready);
    CHECK(Condition(pod, "Initialized") == row.initialized);
    CHECK(Condition(pod, "PodScheduled") == "True ");
    CHECK(Condition(pod, "PodReadyToStartContainers") == (row.phase == std::string("Running") ? "True " : "False "));
    CHECK(BoolAt(status, "started") == (std::string(row.state) == "running" && !probe.starts_with("startup")));
    // Times are those of the moments.
    const Time begin = Time(seconds(1'700'000'000));
    CHECK(StringAt(pod, "status.startTime") == FormatTime(begin));
    const std::string ended =
        StringAt(status, row.restarts > 0 ? "lastState.terminated.finishedAt" : "state.terminated.finishedAt");
    CHECK(ended == FormatTime(begin + (probe == "startup fails" ? seconds(4) : seconds(5))));
  }
}

}  // namespace wherry
