#include "core/agent/pod_plan.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/agent/pod_status.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Kind = PodAction::Kind;

const Time kStart = Time(seconds(1'700'000'000));

PodInfo Pod(RestartPolicy policy, std::vector<ContainerInfo> containers = {{"app", "app:1", ContainerRole::kMain}}) {
  PodInfo pod;
  pod.ns = "default";
  pod.name = "web";
  pod.uid = "u1";
  pod.restart_policy = policy;
  pod.containers = std::move(containers);
  return pod;
}

PodRecord Fresh(const PodInfo& pod) {
  PodRecord record;
  record.containers.resize(pod.containers.size());
  record.sandbox_ready = true;
  record.start_time = kStart;
  return record;
}

Run Running(int attempt = 0) {
  Run run;
  run.attempt = attempt;
  run.running = true;
  run.started_at = kStart;
  return run;
}

Run Ended(int exit_code, int attempt = 0, Time finished = kStart + seconds(5)) {
  Run run = Running(attempt);
  run.running = false;
  run.finished_at = finished;
  run.exit_code = exit_code;
  run.reason = exit_code == 0 ? "Completed" : "Error";
  return run;
}

Json StatusOf(const PodInfo& pod, const PodRecord& record, Time now) {
  return RenderPodStatus(pod, record, PlanPod(pod, record, now), {"127.64.0.1", "127.64.0.2"}, Json::object(), now);
}

std::string ConditionOf(const Json& status, const std::string& type) {
  for (const Json& condition : status.at("conditions")) {
    if (condition.at("type") == type)
      return condition.at("status").get<std::string>() + " " + condition.value("reason", "");
  }
  return "absent";
}

}  // namespace

TEST_CASE("exit code and restart policy decide phase, state and conditions") {
  struct Row {
    RestartPolicy policy;
    int exit_code;
    int restarts;         // so far
    Duration since_exit;  // when we look
    const char* phase;
    const char* state;  // of the container, with reason
    bool starts;
    const char* ready;
    const char* initialized;
  };
  const RestartPolicy always = RestartPolicy::kAlways, on_failure = RestartPolicy::kOnFailure,
                      never = RestartPolicy::kNever;
  const Row rows[] = {
      {always, 0, 0, seconds(0), "Running", "terminated Completed", true, "False ContainersNotReady", "True "},
      {always, 1, 0, seconds(0), "Running", "terminated Error", true, "False ContainersNotReady", "True "},
      {always, 0, 1, seconds(1), "Running", "waiting CrashLoopBackOff", false, "False ContainersNotReady", "True "},
      {always, 1, 1, seconds(1), "Running", "waiting CrashLoopBackOff", false, "False ContainersNotReady", "True "},
      {always, 1, 1, seconds(10), "Running", "terminated Error", true, "False ContainersNotReady", "True "},
      {always, 137, 1, seconds(9), "Running", "waiting CrashLoopBackOff", false, "False ContainersNotReady", "True "},
      {on_failure, 0, 0, seconds(0), "Succeeded", "terminated Completed", false, "False PodCompleted",
       "True PodCompleted"},
      {on_failure, 0, 3, seconds(0), "Succeeded", "terminated Completed", false, "False PodCompleted",
       "True PodCompleted"},
      {on_failure, 1, 0, seconds(0), "Running", "terminated Error", true, "False ContainersNotReady", "True "},
      {on_failure, 1, 1, seconds(1), "Running", "waiting CrashLoopBackOff", false, "False ContainersNotReady", "True "},
      {never, 0, 0, seconds(0), "Succeeded", "terminated Completed", false, "False PodCompleted", "True PodCompleted"},
      {never, 1, 0, seconds(0), "Failed", "terminated Error", false, "False PodFailed", "True "},
      {never, 255, 0, seconds(60), "Failed", "terminated Error", false, "False PodFailed", "True "},
  };
  for (const Row& row : rows) {
    CAPTURE(static_cast<int>(row.policy), row.exit_code, row.restarts, row.since_exit.count());
    const PodInfo pod = Pod(row.policy);
    PodRecord record = Fresh(pod);
    ContainerRecord& c = record.containers[0];
    c.current = Ended(row.exit_code, row.restarts);
    if (row.restarts > 0) {
      c.backoff = kBackoffBase;
      c.backoff_at = kStart;
    }
    const Time now = kStart + seconds(5) + row.since_exit;
    const PodPlan plan = PlanPod(pod, record, now);
    const Json status = StatusOf(pod, record, now);
    CHECK(plan.phase == row.phase);
    CHECK((plan.actions == std::vector<PodAction>{{Kind::kStart, 0}}) == row.starts);
    const Json& state = status.at("containerStatuses").at(0).at("state");
    CHECK(state.begin().key() + " " + state.begin()->value("reason", "") == row.state);
    CHECK(status.at("containerStatuses").at(0).at("restartCount") == row.restarts);
    CHECK(status.at("containerStatuses").at(0).at("ready") == false);
    CHECK(ConditionOf(status, "Ready") == row.ready);
    CHECK(ConditionOf(status, "ContainersReady") == row.ready);
    CHECK(ConditionOf(status, "Initialized") == row.initialized);
    CHECK(plan.finished == (std::string(row.phase) != "Running"));
  }
}

TEST_CASE("a pod's first moments") {
  const PodInfo pod = Pod(RestartPolicy::kAlways);
  PodRecord record = Fresh(pod);
  record.sandbox_ready = false;

  SECTION("the sandbox comes first") {
    const PodPlan plan = PlanPod(pod, record, kStart);
    CHECK(plan.actions == std::vector<PodAction>{{Kind::kPrepareSandbox, 0}});
    const Json status = StatusOf(pod, record, kStart);
    CHECK(status.at("phase") == "Pending");
    CHECK(status.at("containerStatuses").at(0).at("state") == Json({{"waiting", {{"reason", "ContainerCreating"}}}}));
    CHECK(ConditionOf(status, "PodReadyToStartContainers") == "False ");
    CHECK(ConditionOf(status, "PodScheduled") == "True ");
  }
  SECTION("a sandbox that failed is tried again at its time") {
    record.sandbox_retry_at = kStart + seconds(10);
    const PodPlan plan = PlanPod(pod, record, kStart);
    CHECK(plan.actions.empty());
    CHECK(plan.wake_at == kStart + seconds(10));
  }
  SECTION("then the container") {
    record.sandbox_ready = true;
    CHECK(PlanPod(pod, record, kStart).actions == std::vector<PodAction>{{Kind::kStart, 0}});
    record.containers[0].starting = true;
    CHECK(PlanPod(pod, record, kStart).actions.empty());
    CHECK(PlanPod(pod, record, kStart).phase == "Pending");
  }
  SECTION("running is ready when nothing probes it") {
    record.sandbox_ready = true;
    record.containers[0].current = Running();
    const Json status = StatusOf(pod, record, kStart);
    CHECK(status.at("phase") == "Running");
    CHECK(status.at("podIP") == "127.64.0.2");
    CHECK(status.at("podIPs") == Json::parse(R"([{"ip":"127.64.0.2"}])"));
    CHECK(status.at("hostIP") == "127.64.0.1");
    CHECK(status.at("startTime") == "2023-11-14T22:13:20Z");
    CHECK(status.at("qosClass") == "");
    const Json& c = status.at("containerStatuses").at(0);
    CHECK(c.at("containerID") == "wherry://u1/app/0");
    CHECK(c.at("ready") == true);
    CHECK(c.at("started") == true);
    CHECK(c.at("state") == Json::parse(R"({"running":{"startedAt":"2023-11-14T22:13:20Z"}})"));
    CHECK(ConditionOf(status, "Ready") == "True ");
    CHECK(ConditionOf(status, "PodReadyToStartContainers") == "True ");
  }
}

TEST_CASE("obstacles to a start show as waiting states and are retried") {
  const PodInfo pod = Pod(RestartPolicy::kAlways);
  struct Row {
    const char* obstacle;
    Duration after;
    const char* shown;
    const char* message;
  };
  const Row rows[] = {
      {"ErrImagePull", milliseconds(0), "ErrImagePull", "no such image"},
      {"ErrImagePull", seconds(1), "ImagePullBackOff", "Back-off pulling image \"app:1\": ErrImagePull: no such image"},
      {"CreateContainerConfigError", seconds(5), "CreateContainerConfigError", "no such image"},
      {"CreateContainerError", seconds(5), "CreateContainerError", "no such image"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.obstacle, row.after.count());
    PodRecord record = Fresh(pod);
    record.containers[0].obstacle = row.obstacle;
    record.containers[0].obstacle_message = "no such image";
    record.containers[0].obstacle_since = kStart;
    record.containers[0].retry_at = kStart + seconds(10);
    const PodPlan plan = PlanPod(pod, record, kStart + row.after);
    CHECK(plan.waiting[0].reason == row.shown);
    CHECK(plan.waiting[0].message == row.message);
    CHECK(plan.actions.empty());
    CHECK(plan.phase == "Pending");
    CHECK(PlanPod(pod, record, kStart + seconds(10)).actions == std::vector<PodAction>{{Kind::kStart, 0}});
  }
}

TEST_CASE("a program that would not start counts as a run that failed") {
  PodRecord record = Fresh(Pod(RestartPolicy::kAlways));
  Run run = Ended(128);
  run.reason = "StartError";
  run.message = "exec: \"frob\": not found";
  record.containers[0].current = run;
  record.containers[0].backoff = kBackoffBase;
  record.containers[0].backoff_at = kStart;
  const PodPlan plan = PlanPod(Pod(RestartPolicy::kAlways), record, kStart + seconds(6));
  CHECK(plan.waiting[0].reason == "RunContainerError");
  CHECK(plan.waiting[0].message == "exec: \"frob\": not found");
  CHECK(plan.wake_at == kStart + seconds(15));
  CHECK(PlanPod(Pod(RestartPolicy::kNever), record, kStart + seconds(6)).phase == "Failed");
}

TEST_CASE("the crash back-off doubles to five minutes and is forgotten after ten") {
  ContainerRecord c;
  Time now = kStart;
  const int64_t waits[] = {0, 10, 20, 40, 80, 160, 300, 300};
  for (int attempt = 0; attempt < 8; ++attempt) {
    CAPTURE(attempt);
    c.current = Ended(1, attempt, now);
    const Time allowed = RestartAllowedAt(c);
    CHECK(std::chrono::duration_cast<seconds>(allowed - now).count() == waits[attempt]);
    now = allowed;
    NoteRestart(c, now);
  }
  CHECK(GoDuration(c.backoff) == "5m0s");
  c.current = Ended(1, 9, now + minutes(10));
  CHECK(RestartAllowedAt(c) == c.current->finished_at + minutes(5));
  c.current = Ended(1, 9, now + minutes(10) + seconds(1));
  CHECK(RestartAllowedAt(c) == c.current->finished_at);
  NoteRestart(c, c.current->finished_at);
  CHECK(c.backoff == seconds(10));
}

TEST_CASE("init containers run in order, sidecars stay, main containers follow") {
  const PodInfo pod = Pod(RestartPolicy::kAlways, {{"prepare", "i", ContainerRole::kInit},
                                                   {"proxy", "s", ContainerRole::kSidecar},
                                                   {"migrate", "i", ContainerRole::kInit},
                                                   {"app", "a", ContainerRole::kMain},
                                                   {"extra", "a", ContainerRole::kMain}});
  PodRecord record = Fresh(pod);
  const auto actions = [&] { return PlanPod(pod, record, kStart + seconds(5)).actions; };
  const auto starts = [](size_t i) { return std::vector<PodAction>{{Kind::kStart, i}}; };

  CHECK(actions() == starts(0));
  record.containers[0].current = Running();
  CHECK(actions().empty());
  CHECK(StatusOf(pod, record, kStart).at("containerStatuses").at(0).at("state").at("waiting").at("reason") ==
        "PodInitializing");
  CHECK(ConditionOf(StatusOf(pod, record, kStart), "Initialized") == "False ContainersNotInitialized");
  record.containers[0].current = Ended(1);
  CHECK(actions() == starts(0));  // again until it succeeds
  record.containers[0].current = Ended(0);
  CHECK(actions() == starts(1));
  record.containers[1].current = Running();
  record.containers[1].probed_started = false;
  CHECK(actions().empty());  // its startup probe holds up the rest
  record.containers[1].probed_started = true;
  CHECK(actions() == starts(2));
  record.containers[2].current = Ended(0);
  CHECK(PlanPod(pod, record, kStart + seconds(5)).initialized);
  CHECK(actions() == starts(3));  // one at a time
  record.containers[3].current = Running();
  CHECK(PlanPod(pod, record, kStart).phase == "Pending");
  CHECK(actions() == starts(4));
  record.containers[4].current = Running();
  CHECK(actions().empty());
  CHECK(PlanPod(pod, record, kStart).phase == "Running");

  SECTION("a crashed sidecar comes back beside running main containers") {
    record.containers[1].current = Ended(1);
    CHECK(actions() == starts(1));
    CHECK(PlanPod(pod, record, kStart + seconds(5)).phase == "Running");
    CHECK(PlanPod(pod, record, kStart + seconds(5)).initialized);
  }
  SECTION("deletion stops main containers first, then sidecars") {
    record.deleting = true;
    record.stop = StopOrder{kStart, seconds(30), {}, {}};
    CHECK(actions() == std::vector<PodAction>{{Kind::kTerm, 3}, {Kind::kTerm, 4}});
    record.containers[3].term_sent = record.containers[4].term_sent = true;
    CHECK(actions().empty());
    CHECK(PlanPod(pod, record, kStart + seconds(5)).wake_at == kStart + seconds(30));
    record.containers[3].current = record.containers[4].current = Ended(0);
    CHECK(actions() == std::vector<PodAction>{{Kind::kTerm, 1}});
    record.containers[1].current = Ended(0);
    const PodPlan plan = PlanPod(pod, record, kStart + seconds(6));
    CHECK(plan.finished);
    CHECK(plan.phase == "Succeeded");
  }
}

TEST_CASE("an init container that fails for good fails the pod") {
  const PodInfo pod =
      Pod(RestartPolicy::kNever, {{"init", "i", ContainerRole::kInit}, {"app", "a", ContainerRole::kMain}});
  PodRecord record = Fresh(pod);
  record.containers[0].current = Ended(3);
  const PodPlan plan = PlanPod(pod, record, kStart + seconds(5));
  CHECK(plan.actions.empty());
  CHECK(plan.finished);
  CHECK(plan.phase == "Failed");
  CHECK(ConditionOf(StatusOf(pod, record, kStart + seconds(5)), "Initialized") == "False ContainersNotInitialized");
}

TEST_CASE("sidecars end with the last main container of a job-like pod") {
  const PodInfo pod =
      Pod(RestartPolicy::kNever, {{"proxy", "s", ContainerRole::kSidecar}, {"app", "a", ContainerRole::kMain}});
  PodRecord record = Fresh(pod);
  record.containers[0].current = Running();
  record.containers[1].current = Ended(0);
  PodPlan plan = PlanPod(pod, record, kStart + seconds(6));
  CHECK(plan.actions == std::vector<PodAction>{{Kind::kTerm, 0}});
  CHECK(plan.phase == "Running");
  CHECK_FALSE(plan.finished);
  record.containers[0].term_sent = true;
  plan = PlanPod(pod, record, kStart + seconds(35));
  CHECK(plan.actions == std::vector<PodAction>{{Kind::kKill, 0}});
  record.containers[0].current = Ended(143, 0, kStart + seconds(35));
  plan = PlanPod(pod, record, kStart + seconds(35));
  CHECK(plan.finished);
  CHECK(plan.phase == "Succeeded");
}

TEST_CASE("an ephemeral container runs once and counts for nothing") {
  const ContainerRole init = ContainerRole::kInit, main = ContainerRole::kMain, ephemeral = ContainerRole::kEphemeral;
  struct Row {
    const char* what;
    RestartPolicy policy;
    std::vector<ContainerInfo> containers;
    std::vector<std::optional<Run>> runs;
    std::vector<PodAction> actions;
    const char* phase;
    const char* ready;
    const char* state;  // of the ephemeral one
    bool finished;
  };
  const RestartPolicy always = RestartPolicy::kAlways, never = RestartPolicy::kNever;
  const std::vector<ContainerInfo> plain = {{"app", "app:1", main}, {"debug", "box:1", ephemeral}};
  const std::vector<ContainerInfo> with_init = {
      {"first", "app:1", init}, {"app", "app:1", main}, {"debug", "box:1", ephemeral}};
  const std::vector<PodAction> nothing;
  const Row rows[] = {
      {"starts in a pod that runs",
       always,
       plain,
       {Running(), {}},
       {{Kind::kStart, 1}},
       "Running",
       "True ",
       "waiting ContainerCreating",
       false},
      {"runs", always, plain, {Running(), Running()}, nothing, "Running", "True ", "running ", false},
      {"is not run again, whatever the policy",
       always,
       plain,
       {Running(), Ended(0)},
       nothing,
       "Running",
       "True ",
       "terminated Completed",
       false},
      {"its failure is its own",
       always,
       plain,
       {Running(), Ended(1)},
       nothing,
       "Running",
       "True ",
       "terminated Error",
       false},
      {"starts while the pod crashes",
       always,
       plain,
       {Ended(1), {}},
       {{Kind::kStart, 0}},
       "Running",
       "False ContainersNotReady",
       "waiting ContainerCreating",
       false},
      {"starts while an init container runs",
       always,
       with_init,
       {Running(), {}, {}},
       {{Kind::kStart, 2}},
       "Pending",
       "False ContainersNotReady",
       "waiting PodInitializing",
       false},
      {"ends with a pod that is done",
       never,
       plain,
       {Ended(0), Running()},
       {{Kind::kTerm, 1}},
       "Running",
       "True ",
       "running ",
       false},
      {"a pod that is done starts none",
       never,
       plain,
       {Ended(0), {}},
       nothing,
       "Succeeded",
       "False PodCompleted",
       "waiting ContainerCreating",
       true},
      {"does not make a pod fail",
       never,
       plain,
       {Ended(0), Ended(1)},
       nothing,
       "Succeeded",
       "False PodCompleted",
       "terminated Error",
       true},
      {"nor succeed",
       never,
       plain,
       {Ended(1), Ended(0)},
       nothing,
       "Failed",
       "False PodFailed",
       "terminated Completed",
       true},
      {"a failed init container starts none",
       never,
       with_init,
       {Ended(1), {}, {}},
       nothing,
       "Failed",
       "False PodFailed",
       "waiting PodInitializing",
       true},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const PodInfo pod = Pod(row.policy, row.containers);
    PodRecord record = Fresh(pod);
    for (size_t i = 0; i < row.runs.size(); ++i) record.containers[i].current = row.runs[i];
    const Time now = kStart + seconds(6);
    const PodPlan plan = PlanPod(pod, record, now);
    CHECK(plan.actions == row.actions);
    CHECK(plan.phase == row.phase);
    CHECK(plan.finished == row.finished);
    const Json status = StatusOf(pod, record, now);
    if (row.phase != std::string("Running") || row.runs[0]->running) CHECK(ConditionOf(status, "Ready") == row.ready);
    CHECK(status.at("ephemeralContainerStatuses").size() == 1);
    const Json& debug = status.at("ephemeralContainerStatuses").at(0);
    CHECK(debug.at("name") == "debug");
    CHECK(debug.at("ready") == false);
    CHECK(debug.at("restartCount") == 0);
    CHECK_FALSE(debug.contains("started"));
    const Json& state = debug.at("state");
    CHECK(state.begin().key() + " " + state.begin()->value("reason", "") == row.state);
  }

  SECTION("it is held back like any other, and stopped with the pod") {
    const PodInfo pod = Pod(always, plain);
    PodRecord record = Fresh(pod);
    record.containers[0].current = Running();
    record.containers[1].obstacle = "ErrImagePull";
    record.containers[1].retry_at = kStart + seconds(10);
    CHECK(PlanPod(pod, record, kStart).actions.empty());
    CHECK(PlanPod(pod, record, kStart).phase == "Running");
    CHECK(PlanPod(pod, record, kStart + seconds(10)).actions == std::vector<PodAction>{{Kind::kStart, 1}});
    record.containers[1] = {};
    record.containers[1].current = Running();
    record.stop = StopOrder{kStart, seconds(30), {}, {}};
    CHECK(PlanPod(pod, record, kStart).actions == std::vector<PodAction>{{Kind::kTerm, 0}, {Kind::kTerm, 1}});
  }
  SECTION("a pod learns of new ones, and of each once") {
    Json document = Json::parse(R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"app","image":"app:1"}]}})");
    PodInfo pod(document);
    CHECK_FALSE(pod.TakeEphemeral(document));
    document["spec"]["ephemeralContainers"] = Json::parse(R"([{"name":"one","image":"a"},{"name":"two","image":"b"}])");
    CHECK(pod.TakeEphemeral(document));
    CHECK_FALSE(pod.TakeEphemeral(document));
    document["spec"]["ephemeralContainers"] =
        Json::parse(R"([{"name":"three","image":"c"},{"name":"two","image":"b"},{"name":"one","image":"a"}])");
    CHECK(pod.TakeEphemeral(document));
    std::vector<std::string> names;
    for (const ContainerInfo& info : pod.containers) names.push_back(info.name);
    CHECK(names == std::vector<std::string>{"app", "one", "two", "three"});
    CHECK(pod.containers[3].role == ephemeral);
    CHECK(PodInfo(document).containers.size() == 4);
  }
}

