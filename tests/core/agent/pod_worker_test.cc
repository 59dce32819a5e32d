#include "core/agent/pod_worker.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/agent/pod_namespaces.h"
#include "core/runtime/object_view.h"
#include "tests/core/agent/agent_fixture.h"

namespace wherry {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Json Simulate(const char* behaviour) { return {{kSimulateKey, behaviour}}; }

// As through pods/ephemeralcontainers.
void AddEphemeral(AgentCluster& c, const std::string& pod, const std::string& name) {
  c.cluster.Update(
      c.cluster.Get("pods", "default", pod),
      [&](Json& object) {
        object["spec"]["ephemeralContainers"].push_back({{"name", name}, {"image", "box:1"}, {"command", {"sh"}}});
      },
      "ephemeralcontainers");
}

Task<> StopPods(NodeAgentPool& pool, bool* done) {
  co_await pool.StopPods(seconds(60));
  *done = true;
}

std::string EphemeralState(AgentCluster& c, const std::string& pod, const std::string& name) {
  const Json document = c.Pod(pod);
  for (const Json& status : ListAt(document, "status.ephemeralContainerStatuses")) {
    if (status.at("name") != name) continue;
    const Json& state = status.at("state");
    return state.begin().key() + (state.begin()->contains("reason") ? " " + StringAt(*state.begin(), "reason") : "");
  }
  return "none";
}

}  // namespace

TEST_CASE("a bound pod runs") {
  AgentCluster c;
  c.AddNode("a");
  c.AddPod("web", "a");
  CHECK(c.Phase("web") == "Running");
  CHECK(c.State("web") == "running");
  const Json status = c.Pod("web").at("status");
  CHECK(status.at("podIP") == "127.64.0.2");
  CHECK(status.at("hostIP") == "127.64.0.1");
  CHECK(status.at("qosClass") == "BestEffort");
  CHECK(status.at("containerStatuses").at(0).at("restartCount") == 0);
  CHECK(c.pool->counters().pod_status_writes == 1);
}

TEST_CASE("what came before its node runs once the node is there") {
  AgentCluster c;
  c.AddPod("web", "a");
  CHECK(c.Phase("web") == "Pending");
  c.AddNode("a");
  CHECK(c.Phase("web") == "Running");
}

TEST_CASE("a slow start shows, a quick one does not") {
  AgentCluster c;
  c.AddNode("a");
  c.AddPod("slow", "a", {}, Simulate(R"({"startLatency":"50ms"})"));
  CHECK(c.State("slow") == "none");
  c.cluster.Advance(milliseconds(30));
  CHECK(c.State("slow") == "waiting ContainerCreating");
  c.cluster.Advance(milliseconds(30));
  CHECK(c.State("slow") == "running");
  const uint64_t before = c.pool->counters().pod_status_writes;
  c.AddPod("quick", "a", {}, Simulate(R"({"startLatency":"10ms"})"));
  c.cluster.Advance(milliseconds(60));
  CHECK(c.pool->counters().pod_status_writes == before + 1);
}

TEST_CASE("crashes are restarted with back-off") {
  AgentCluster c;
  c.AddNode("a");
  c.AddPod("crash", "a", {}, Simulate(R"({"exitCode":1,"exitAfter":"1s"})"));
  CHECK(c.State("crash") == "running");
  c.cluster.Advance(seconds(1));  // the first restart is at once
  CHECK(c.State("crash") == "running");
  CHECK(c.Restarts("crash") == 1);
  c.cluster.Advance(seconds(1));
  CHECK(c.State("crash") == "waiting CrashLoopBackOff");
  CHECK(c.Phase("crash") == "Running");
  c.cluster.Advance(seconds(9));
  CHECK(c.State("crash") == "waiting CrashLoopBackOff");
  c.cluster.Advance(seconds(1));
  CHECK(c.State("crash") == "running");
  CHECK(c.Restarts("crash") == 2);
  CHECK(c.simulated.starts() == 3);
}

