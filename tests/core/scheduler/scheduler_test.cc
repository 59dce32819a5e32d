#include "core/scheduler/scheduler.h"

#include <catch2/catch.hpp>

#include "tests/core/scheduler/fake_cluster.h"

namespace wherry::testing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

struct Bench : FakeCluster {
  explicit Bench(SchedulerOptions options = {}, uint64_t seed = 1)
      : FakeCluster(seed), scheduler(context(), std::move(options)) {}
  void Start() {
    scheduler.Start();
    Settle();
  }
  void Add(Json document) {
    Put(std::move(document));
    Settle();
  }
  Scheduler scheduler;
};

Json TiedTo(const std::string& node) {
  return {{"spec",
           {{"affinity",
             {{"nodeAffinity",
               {{"requiredDuringSchedulingIgnoredDuringExecution",
                 {{"nodeSelectorTerms",
                   {{{"matchFields", {{{"key", "metadata.name"}, {"operator", "In"}, {"values", {node}}}}}}}}}}}}}}}}};
}

}  // namespace

TEST_CASE("Scheduler: binds a waiting pod and says so") {
  Bench b;
  b.Put(NodeJson("node-1"));
  b.Put(PodJson("there"));  // before the start
  b.Start();
  CHECK(b.NodeOf("there") == "node-1");
  b.Add(PodJson("web-0"));
  CHECK(b.NodeOf("web-0") == "node-1");
  CHECK(b.told == std::vector<std::string>{
                      "Normal Scheduled there: Successfully assigned default/there to node-1",
                      "Normal Scheduled web-0: Successfully assigned default/web-0 to node-1",
                  });
  CHECK(b.patches == 0);
  CHECK(b.scheduler.queue().size() == 0);
  CHECK(b.scheduler.binding() == 0);
}

TEST_CASE("Scheduler: pods with another schedulerName are left alone, and so are those that go or have ended") {
  Bench b;
  b.Put(NodeJson("n1"));
  b.Start();
  b.Add(PodJson("other", {{"spec", {{"schedulerName", "mine"}}}}));
  b.Add(PodJson("leaving", {{"metadata", {{"deletionTimestamp", "2026-01-01T00:00:00Z"}}}}));
  b.Add(PodJson("done", {{"status", {{"phase", "Failed"}}}}));
  CHECK(b.NodeOf("other") == "");
  CHECK(b.NodeOf("leaving") == "");
  CHECK(b.NodeOf("done") == "");
  CHECK(b.binds == 0);
  CHECK(b.told.empty());
  CHECK(b.scheduler.queue().size() == 0);
}

TEST_CASE("Scheduler: several profiles") {
  Profile packed = DefaultProfile("no-taints");
  std::erase_if(packed.plugins, [](const auto& enabled) { return enabled.plugin->name == "TaintToleration"; });
  Bench b({.profiles = {DefaultProfile(), packed}});
  b.Put(NodeJson("n1", {{"spec", {{"taints", {{{"key", "k"}, {"effect", "NoSchedule"}}}}}}}));
  b.Start();
  b.Add(PodJson("default"));
  b.Add(PodJson("bold", {{"spec", {{"schedulerName", "no-taints"}}}}));
  CHECK(b.NodeOf("default") == "");
  CHECK(b.NodeOf("bold") == "n1");
}

TEST_CASE("Scheduler: schedulingGates are waited for, and told once") {
  Bench b;
  b.Put(NodeJson("n1"));
  b.Start();
  b.Add(PodJson("p", {{"spec", {{"schedulingGates", {{{"name", "example.com/wait"}}}}}}}));
  CHECK(b.NodeOf("p") == "");
  CHECK(b.ConditionOf("p") == "SchedulingGated: Scheduling is blocked due to non-empty scheduling gates");
  CHECK(b.patches == 1);
  CHECK(b.told.empty());
  Json pod = b.Get("p");
  pod["spec"].erase("schedulingGates");
  b.Add(pod);
  CHECK(b.NodeOf("p") == "n1");
}