TEST_CASE("deletion: SIGTERM, the grace, SIGKILL, the end") {
  const PodInfo pod = Pod(RestartPolicy::kAlways);
  PodRecord record = Fresh(pod);
  record.deleting = true;
  record.containers[0].current = Running();
  struct Row {
    Duration grace, at;
    bool term_sent, kill_sent;
    std::vector<PodAction> actions;
  };
  const Row rows[] = {
      {seconds(30), seconds(0), false, false, {{Kind::kTerm, 0}}}, {seconds(30), seconds(29), true, false, {}},
      {seconds(30), seconds(30), true, false, {{Kind::kKill, 0}}}, {seconds(30), seconds(31), true, true, {}},
      {seconds(2), seconds(3), true, false, {{Kind::kKill, 0}}},  // a second delete shortened it
      {seconds(0), seconds(0), false, false, {{Kind::kKill, 0}}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.grace.count(), row.at.count());
    record.stop = StopOrder{kStart, row.grace, {}, {}};
    record.containers[0].term_sent = row.term_sent;
    record.containers[0].kill_sent = row.kill_sent;
    const PodPlan plan = PlanPod(pod, record, kStart + row.at);
    CHECK(plan.actions == row.actions);
    CHECK(plan.phase == "Running");
    CHECK_FALSE(plan.finished);
  }
  record.containers[0].current = Ended(143);
  CHECK(PlanPod(pod, record, kStart + seconds(5)).finished);
  CHECK(PlanPod(pod, record, kStart + seconds(5)).phase == "Failed");
  record.containers[0].current.reset();  // deleted before it ever ran
  const Json status = StatusOf(pod, record, kStart);
  CHECK(status.at("phase") == "Failed");
  CHECK(status.at("containerStatuses").at(0).at("state").at("terminated").at("reason") == "ContainerStatusUnknown");
}