TEST_CASE("exit codes and policies, through the whole agent") {
  struct Row {
    const char* policy;
    const char* behaviour;
    const char* phase;
    const char* state;
  };
  const Row rows[] = {
      {"Never", R"({"exitCode":0})", "Succeeded", "terminated Completed"},
      {"Never", R"({"exitCode":3})", "Failed", "terminated Error"},
      {"OnFailure", R"({"exitCode":0})", "Succeeded", "terminated Completed"},
      {"OnFailure", R"({"exitCode":3,"times":1})", "Running", "running"},
      {"Never", R"({"startError":"no such program"})", "Failed", "terminated StartError"},
      {"Always", R"({"startError":"no such program"})", "Running", "waiting RunContainerError"},
      {"Always", R"({"startError":"no image","startErrorReason":"ErrImagePull"})", "Pending", "waiting ErrImagePull"},
      {"Always", R"({"startError":"no config","startErrorReason":"CreateContainerConfigError"})", "Pending",
       "waiting CreateContainerConfigError"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy, row.behaviour);
    AgentCluster c;
    c.AddNode("a");
    c.AddPod("p", "a", {{"restartPolicy", row.policy}}, Simulate(row.behaviour));
    CHECK(c.Phase("p") == row.phase);
    CHECK(c.State("p") == row.state);
    c.cluster.Advance(seconds(1));
    if (std::string(row.state) == "waiting ErrImagePull") CHECK(c.State("p") == "waiting ImagePullBackOff");
  }
}

TEST_CASE("deletion in two steps") {
  AgentCluster c;
  c.AddNode("a");
  c.AddPod("web", "a", {}, Simulate(R"({"stopLatency":"2s"})"));
  c.cluster.Delete("pods", "default", "web");
  CHECK(c.Pod("web").at("metadata").contains("deletionTimestamp"));
  CHECK(c.State("web") == "running");
  c.cluster.Advance(seconds(1));
  CHECK(c.simulated.running() == 1);
  c.cluster.Advance(seconds(1));
  CHECK(c.Phase("web") == "gone");
  CHECK(c.simulated.running() == 0);
  CHECK(c.pool->pod_count() == 0);
}

TEST_CASE("who ignores SIGTERM is killed after the grace, or sooner when asked again") {
  AgentCluster c;
  c.AddNode("a");
  c.AddPod("deaf", "a", {}, Simulate(R"({"stopLatency":"never"})"));
  c.cluster.Delete("pods", "default", "deaf");
  c.cluster.Advance(seconds(29));
  CHECK(c.Phase("deaf") == "Running");
  SECTION("the grace of the pod") {
    c.cluster.Advance(seconds(1));
    CHECK(c.Phase("deaf") == "gone");
  }
  SECTION("a shorter one") {
    c.AddPod("deaf2", "a", {}, Simulate(R"({"stopLatency":"never"})"));
    c.cluster.Delete("pods", "default", "deaf2");
    DeleteOptions soon;
    soon.grace_period_seconds = 2;
    c.cluster.Delete("pods", "default", "deaf2", soon);
    c.cluster.Advance(seconds(2));
    CHECK(c.Phase("deaf2") == "gone");
  }
  SECTION("none at all") {
    DeleteOptions now;
    now.grace_period_seconds = 0;
    c.cluster.Delete("pods", "default", "deaf", now);
    CHECK(c.Phase("deaf") == "gone");
    c.cluster.Advance(milliseconds(1));
    CHECK(c.simulated.running() == 0);
    CHECK(c.pool->pod_count() == 0);
  }
}

TEST_CASE("ephemeral containers join a pod that runs") {
  AgentCluster c([](AgentOptions& options) { options.simulated_events = true; });
  c.AddNode("a");
  c.AddPod("web", "a", {}, Simulate(R"({"containers":{"two":{"exitCode":3,"exitAfter":"5s"}}})"));
  AddEphemeral(c, "web", "one");
  CHECK(EphemeralState(c, "web", "one") == "running");
  AddEphemeral(c, "web", "two");
  CHECK(EphemeralState(c, "web", "two") == "running");
  CHECK(c.State("web") == "running");
  CHECK(c.Restarts("web") == 0);
  c.cluster.Advance(seconds(5));
  CHECK(EphemeralState(c, "web", "two") == "terminated Error");
  c.cluster.Advance(seconds(60));
  CHECK(EphemeralState(c, "web", "two") == "terminated Error");  // not again
  CHECK(EphemeralState(c, "web", "one") == "running");
  CHECK(c.simulated.starts() == 3);
  CHECK(c.Phase("web") == "Running");
  std::vector<std::string> told;
  for (const ObjectPtr& event : c.cluster.List("events")) {
    const JsonPtr document = event->json();
    const std::string field = StringAt(*document, "involvedObject.fieldPath");
    if (field.starts_with("spec.ephemeralContainers{two}")) told.push_back(StringAt(*document, "reason"));
  }
  CHECK(told == std::vector<std::string>{"Created", "Started"});

  c.StopAgents();
  c.StartAgents();
  CHECK(EphemeralState(c, "web", "one") == "running");
  CHECK(EphemeralState(c, "web", "two") == "terminated Error");
  CHECK(c.simulated.starts() == 3);

  c.cluster.Delete("pods", "default", "web");
  CHECK(c.Phase("web") == "gone");
  CHECK(c.simulated.running() == 0);
}

