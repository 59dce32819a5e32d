// The lifecycle tables: restart policy, verdict of the probes and how it ended against phase, state, restarts and
// conditions, through the whole agent on the manual clock. First one container, then every other role, then several.
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

// "Running; app waiting CrashLoopBackOff x1; Ready False ContainersNotReady": the phase, every container in the order
// of the spec with its restarts, and the condition.
std::string Told(const Json& pod) {
  std::string out = StringAt(pod, "status.phase");
  for (const char* list : {"status.initContainerStatuses", "status.containerStatuses"}) {
    for (const Json& status : ListAt(pod, list)) {
      const Json& state = status.at("state");
      const std::string reason = StringAt(state.begin().value(), "reason");
      const int64_t restarts = IntAt(status, "restartCount");
      out += "; " + StringAt(status, "name") + " " + state.begin().key() + (reason.empty() ? "" : " " + reason) +
             (restarts == 0 ? "" : " x" + std::to_string(restarts));
    }
  }
  const std::string ready = Condition(pod, "Ready");
  return out + "; Ready " + (ready == "True " ? "True" : ready);
}

Json Container(const char* name, const Json& more = Json::object()) {
  Json container = {{"name", name}, {"image", "app:1"}, {"command", {"app"}}};
  container.update(more);
  return container;
}