TEST_CASE("a start under way is waited for before the stop") {
  const PodInfo pod = Pod(RestartPolicy::kAlways);
  PodRecord record = Fresh(pod);
  record.deleting = true;
  record.stop = StopOrder{kStart, seconds(0), {}, {}};
  record.containers[0].starting = true;
  CHECK(PlanPod(pod, record, kStart).actions.empty());
  CHECK_FALSE(PlanPod(pod, record, kStart).finished);
}

TEST_CASE("activeDeadlineSeconds fails the pod") {
  PodInfo pod = Pod(RestartPolicy::kAlways);
  pod.active_deadline = seconds(60);
  PodRecord record = Fresh(pod);
  record.containers[0].current = Running();
  CHECK(PlanPod(pod, record, kStart).wake_at == kStart + seconds(60));
  CHECK(PlanPod(pod, record, kStart + seconds(60)).actions == std::vector<PodAction>{{Kind::kTerm, 0}});
  record.containers[0].current = Ended(0, 0, kStart + seconds(61));
  const PodPlan plan = PlanPod(pod, record, kStart + seconds(61));
  CHECK(plan.finished);
  CHECK(plan.phase == "Failed");
  CHECK(plan.reason == "DeadlineExceeded");
  CHECK(plan.message == "Pod was active on the node longer than the specified deadline");
}