TEST_CASE("ephemeral containers of processes are adopted, also those that nobody was told of") {
  AgentCluster c;
  c.AddNode("a", false);
  c.AddPod("web", "a");
  AddEphemeral(c, "web", "one");
  CHECK(EphemeralState(c, "web", "one") == "running");
  c.StopAgents();
  AddEphemeral(c, "web", "two");
  c.StartAgents();
  CHECK(EphemeralState(c, "web", "one") == "running");
  CHECK(EphemeralState(c, "web", "two") == "running");
  CHECK(c.processes.starts() == 3);
}

// Node "a" for processes, and the class that puts them into sandboxes.
void AddSandboxNode(AgentCluster& c) {
  c.cluster.Apply(Json::parse(
      R"({"apiVersion":"node.k8s.io/v1","kind":"RuntimeClass","metadata":{"name":"sandbox"},"handler":"sandbox"})"));
  c.AddNode("a", false);
}
Json SandboxedPair() {
  return Json::parse(R"({"runtimeClassName":"sandbox","containers":[
      {"name":"app","image":"app:1","command":["/bin/true"]},{"name":"side","image":"app:1","command":["/bin/true"]}]})");
}

TEST_CASE("a sandboxed pod of several containers has one pause, for as long as it runs") {
  AgentCluster c;
  AddSandboxNode(c);
  const Json two = SandboxedPair();
  Json one = two;
  one["containers"].erase(1);
  const ObjectPtr pod = c.AddPod("two", "a", two);
  c.AddPod("one", "a", one);
  CHECK(c.Phase("two") == "Running");
  CHECK(c.Phase("one") == "Running");
  CHECK(c.processes.starts() == 4);  // two and its pause, one
  const std::string pause = pod->uid() + "/.pause/";

  SECTION("it is adopted, and there for restarts") {
    c.StopAgents();
    c.StartAgents();
    c.cluster.Advance(milliseconds(1));
    CHECK(c.processes.starts() == 4);
    REQUIRE(c.processes.Exit(pod->uid() + "/app/0", 1));
    c.cluster.Settle();
    CHECK(c.Restarts("two") == 1);
    CHECK(c.processes.starts() == 5);
    CHECK(c.processes.running() == 4);
  }
  SECTION("one that ended is followed by another when it is needed") {
    REQUIRE(c.processes.Exit(pause + "0", 137));
    c.cluster.Settle();
    CHECK(c.processes.running() == 3);
    REQUIRE(c.processes.Exit(pod->uid() + "/app/0", 1));
    c.cluster.Settle();
    CHECK(c.processes.running() == 4);
    CHECK(c.processes.Exit(pause + "1", 137));
  }
  SECTION("a server that ends its pods ends it last, and does not wait for it") {
    c.pool->Stop();
    bool stopped = false;
    Spawn(c.cluster.io().get_executor(), "stop", StopPods(*c.pool, &stopped));
    c.cluster.Settle();
    CHECK(c.processes.running() == 1);  // the pause
    c.cluster.Advance(milliseconds(100));
    CHECK(c.processes.running() == 0);
    CHECK(stopped);
  }
  SECTION("it goes with the pod") {
    c.cluster.Delete("pods", "default", "two");
    c.cluster.Delete("pods", "default", "one");
    CHECK(c.Phase("two") == "gone");
    CHECK(c.processes.running() == 0);
  }
  SECTION("also when the pod goes by itself") {
    c.cluster.Delete("pods", "default", "one");
    c.cluster.Delete("pods", "default", "two");
    Json job = two;
    job["restartPolicy"] = "Never";
    const ObjectPtr done = c.AddPod("job", "a", job);
    CHECK(c.processes.running() == 3);
    REQUIRE(c.processes.Exit(done->uid() + "/app/0", 0));
    c.cluster.Settle();
    CHECK(c.processes.running() == 2);
    REQUIRE(c.processes.Exit(done->uid() + "/side/0", 0));
    c.cluster.Settle();
    CHECK(c.Phase("job") == "Succeeded");
    CHECK(c.processes.running() == 0);
  }
  SECTION("and when somebody takes the object away while no server runs") {
    c.StopAgents();
    DeleteOptions now;
    now.grace_period_seconds = 0;
    c.cluster.Delete("pods", "default", "two", now);
    c.cluster.Delete("pods", "default", "one", now);
    c.StartAgents();
    c.cluster.Advance(milliseconds(1));
    CHECK(c.processes.running() == 0);
  }
}