Json ProbeFor(const std::string& what) {
  Json probe = {{"httpGet", {{"port", 80}}}, {"periodSeconds", 1}, {"failureThreshold", 1}};
  if (what == "all pass") {
    Json late = probe;
    late["failureThreshold"] = 9;
    return {{"readinessProbe", probe}, {"livenessProbe", probe}, {"startupProbe", late}};
  }
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
      {"Always", "all pass", 0, "True ", "Running", "running", 1, "Completed", "False ContainersNotReady", "True "},
      {"Always", "all pass", 1, "True ", "Running", "running", 1, "Error", "False ContainersNotReady", "True "},
      {"Always", "all pass", 137, "True ", "Running", "running", 1, "Error", "False ContainersNotReady", "True "},
      {"OnFailure", "all pass", 0, "True ", "Succeeded", "terminated Completed", 0, "", "False PodCompleted",
       "True PodCompleted"},
      {"OnFailure", "all pass", 1, "True ", "Running", "running", 1, "Error", "False ContainersNotReady", "True "},
      {"OnFailure", "all pass", 137, "True ", "Running", "running", 1, "Error", "False ContainersNotReady", "True "},
      {"Never", "all pass", 0, "True ", "Succeeded", "terminated Completed", 0, "", "False PodCompleted",
       "True PodCompleted"},
      {"Never", "all pass", 1, "True ", "Failed", "terminated Error", 0, "", "False PodFailed", "True "},
      {"Never", "all pass", 137, "True ", "Failed", "terminated Error", 0, "", "False PodFailed", "True "},
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
    const bool starts = !probe.starts_with("startup") && probe != "all pass";
    // Who a probe kills ends with the code when asked to; the others by themselves. Only the first run is so.
    const bool killed = probe == "liveness fails" || probe == "startup fails";
    Json behaviour = {{"stopExitCode", row.exit_code},
                      {"probes",
                       {{"readiness", {{"fails", true}}},
                        {"startup", {{"fails", true}}},
                        {"liveness", {{"failAfter", "5s"}, {"times", 1}}}}}};
    // Startup takes two seconds of each run.
    if (probe == "all pass") behaviour["probes"] = {{"startup", {{"failFor", "2s"}}}};
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
    CHECK(BoolAt(status, "started") == (std::string(row.state) == "running" && starts));
    // Times are those of the moments.
    const Time begin = Time(seconds(1'700'000'000));
    CHECK(StringAt(pod, "status.startTime") == FormatTime(begin));
    const std::string ended =
        StringAt(status, row.restarts > 0 ? "lastState.terminated.finishedAt" : "state.terminated.finishedAt");
    CHECK(ended == FormatTime(begin + (probe == "startup fails" ? seconds(4) : seconds(5))));
  }
}

TEST_CASE("a container that ends by a signal") {
  struct Row {
    const char* policy;
    int signal;
    const char* told;
  };
  const Row rows[] = {
      {"Always", 6, "Running; app running x1; Ready True"},
      {"Always", 9, "Running; app running x1; Ready True"},
      {"Always", 15, "Running; app running x1; Ready True"},
      {"OnFailure", 6, "Running; app running x1; Ready True"},
      {"OnFailure", 9, "Running; app running x1; Ready True"},
      {"OnFailure", 15, "Running; app running x1; Ready True"},
      {"Never", 6, "Failed; app terminated Error; Ready False PodFailed"},
      {"Never", 9, "Failed; app terminated Error; Ready False PodFailed"},
      {"Never", 15, "Failed; app terminated Error; Ready False PodFailed"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy, row.signal);
    AgentCluster c;
    c.AddNode("a", false);
    const ObjectPtr pod = c.AddPod("p", "a", {{"restartPolicy", row.policy}});
    c.cluster.Advance(seconds(2));
    REQUIRE(c.processes.Exit(pod->uid() + "/app/0", 128 + row.signal, row.signal));
    c.cluster.Settle();
    CHECK(Told(c.Pod("p")) == row.told);
    const Json status = c.Pod("p").at("status").at("containerStatuses").at(0);
    const Json ended = status.at(row.policy == std::string("Never") ? "state" : "lastState").at("terminated");
    CHECK(ended.at("exitCode") == 128 + row.signal);
    CHECK(ended.at("signal") == row.signal);
  }
}

TEST_CASE("a container that ends again and again waits longer and longer") {
  struct Row {
    const char* policy;
    const char* probe;
    int exit_code;
  };
  const Row rows[] = {
      {"Always", "none", 0},
      {"Always", "none", 1},
      {"Always", "none", 137},
      {"Always", "liveness fails", 0},
      {"Always", "liveness fails", 1},
      {"Always", "liveness fails", 137},
      {"Always", "startup fails", 0},
      {"Always", "startup fails", 1},
      {"Always", "startup fails", 137},
      {"OnFailure", "none", 1},
      {"OnFailure", "none", 137},
      {"OnFailure", "liveness fails", 0},
      {"OnFailure", "liveness fails", 1},
      {"OnFailure", "liveness fails", 137},
      {"OnFailure", "startup fails", 0},
      {"OnFailure", "startup fails", 1},
      {"OnFailure", "startup fails", 137},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy, row.probe, row.exit_code);
    AgentCluster c;
    c.AddNode("a");
    const std::string probe = row.probe;
    Json behaviour = {{"stopExitCode", row.exit_code},
                      {"probes", {{"startup", {{"fails", true}}}, {"liveness", {{"failAfter", "5s"}}}}}};
    if (probe == "none") behaviour.update({{"exitCode", row.exit_code}, {"exitAfter", "5s"}});
    const Json container = Container("app", ProbeFor(probe));
    c.AddPod("p", "a", {{"restartPolicy", row.policy}, {"containers", Json::array({container})}},
             {{std::string(kSimulateKey), behaviour.dump()}});
    // A startup probe gives up with its fifth failure, 4 s after the start; the others end after 5 s.
    const seconds run = probe == "startup fails" ? seconds(4) : seconds(5);
    const std::string ready = probe == "startup fails" ? "; Ready False ContainersNotReady" : "; Ready True";
    const std::string waits = "Running; app waiting CrashLoopBackOff x";
    c.cluster.Advance(run);
    CHECK(Told(c.Pod("p")) == "Running; app running x1" + ready);
    int restarts = 1;
    for (const int wait : {10, 20, 40, 80, 160, 300, 300}) {
      CAPTURE(wait);
      c.cluster.Advance(run);
      CHECK(Told(c.Pod("p")) == waits + std::to_string(restarts) + "; Ready False ContainersNotReady");
      // The wait counts from the end of the run.
      c.cluster.Advance(seconds(wait) - milliseconds(1));
      CHECK(Told(c.Pod("p")) == waits + std::to_string(restarts) + "; Ready False ContainersNotReady");
      c.cluster.Advance(milliseconds(1));
      ++restarts;
      CHECK(Told(c.Pod("p")) == "Running; app running x" + std::to_string(restarts) + ready);
    }
  }
}