TEST_CASE("a rejected or terminal pod runs nothing") {
  const PodInfo pod = Pod(RestartPolicy::kAlways);
  PodRecord record = Fresh(pod);
  record.rejected_reason = "NodePorts";
  record.rejected_message = "taken";
  PodPlan plan = PlanPod(pod, record, kStart);
  CHECK(plan.actions.empty());
  CHECK(plan.phase == "Failed");
  CHECK(plan.reason == "NodePorts");
  CHECK_FALSE(StatusOf(pod, record, kStart).contains("containerStatuses"));

  record = Fresh(pod);
  record.terminal = true;
  record.containers[0].current = Running();  // found running though the API says it is over
  plan = PlanPod(pod, record, kStart);
  CHECK(plan.actions == std::vector<PodAction>{{Kind::kKill, 0}});
}

TEST_CASE("readiness gates hold back Ready only") {
  PodInfo pod = Pod(RestartPolicy::kAlways);
  pod.readiness_gates = {"example.com/lb"};
  PodRecord record = Fresh(pod);
  record.containers[0].current = Running();
  const auto render = [&](const char* conditions) {
    const Json previous = {{"conditions", Json::parse(conditions)}};
    return RenderPodStatus(pod, record, PlanPod(pod, record, kStart), {}, previous, kStart);
  };
  CHECK(ConditionOf(render("[]"), "Ready") == "False ReadinessGatesNotReady");
  CHECK(ConditionOf(render("[]"), "ContainersReady") == "True ");
  CHECK(ConditionOf(render(R"([{"type":"example.com/lb","status":"False"}])"), "Ready") ==
        "False ReadinessGatesNotReady");
  const Json passed = render(R"([{"type":"example.com/lb","status":"True"}])");
  CHECK(ConditionOf(passed, "Ready") == "True ");
  CHECK(ConditionOf(passed, "example.com/lb") == "True ");
}