TEST_CASE("Scheduler: Unschedulable becomes the condition PodScheduled and the event FailedScheduling") {
  Bench b;
  b.Put(NodeJson("n1", {{"spec", {{"taints", {{{"key", "k"}, {"value", "v"}, {"effect", "NoSchedule"}}}}}}}));
  b.Put(NodeJson("n2", {{"status", {{"allocatable", {{"cpu", "1"}}}}}}));
  b.Put(NodeJson("n3", {{"status", {{"allocatable", {{"cpu", "1"}}}}}}));
  b.Start();
  b.Add(PodAsking("p", "2", "1Gi"));
  const std::string message =
      "0/3 nodes are available: 1 node(s) had untolerated taint {k: v}, 2 Insufficient cpu. preemption: 0/3 nodes are "
      "available: 3 Preemption is not helpful for scheduling.";
  CHECK(b.ConditionOf("p") == "Unschedulable: " + message);
  CHECK(b.told == std::vector<std::string>{"Warning FailedScheduling p: " + message});
  CHECK(b.patches == 1);
  CHECK(b.Get("p")["status"]["conditions"][0]["status"] == "False");
  CHECK(b.Get("p")["status"]["conditions"][0]["lastTransitionTime"] == "2023-11-14T22:13:20Z");

  // Another pod's coming and going wakes it, in vain: nothing is written.
  b.Add(BoundTo(PodJson("x"), "n2"));
  b.RemovePod("x");
  b.Advance(minutes(3));
  CHECK(b.patches == 1);
  CHECK(b.told.size() == 1);

  // After five minutes it is tried and told again, though nothing happened; the condition still stands.
  b.Advance(minutes(3));
  REQUIRE(b.told.size() == 2);
  CHECK(b.told[1] == "again");
  CHECK(b.patches == 1);

  b.Add(NodeJson("n4"));
  CHECK(b.NodeOf("p") == "n4");
}

TEST_CASE("Scheduler: no nodes") {
  Bench b;
  b.Start();
  b.Add(PodJson("p"));
  CHECK(b.ConditionOf("p") == "Unschedulable: no nodes available to schedule pods");
  b.Add(NodeJson("n1"));
  CHECK(b.NodeOf("p") == "n1");
}

TEST_CASE("Scheduler: re-queue by event, each kind of change that helps wakes a refused pod") {
  Bench b;
  Json node = NodeJson("n1", {{"status", {{"allocatable", {{"pods", "1"}}}}}});
  node["spec"]["taints"] = {{{"key", "k"}, {"effect", "NoSchedule"}}};
  b.Put(node);
  b.Put(BoundTo(PodJson("old"), "n1"));
  b.Start();
  b.Add(PodJson("p", {{"spec", {{"nodeSelector", {{"zone", "a"}}}}}}));
  CHECK(b.scheduler.decisions() == 1);

  SECTION("one obstacle after the other, each by its own event") {
    node["spec"].erase("taints");
    b.Add(node);  // next obstacle: the label
    CHECK(b.NodeOf("p") == "");
    node["metadata"]["labels"]["zone"] = "a";
    b.Add(node);  // next: room
    CHECK(b.NodeOf("p") == "");
    // None of these was worth a full decision.
    CHECK(b.scheduler.decisions() == 1);
    b.RemovePod("old");
    b.Settle();
    CHECK(b.NodeOf("p") == "n1");
  }
  SECTION("more room") {
    node["spec"].erase("taints");
    node["metadata"]["labels"]["zone"] = "a";
    b.Add(node);
    node["status"]["allocatable"]["pods"] = "2";
    b.Add(node);
    CHECK(b.NodeOf("p") == "n1");
  }
  SECTION("cordons") {
    node["spec"] = {{"unschedulable", true}};
    node["metadata"]["labels"]["zone"] = "a";
    b.RemovePod("old");
    b.Add(node);
    CHECK(b.NodeOf("p") == "");
    node["spec"] = Json::object();
    b.Add(node);
    CHECK(b.NodeOf("p") == "n1");
  }
  SECTION("its own tolerations") {
    Json pod = b.Get("p");
    pod["spec"]["nodeSelector"] = Json::object();
    pod["spec"]["tolerations"] = {{{"operator", "Exists"}}};
    b.RemovePod("old");
    b.Add(pod);
    CHECK(b.NodeOf("p") == "n1");
  }
}

TEST_CASE("Scheduler: a daemon pod looks at its own node only") {
  Bench b;
  b.Put(NodeJson("n1"));
  b.Put(NodeJson("n2"));
  b.Put(NodeJson("n3"));
  b.Start();
  b.Add(PodJson("on-2", TiedTo("n2")));
  CHECK(b.NodeOf("on-2") == "n2");

  Json big = PodAsking("big", "4", "1Gi", TiedTo("n3"));
  b.Add(BoundTo(PodAsking("there", "1", "1Gi"), "n3"));
  b.Add(big);
  CHECK(b.ConditionOf("big") ==
        "Unschedulable: 0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) "
        "[NodeAffinity]. preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 "
        "Preemption is not helpful for scheduling.");
  b.RemovePod("there");
  b.Settle();
  CHECK(b.NodeOf("big") == "n3");

  b.Add(PodJson("early", TiedTo("n4")));
  CHECK(b.ConditionOf("early") ==
        "Unschedulable: 0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity]. preemption: 0/3 "
        "nodes "
        "are available: 3 Preemption is not helpful for scheduling.");
  b.Add(NodeJson("n4"));
  CHECK(b.NodeOf("early") == "n4");
}