TEST_CASE("an init container that ends") {
  struct Row {
    const char* policy;
    int exit_code;
    const char* first;   // after its first end
    const char* second;  // and its second
  };
  const char* starts = "Pending; init running; app waiting PodInitializing; Ready False ContainersNotReady";
  const char* again = "Pending; init running x1; app waiting PodInitializing; Ready False ContainersNotReady";
  const char* crashing =
      "Pending; init waiting CrashLoopBackOff x1; app waiting PodInitializing; Ready False ContainersNotReady";
  const char* through = "Running; init terminated Completed; app running; Ready True";
  const char* failed = "Failed; init terminated Error; app waiting PodInitializing; Ready False PodFailed";
  const Row rows[] = {
      {"Always", 0, through, through},    {"Always", 1, again, crashing},    {"Always", 137, again, crashing},
      {"OnFailure", 0, through, through}, {"OnFailure", 1, again, crashing}, {"OnFailure", 137, again, crashing},
      {"Never", 0, through, through},     {"Never", 1, failed, failed},      {"Never", 137, failed, failed},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy, row.exit_code);
    AgentCluster c;
    c.AddNode("a");
    const Json behaviour = {{"containers", {{"init", {{"exitCode", row.exit_code}, {"exitAfter", "5s"}}}}}};
    c.AddPod("p", "a", {{"restartPolicy", row.policy}, {"initContainers", Json::array({Container("init")})}},
             {{std::string(kSimulateKey), behaviour.dump()}});
    CHECK(Told(c.Pod("p")) == starts);
    CHECK(Condition(c.Pod("p"), "Initialized") == "False ContainersNotInitialized");
    c.cluster.Advance(seconds(5));
    CHECK(Told(c.Pod("p")) == row.first);
    c.cluster.Advance(seconds(5));
    CHECK(Told(c.Pod("p")) == row.second);
    CHECK(Condition(c.Pod("p"), "Initialized") == (row.exit_code == 0 ? "True " : "False ContainersNotInitialized"));
  }
}