TEST_CASE("transition times move only with the status") {
  const PodInfo pod = Pod(RestartPolicy::kAlways);
  PodRecord record = Fresh(pod);
  const Json first = StatusOf(pod, record, kStart);
  const Json second = RenderPodStatus(pod, record, PlanPod(pod, record, kStart), {"127.64.0.1", "127.64.0.2"}, first,
                                      kStart + seconds(9));
  CHECK(second == first);
  record.containers[0].current = Running();
  const Json third = RenderPodStatus(pod, record, PlanPod(pod, record, kStart), {"127.64.0.1", "127.64.0.2"}, first,
                                     kStart + seconds(9));
  for (const Json& condition : third.at("conditions")) {
    const bool moved = condition.at("type") == "Ready" || condition.at("type") == "ContainersReady";
    CHECK(condition.at("lastTransitionTime") == (moved ? "2023-11-14T22:13:29Z" : "2023-11-14T22:13:20Z"));
  }
}

TEST_CASE("a stored status gives back the record") {
  const PodInfo pod = Pod(RestartPolicy::kAlways);
  struct Row {
    const char* what;
    ContainerRecord container;
    Time now;
  };
  ContainerRecord running, crashed, fresh;
  running.current = Running(2);
  running.last = Ended(1, 1);
  crashed.current = Ended(7, 1);
  crashed.backoff = seconds(10);
  crashed.backoff_at = kStart;
  const Row rows[] = {
      {"fresh", fresh, kStart}, {"running", running, kStart}, {"crash loop", crashed, kStart + seconds(6)}};
  for (const Row& row : rows) {
    CAPTURE(row.what);
    PodRecord record = Fresh(pod);
    record.containers[0] = row.container;
    const PodRecord back = RecordFromStatus(pod, StatusOf(pod, record, row.now));
    CHECK(back.containers[0].current == row.container.current);
    CHECK(back.containers[0].last == row.container.last);
    CHECK(back.start_time == kStart);
    CHECK_FALSE(back.terminal);
    if (row.container.current && !row.container.current->running) {
      CHECK(RestartAllowedAt(back.containers[0]) == RestartAllowedAt(row.container));
    }
  }
}

TEST_CASE("QoS classes") {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"containers":[{"name":"a"}]})", "BestEffort"},
      {R"({"containers":[{"name":"a","resources":{"requests":{"cpu":"1"}}}]})", "Burstable"},
      {R"({"containers":[{"name":"a","resources":{"limits":{"cpu":"1","memory":"1Gi"}}}]})", "Guaranteed"},
      {R"({"containers":[{"name":"a","resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"500m"}}}]})",
       "Burstable"},
      {R"({"containers":[{"name":"a","resources":{"limits":{"cpu":"1","memory":"1Gi"}}},{"name":"b"}]})", "Burstable"},
  };
  for (const auto& [spec, expected] : rows) {
    CAPTURE(spec);
    CHECK(QosClassOf(Json::parse(spec)) == expected);
  }
}

}  // namespace wherry