TEST_CASE("what ends while the agents start is not taken for running") {
  AgentCluster c;
  c.AddNode("a", false);
  const ObjectPtr once = c.AddPod("once", "a", {{"restartPolicy", "Never"}});
  const ObjectPtr again = c.AddPod("again", "a");
  REQUIRE(c.Phase("once") == "Running");
  REQUIRE(c.Phase("again") == "Running");
  c.StopAgents();
  auto end = [&] {
    CHECK(c.processes.Exit(once->uid() + "/app/0", 3));
    CHECK(c.processes.Exit(again->uid() + "/app/0", 3));
  };
  SECTION("before the list of what was found arrives") {
    c.processes.after_list = end;
    c.StartAgents();
  }
  SECTION("before the pods have their workers, because their node is silent") {
    auto fail = [&c](const Json& value) {
      c.cluster.Update(c.cluster.Get("nodes", "", "a"),
                       [&](Json& node) { node["metadata"]["annotations"][std::string(kFailKey)] = value; });
    };
    fail("true");
    c.StartAgents();
    c.cluster.Settle();
    CHECK(c.pool->pod_count() == 0);
    end();
    fail("false");
  }
  c.cluster.Settle();
  CHECK(c.Phase("once") == "Failed");
  CHECK(c.State("once") == "terminated Error");
  CHECK(c.Restarts("again") == 1);
  CHECK(c.processes.running() == 1);
}

TEST_CASE("a pause that takes its time to start is not taken for one that ended") {
  AgentCluster c;
  AddSandboxNode(c);
  c.processes.start_latency = [](const std::string& id) { return milliseconds(IsPause(id) ? 50 : 0); };
  const ObjectPtr pod = c.AddPod("two", "a", SandboxedPair());
  CHECK(c.Phase("two") == "Pending");
  for (int i = 0; i < 10; ++i) {  // whoever changes the pod makes the agent look at it again
    c.cluster.Update(c.cluster.Get("pods", "default", "two"),
                     [&](Json& object) { object["metadata"]["labels"]["look"] = std::to_string(i); });
    c.cluster.Advance(milliseconds(10));
  }
  CHECK(c.Phase("two") == "Running");
  CHECK(c.processes.running() == 3);
  REQUIRE(c.processes.Exit(pod->uid() + "/app/0", 1));
  c.cluster.Advance(milliseconds(1));
  CHECK(c.processes.starts() == 4);  // the pause served again
  c.cluster.Delete("pods", "default", "two");
  c.cluster.Advance(milliseconds(1));
  CHECK(c.Phase("two") == "gone");
  CHECK(c.processes.running() == 0);
}

TEST_CASE("finished pods go at once when deleted") {
  AgentCluster c;
  c.AddNode("a");
  c.AddPod("job", "a", {{"restartPolicy", "Never"}}, Simulate(R"({"exitCode":0})"));
  REQUIRE(c.Phase("job") == "Succeeded");
  c.cluster.Delete("pods", "default", "job");
  CHECK(c.Phase("job") == "gone");
  CHECK(c.pool->pod_count() == 0);
}

TEST_CASE("a pod made again under its name is another pod") {
  AgentCluster c;
  c.AddNode("a");
  c.AddPod("web", "a");
  DeleteOptions now;
  now.grace_period_seconds = 0;
  c.cluster.Delete("pods", "default", "web", now);
  c.AddPod("web", "a");
  CHECK(c.Phase("web") == "Running");
  CHECK(c.simulated.running() == 1);
  CHECK(c.pool->pod_count() == 1);
  CHECK(c.Pod("web").at("status").at("podIP") == "127.64.0.3");  // the first address rests
}

TEST_CASE("a node that goes takes its processes along") {
  AgentCluster c;
  c.AddNode("a");
  c.AddPod("web", "a");
  const uint64_t writes = c.pool->counters().pod_status_writes;
  c.cluster.Delete("nodes", "", "a");
  c.cluster.Advance(seconds(1));
  CHECK(c.simulated.running() == 0);
  CHECK(c.pool->pod_count() == 0);
  CHECK(c.pool->counters().pod_status_writes == writes);
}