TEST_CASE("a sidecar runs again, whatever the policy and however it ended") {
  struct Row {
    const char* probe;
    int exit_code;
    const char* before;  // at 3 s
    const char* after;   // at 5 s: it has ended once
    const char* later;   // at 11 s: it has ended again
  };
  const char* runs = "Running; side running; app running; Ready True";
  const char* restarted = "Running; side running x1; app running; Ready True";
  const char* crashing = "Running; side waiting CrashLoopBackOff x1; app running; Ready False ContainersNotReady";
  const char* unready = "Running; side running; app running; Ready False ContainersNotReady";
  const char* unready_again = "Running; side running x1; app running; Ready False ContainersNotReady";
  const char* pending = "Pending; side running; app waiting PodInitializing; Ready False ContainersNotReady";
  const char* pending_again = "Pending; side running x1; app waiting PodInitializing; Ready False ContainersNotReady";
  const char* pending_crashing =
      "Pending; side waiting CrashLoopBackOff x1; app waiting PodInitializing; Ready False ContainersNotReady";
  const Row rows[] = {
      {"none", 0, runs, restarted, crashing},
      {"none", 1, runs, restarted, crashing},
      {"none", 137, runs, restarted, crashing},
      {"readiness fails", 0, unready, unready_again, crashing},
      {"readiness fails", 1, unready, unready_again, crashing},
      {"readiness fails", 137, unready, unready_again, crashing},
      {"liveness fails", 0, runs, restarted, crashing},
      {"liveness fails", 1, runs, restarted, crashing},
      {"liveness fails", 137, runs, restarted, crashing},
      {"startup pending", 0, pending, pending_again, pending_crashing},
      {"startup pending", 1, pending, pending_again, pending_crashing},
      {"startup pending", 137, pending, pending_again, pending_crashing},
      {"startup fails", 0, pending, pending_again, pending_crashing},
      {"startup fails", 1, pending, pending_again, pending_crashing},
      {"startup fails", 137, pending, pending_again, pending_crashing},
  };
  for (const char* policy : {"Always", "OnFailure", "Never"}) {
    for (const Row& row : rows) {
      CAPTURE(policy, row.probe, row.exit_code);
      AgentCluster c;
      c.AddNode("a");
      const std::string probe = row.probe;
      Json side = {
          {"stopExitCode", row.exit_code},
          {"probes",
           {{"readiness", {{"fails", true}}}, {"startup", {{"fails", true}}}, {"liveness", {{"failAfter", "5s"}}}}}};
      if (probe != "liveness fails" && probe != "startup fails")
        side.update({{"exitCode", row.exit_code}, {"exitAfter", "5s"}});
      const Json behaviour = {{"containers", {{"side", std::move(side)}}}};
      Json sidecar = Container("side", ProbeFor(probe));
      sidecar["restartPolicy"] = "Always";
      c.AddPod("p", "a", {{"restartPolicy", policy}, {"initContainers", Json::array({std::move(sidecar)})}},
               {{std::string(kSimulateKey), behaviour.dump()}});
      c.cluster.Advance(seconds(3));
      CHECK(Told(c.Pod("p")) == row.before);
      c.cluster.Advance(seconds(2));
      CHECK(Told(c.Pod("p")) == row.after);
      c.cluster.Advance(seconds(6));
      CHECK(Told(c.Pod("p")) == row.later);
    }
  }
}

TEST_CASE("the main container's end is the pod's, whatever its sidecar makes of it") {
  struct Row {
    const char* policy;
    int exit_code, side_exit_code;
    const char* told;
  };
  const char* succeeded = "Succeeded; side terminated Completed; app terminated Completed; Ready False PodCompleted";
  const char* succeeded_badly = "Succeeded; side terminated Error; app terminated Completed; Ready False PodCompleted";
  const char* failed = "Failed; side terminated Completed; app terminated Error; Ready False PodFailed";
  const char* failed_badly = "Failed; side terminated Error; app terminated Error; Ready False PodFailed";
  const char* runs = "Running; side running; app running x1; Ready True";
  const Row rows[] = {
      {"Always", 0, 0, runs},           {"Always", 0, 1, runs},         {"Always", 1, 0, runs},
      {"Always", 1, 1, runs},           {"OnFailure", 0, 0, succeeded}, {"OnFailure", 0, 1, succeeded_badly},
      {"OnFailure", 1, 0, runs},        {"OnFailure", 1, 1, runs},      {"Never", 0, 0, succeeded},
      {"Never", 0, 1, succeeded_badly}, {"Never", 1, 0, failed},        {"Never", 1, 1, failed_badly},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy, row.exit_code, row.side_exit_code);
    AgentCluster c;
    c.AddNode("a");
    const Json behaviour = {{"containers",
                             {{"app", {{"exitCode", row.exit_code}, {"exitAfter", "5s"}, {"times", 1}}},
                              {"side", {{"stopExitCode", row.side_exit_code}, {"stopLatency", "1s"}}}}}};
    Json sidecar = Container("side", {{"restartPolicy", "Always"}});
    c.AddPod("p", "a", {{"restartPolicy", row.policy}, {"initContainers", Json::array({std::move(sidecar)})}},
             {{std::string(kSimulateKey), behaviour.dump()}});
    c.cluster.Advance(seconds(4));
    CHECK(Told(c.Pod("p")) == "Running; side running; app running; Ready True");
    c.cluster.Advance(seconds(2));
    CHECK(Told(c.Pod("p")) == row.told);
    c.cluster.Advance(seconds(60));
    CHECK(Told(c.Pod("p")) == row.told);
  }
}