TEST_CASE("Scheduler: decisions count binds under way") {
  Bench b;
  b.Put(NodeJson("n1"));
  b.Start();
  for (int i = 0; i < 5; ++i) b.Put(PodAsking("p" + std::to_string(i), "2", "1Gi"));
  b.Settle();
  int bound = 0;
  for (int i = 0; i < 5; ++i) bound += b.NodeOf("p" + std::to_string(i)).empty() ? 0 : 1;
  CHECK(bound == 2);
  CHECK(b.scheduler.snapshot().Find("n1")->requested.milli_cpu == 4000);
}

TEST_CASE("Scheduler: the most important pod takes the last place") {
  Bench b;
  b.Start();
  b.Put(PodAsking("low", "4", "1Gi"));
  b.Put(PodAsking("high", "4", "1Gi", {{"spec", {{"priority", 100}}}}));
  b.Settle();
  b.Put(NodeJson("n1"));
  b.Settle();
  CHECK(b.NodeOf("high") == "n1");
  CHECK(b.NodeOf("low") == "");
}

TEST_CASE("Scheduler: failed binds") {
  Bench b;
  b.Put(NodeJson("n1"));
  b.Start();

  SECTION("a store in trouble: told, and tried again after a back-off") {
    b.bind_answers = {Status::Internal("disk full"), Status::Internal("disk full")};
    b.Add(PodAsking("p", "1", "1Gi"));
    CHECK(b.NodeOf("p") == "");
    CHECK(b.ConditionOf("p") == "SchedulerError: binding rejected: disk full");
    CHECK(b.scheduler.snapshot().Find("n1")->requested.milli_cpu == 0);
    b.Advance(seconds(1));
    CHECK(b.binds == 2);
    b.Advance(seconds(2));
    CHECK(b.NodeOf("p") == "n1");
    CHECK(b.told.back() == "Normal Scheduled p: Successfully assigned default/p to n1");
  }
  SECTION("the pod was bound by somebody else") {
    b.Put(PodAsking("p", "1", "1Gi"));
    b.Put(NodeJson("n2"));
    b.bind_answers = {};
    b.Put(BoundTo(b.Get("p"), "n2"));
    b.Settle();
    CHECK(b.NodeOf("p") == "n2");
    CHECK(b.scheduler.snapshot().Find("n1")->pods.empty());
    CHECK(b.scheduler.queue().size() == 0);
  }
  SECTION("the pod went away meanwhile") {
    b.bind_answers = {Status::NotFound("pods", "", "p")};
    b.Add(PodAsking("p", "1", "1Gi"));
    b.RemovePod("p");
    b.Advance(seconds(20));
    CHECK(b.scheduler.snapshot().Find("n1")->pods.empty());
    CHECK(b.scheduler.queue().size() == 0);
    CHECK(b.binds == 1);
    for (const std::string& text : b.told) CHECK(text.find("Failed") == std::string::npos);
  }
  SECTION("a conflict over a pod that still waits is tried again") {
    b.bind_answers = {Status::Conflict("pods", "", "p", "changed")};
    b.Add(PodAsking("p", "1", "1Gi"));
    CHECK(b.NodeOf("p") == "");
    b.Advance(seconds(1));
    CHECK(b.NodeOf("p") == "n1");
  }
}

TEST_CASE("Scheduler: the number of binds under way is bounded") {
  Bench b({.profiles = {}, .max_binds = 3});
  b.Put(NodeJson("n1"));
  for (int i = 0; i < 20; ++i) b.Put(PodJson("p" + std::to_string(i)));
  b.scheduler.Start();
  b.Settle();
  for (int i = 0; i < 20; ++i) CHECK(b.NodeOf("p" + std::to_string(i)) == "n1");
}

TEST_CASE("Scheduler: same events and seed, same placements") {
  auto run = [](uint64_t seed) {
    Bench b({}, seed);
    for (int i = 0; i < 8; ++i) b.Put(NodeJson("n" + std::to_string(i)));
    b.Start();
    std::string nodes;
    for (int i = 0; i < 30; ++i) {
      b.Put(PodJson("p" + std::to_string(i)));
      if (i % 3 == 0) b.Settle();
    }
    b.Settle();
    for (int i = 0; i < 30; ++i) nodes += b.NodeOf("p" + std::to_string(i)) + " ";
    return nodes;
  };
  CHECK(run(5) == run(5));
  CHECK(run(5) != run(6));
}

TEST_CASE("Scheduler: after Stop nothing happens") {
  Bench b;
  b.Put(NodeJson("n1"));
  b.Start();
  b.Put(PodJson("p"));
  b.scheduler.Stop();
  b.Settle();
  b.Add(PodJson("q"));
  CHECK(b.NodeOf("p") == "");
  CHECK(b.NodeOf("q") == "");
}

}  // namespace wherry::testing