TEST_CASE("a host port belongs to one pod of a node") {
  AgentCluster c;
  c.AddNode("a");
  c.AddNode("b");
  const Json spec = Json::parse(
      R"({"containers":[{"name":"app","image":"app:1","command":["app"],"ports":[{"containerPort":80,"hostPort":8080}]}]})");
  c.AddPod("first", "a", spec);
  c.AddPod("second", "a", spec);
  c.AddPod("elsewhere", "b", spec);
  CHECK(c.Phase("first") == "Running");
  CHECK(c.Phase("second") == "Failed");
  CHECK(StringAt(c.Pod("second"), "status.reason") == "NodePorts");
  CHECK(c.Phase("elsewhere") == "Running");
}

TEST_CASE("init containers run first") {
  AgentCluster c;
  c.AddNode("a");
  c.AddPod("web", "a", Json::parse(R"({"initContainers":[{"name":"init","image":"i","command":["i"]}]})"),
           Simulate(R"({"containers":{"init":{"exitCode":0,"exitAfter":"2s"}}})"));
  CHECK(c.Phase("web") == "Pending");
  CHECK(c.State("web") == "waiting PodInitializing");
  c.cluster.Advance(seconds(2));
  CHECK(c.Phase("web") == "Running");
  CHECK(c.Pod("web").at("status").at("initContainerStatuses").at(0).at("state").at("terminated").at("reason") ==
        "Completed");
}

TEST_CASE("notReady holds back readiness") {
  AgentCluster c;
  c.AddNode("a");
  c.AddPod("web", "a", {}, Simulate(R"({"notReady":true})"));
  CHECK(c.Phase("web") == "Running");
  CHECK(c.Pod("web").at("status").at("containerStatuses").at(0).at("ready") == false);
}

TEST_CASE("events tell the story of a container") {
  AgentCluster c;
  c.AddNode("a", false);
  c.AddPod("web", "a");
  CHECK(c.Events("web") == std::vector<std::string>{"Pulled", "Created", "Started"});
  c.cluster.Delete("pods", "default", "web");
  CHECK(c.Events("web") == std::vector<std::string>{"Pulled", "Created", "Started", "Killing"});
}

TEST_CASE("a missing ConfigMap holds a container until it is there") {
  AgentCluster c;
  c.AddNode("a", false);
  c.AddPod(
      "web", "a",
      Json::parse(
          R"({"containers":[{"name":"app","image":"app:1","command":["app"],"envFrom":[{"configMapRef":{"name":"conf"}}]}]})"));
  CHECK(c.State("web") == "waiting CreateContainerConfigError");
  CHECK(c.Pod("web").at("status").at("containerStatuses").at(0).at("state").at("waiting").at("message") ==
        "configmap \"conf\" not found");
  c.cluster.Create(Json::parse(
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"conf","namespace":"default"},"data":{"A":"1"}})"));
  CHECK(c.State("web") == "running");
}

TEST_CASE("a missing volume source holds the pod") {
  AgentCluster c;
  c.AddNode("a", false);
  c.AddPod("web", "a", Json::parse(R"({"volumes":[{"name":"conf","configMap":{"name":"conf"}}]})"));
  CHECK(c.State("web") == "waiting ContainerCreating");
  CHECK(c.Events("web") == std::vector<std::string>{"FailedMount"});
  c.cluster.Create(Json::parse(
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"conf","namespace":"default"},"data":{"A":"1"}})"));
  CHECK(c.State("web") == "running");
}

TEST_CASE("an unknown image without a command is refused until an Image says what it is") {
  AgentCluster c;
  c.AddNode("a", false);
  c.AddPod("web", "a", Json::parse(R"({"containers":[{"name":"app","image":"example.com/thing:1"}]})"));
  CHECK(c.State("web") == "waiting ErrImagePull");
  const std::string message =
      c.Pod("web").at("status").at("containerStatuses").at(0).at("state").at("waiting").at("message");
  CHECK(message.find("kubectl apply -f -") != std::string::npos);
  c.cluster.Advance(seconds(1));
  CHECK(c.State("web") == "waiting ImagePullBackOff");
  c.cluster.Create(Json::parse(
      R"({"apiVersion":"wherry.dev/v1","kind":"Image","metadata":{"name":"thing"},"spec":{"references":["example.com/thing"],"command":["/bin/sh"]}})"));
  CHECK(c.State("web") == "running");
}