TEST_CASE("two containers make one pod") {
  enum End { kRuns, kGood, kBad };
  struct Row {
    const char* policy;
    End a, b;
    const char* told;  // after both have ended once, a second apart
  };
  const char* both = "Running; a running; b running; Ready True";
  const char* a_again = "Running; a running x1; b running; Ready True";
  const char* both_again = "Running; a running x1; b running x1; Ready True";
  const char* a_good = "Running; a terminated Completed; b running; Ready False ContainersNotReady";
  const char* a_good_b_again = "Running; a terminated Completed; b running x1; Ready False ContainersNotReady";
  const char* a_bad = "Running; a terminated Error; b running; Ready False ContainersNotReady";
  const char* good = "Succeeded; a terminated Completed; b terminated Completed; Ready False PodCompleted";
  const char* mixed = "Failed; a terminated Completed; b terminated Error; Ready False PodFailed";
  const char* bad = "Failed; a terminated Error; b terminated Error; Ready False PodFailed";
  const Row rows[] = {
      {"Always", kRuns, kRuns, both},
      {"Always", kGood, kRuns, a_again},
      {"Always", kBad, kRuns, a_again},
      {"Always", kGood, kGood, both_again},
      {"Always", kGood, kBad, both_again},
      {"Always", kBad, kBad, both_again},
      {"OnFailure", kRuns, kRuns, both},
      {"OnFailure", kGood, kRuns, a_good},
      {"OnFailure", kBad, kRuns, a_again},
      {"OnFailure", kGood, kGood, good},
      {"OnFailure", kGood, kBad, a_good_b_again},
      {"OnFailure", kBad, kBad, both_again},
      {"Never", kRuns, kRuns, both},
      {"Never", kGood, kRuns, a_good},
      {"Never", kBad, kRuns, a_bad},
      {"Never", kGood, kGood, good},
      {"Never", kGood, kBad, mixed},
      {"Never", kBad, kBad, bad},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy, row.a, row.b);
    AgentCluster c;
    c.AddNode("a");
    const auto behave = [](End end, const char* after) {
      return end == kRuns ? Json::object()
                          : Json{{"exitCode", end == kGood ? 0 : 1}, {"exitAfter", after}, {"times", 1}};
    };
    const Json behaviour = {{"containers", {{"a", behave(row.a, "4s")}, {"b", behave(row.b, "5s")}}}};
    c.AddPod("p", "a", {{"restartPolicy", row.policy}, {"containers", Json::array({Container("a"), Container("b")})}},
             {{std::string(kSimulateKey), behaviour.dump()}});
    c.cluster.Advance(seconds(3));
    CHECK(Told(c.Pod("p")) == both);
    c.cluster.Advance(seconds(2));
    CHECK(Told(c.Pod("p")) == row.told);
  }
}

TEST_CASE("the agent's own orders against the restart policy") {
  // A pod that it ends is not run again, and is Failed however its program took it.
  for (const char* policy : {"Always", "OnFailure", "Never"}) {
    for (const int code : {0, 1}) {
      CAPTURE(policy, code);
      AgentCluster c;
      c.AddNode("a");
      const Json behaviour = {{"stopExitCode", code}};
      c.AddPod("p", "a", {{"restartPolicy", policy}, {"activeDeadlineSeconds", 5}},
               {{std::string(kSimulateKey), behaviour.dump()}});
      c.cluster.Advance(seconds(4));
      CHECK(Told(c.Pod("p")) == "Running; app running; Ready True");
      c.cluster.Advance(seconds(1));
      CHECK(Told(c.Pod("p")) ==
            std::string("Failed; app terminated ") + (code == 0 ? "Completed" : "Error") + "; Ready False PodFailed");
      CHECK(StringAt(c.Pod("p"), "status.reason") == "DeadlineExceeded");
      c.cluster.Advance(seconds(600));
      CHECK(c.simulated.running() == 0);
      CHECK(c.simulated.starts() == 1);
    }
  }
}

}  // namespace wherry