TEST_CASE("images that cannot be, or may not be fetched") {
  struct Row {
    const char* container;
    const char* state;
    const char* message;  // its begin
    std::vector<std::string> events;
  };
  const Row rows[] = {
      {R"({"name":"app","image":"Shop/Web","command":["app"]})",
       "waiting InvalidImageName",
       "Failed to apply default image tag \"Shop/Web\": couldn't parse image name \"Shop/Web\": invalid reference "
       "format: "
       "repository name (Shop/Web) must be lowercase",
       {"InspectFailed", "Failed"}},
      {R"({"name":"app","image":"example.com/thing:1","imagePullPolicy":"Never"})",
       "waiting ErrImageNeverPull",
       "Container image \"example.com/thing:1\" is not present with pull policy of Never: no Image object matches",
       {"ErrImageNeverPull", "Failed"}},
      {R"({"name":"app","image":"example.com/thing:1"})",
       "waiting ErrImagePull",
       "no Image object matches",
       {"Failed", "Failed"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.container);
    AgentCluster c;
    c.AddNode("a", false);
    c.AddPod("web", "a", {{"containers", Json::array({Json::parse(row.container)})}});
    CHECK(c.State("web") == row.state);
    const Json pod = c.Pod("web");
    CHECK_THAT(StringAt(pod.at("status").at("containerStatuses").at(0), "state.waiting.message"),
               Catch::StartsWith(row.message));
    CHECK(c.Events("web") == row.events);
    CHECK(c.Phase("web") == "Pending");
  }
}

TEST_CASE("a restarted server adopts what runs") {
  AgentCluster c;
  c.AddNode("a", false);
  const ObjectPtr web = c.AddPod("web", "a");
  const ObjectPtr job = c.AddPod("job", "a", {{"restartPolicy", "Never"}});
  const ObjectPtr gone = c.AddPod("gone", "a");
  REQUIRE(c.processes.starts() == 3);

  c.StopAgents();
  REQUIRE(c.processes.Exit(job->uid() + "/app/0", 7));
  DeleteOptions now;
  now.grace_period_seconds = 0;
  c.cluster.Delete("pods", "default", "gone", now);
  c.StartAgents();
  c.cluster.Advance(milliseconds(1));

  CHECK(c.processes.starts() == 3);
  CHECK(c.State("web") == "running");
  CHECK(c.Restarts("web") == 0);
  CHECK(c.Phase("job") == "Failed");
  CHECK(c.Pod("job").at("status").at("containerStatuses").at(0).at("state").at("terminated").at("exitCode") == 7);
  CHECK(c.processes.running() == 1);  // "gone" was ended
  c.cluster.Delete("pods", "default", "web");
  CHECK(c.Phase("web") == "gone");
  CHECK(c.processes.running() == 0);
}

TEST_CASE("a container that started but was not yet told of is adopted, not started twice") {
  AgentCluster c;
  c.AddNode("a", false);
  c.StopAgents();
  const ObjectPtr web = c.AddPod("web", "a");
  ContainerSpec spec;
  spec.id = web->uid() + "/app/0";
  REQUIRE(c.cluster.Run(c.processes.Start(spec)).ok());
  c.StartAgents();
  CHECK(c.processes.starts() == 1);
  CHECK(c.State("web") == "running");
}

TEST_CASE("a container nobody can find counts as failed and is run again") {
  AgentCluster c;
  c.AddNode("a", false);
  const ObjectPtr web = c.AddPod("web", "a");
  c.StopAgents();
  REQUIRE(c.cluster.Run(c.processes.Remove(web->uid() + "/app/0")).ok());
  c.StartAgents();
  CHECK(c.State("web") == "running");
  CHECK(c.Restarts("web") == 1);
  const Json last = c.Pod("web").at("status").at("containerStatuses").at(0).at("lastState").at("terminated");
  CHECK(last.at("reason") == "ContainerStatusUnknown");
  CHECK(last.at("exitCode") == 255);
}

TEST_CASE("simulated pods go on after a restart of the server") {
  AgentCluster c;
  c.AddNode("a");
  const ObjectPtr web = c.AddPod("web", "a");
  c.StopAgents();
  REQUIRE(c.cluster.Run(c.simulated.Remove(web->uid() + "/app/0")).ok());  // memory is gone with the process
  c.StartAgents();
  CHECK(c.State("web") == "running");
  CHECK(c.Restarts("web") == 0);
  CHECK(c.simulated.running() == 1);
  CHECK(c.simulated.starts() == 1);
}

}  // namespace wherry
