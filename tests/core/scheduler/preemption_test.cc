#include <catch2/catch.hpp>

#include "tests/core/scheduler/fake_cluster.h"

namespace wherry::testing {
namespace {

using Names = std::vector<std::string>;

struct Bench : FakeCluster {
  Bench() : scheduler(context()) {}
  void Add(Json document) {
    Put(std::move(document));
    Settle();
  }
  // A pod that runs on the node: how much cpu, how important, since when (minutes).
  void Runs(const std::string& name, const std::string& node, int cpu, int priority, int started = 0,
            Json labels = Json::object()) {
    Json pod = PodAsking(name, std::to_string(cpu), "1Mi", {{"metadata", {{"labels", labels}}}});
    pod["spec"]["priority"] = priority;
    pod["status"]["startTime"] = "2026-01-01T00:" + std::to_string(10 + started) + ":00Z";
    Put(BoundTo(pod, node));
  }
  void Budget(const std::string& name, int allowed, Json labels) {
    Put({{"kind", "PodDisruptionBudget"},
         {"metadata", {{"name", name}, {"namespace", "default"}, {"uid", "uid-" + name}}},
         {"spec", {{"selector", {{"matchLabels", labels}}}}},
         {"status", {{"disruptionsAllowed", allowed}}}});
  }
  void Comes(int cpu, int priority, const Json& patch = Json::object()) {
    Json pod = PodAsking("p", std::to_string(cpu), "1Mi", patch);
    pod["spec"]["priority"] = priority;
    Add(pod);
  }
  void Start() {
    scheduler.Start();
    Settle();
  }
  // Whom the arrival of a pod costs its place.
  Names Victims(int cpu, int priority, const Json& patch = Json::object()) {
    Start();
    Comes(cpu, priority, patch);
    std::sort(deleted.begin(), deleted.end());
    return deleted;
  }
  std::string Nominated(const std::string& pod) const { return Get(pod)["status"].value("nominatedNodeName", ""); }
  Scheduler scheduler;
};

}  // namespace

TEST_CASE("Preemption: nominatedNodeName; room is made, waited for, and taken") {
  Bench b;
  b.Put(NodeJson("n1"));
  b.Runs("low", "n1", 4, 0);
  b.Start();
  b.Comes(2, 10);
  CHECK(b.NodeOf("p") == "");
  CHECK(b.Nominated("p") == "n1");
  CHECK(b.ConditionOf("p") == "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.");
  const Json victim = b.Get("low");
  CHECK(victim["metadata"].contains("deletionTimestamp"));
  const Json& condition = victim["status"]["conditions"][0];
  CHECK(condition["type"] == "DisruptionTarget");
  CHECK(condition["status"] == "True");
  CHECK(condition["reason"] == "PreemptionByScheduler");
  CHECK(condition["message"] == "default-scheduler: preempting to accommodate a higher priority pod");
  CHECK(std::find(b.told.begin(), b.told.end(), "Normal Preempted low: Preempted by pod uid-p on node n1") !=
        b.told.end());

  SECTION("the room is for the pod, not for whoever comes") {
    Json other = PodAsking("other", "1", "1Mi", {{"spec", {{"priority", 10}}}});
    b.RemovePod("low");
    b.Put(other);
    b.Settle();
    CHECK(b.NodeOf("p") == "n1");
    CHECK(b.NodeOf("other") == "n1");
  }
  SECTION("nothing happens while the victim takes its time") {
    const uint64_t decisions = b.scheduler.decisions();
    b.Advance(std::chrono::minutes(2));
    CHECK(b.scheduler.decisions() == decisions);
    CHECK(b.deleted == Names{"low"});
    b.RemovePod("low");
    b.Settle();
    CHECK(b.NodeOf("p") == "n1");
    CHECK(b.scheduler.decisions() == decisions + 1);
  }
  SECTION("it counts against others of lower or equal priority, not against higher ones") {
    b.Add(NodeJson("n2", {{"spec", {{"unschedulable", true}}}}));
    b.Add(PodAsking("equal", "3", "1Mi", {{"spec", {{"priority", 10}}}}));
    b.Add(PodAsking("small", "1", "1Mi", {{"spec", {{"priority", 0}}}}));
    b.RemovePod("low");
    b.Settle();
    CHECK(b.NodeOf("p") == "n1");
    CHECK(b.NodeOf("equal") == "");
    CHECK(b.NodeOf("small") == "n1");
  }
  SECTION("a more important pod takes the room, and the nomination with it") {
    b.Add(PodAsking("top", "4", "1Mi", {{"spec", {{"priority", 20}}}}));
    CHECK(b.Nominated("p") == "");
    CHECK(b.Nominated("top") == "n1");
    b.RemovePod("low");
    b.Settle();
    CHECK(b.NodeOf("top") == "n1");
    CHECK(b.NodeOf("p") == "");
  }
  SECTION("a node that goes takes the nomination with it") {
    b.Put(NodeJson("n2"));
    b.Runs("other", "n2", 4, 0);
    b.RemoveNode("n1");
    b.Settle();
    CHECK(b.Nominated("p") == "n2");
    CHECK(b.deleted == Names{"low", "other"});
  }
  SECTION("the pod that goes away gives the room back") {
    b.Add(PodAsking("equal", "3", "1Mi", {{"spec", {{"priority", 10}}}}));
    b.RemovePod("low");
    b.Settle();
    CHECK(b.NodeOf("equal") == "");
    b.RemovePod("p");
    b.Settle();
    CHECK(b.NodeOf("equal") == "n1");
  }
}

TEST_CASE("Preemption: a restart finds the nominations") {
  Bench b;
  b.Put(NodeJson("n1"));
  b.Put(PodAsking(
      "p", "4", "1Mi",
      {{"spec", {{"priority", 10}, {"schedulingGates", nullptr}}}, {"status", {{"nominatedNodeName", "n1"}}}}));
  b.Runs("leaving", "n1", 4, 0);
  Json leaving = b.Get("leaving");
  leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  b.Put(leaving);
  b.Start();
  CHECK(b.deleted.empty());
  CHECK(b.ConditionOf("p") ==
        "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to a terminating pod "
        "on the nominated node.");
  b.Add(PodAsking("equal", "1", "1Mi", {{"spec", {{"priority", 10}}}}));
  b.RemovePod("leaving");
  b.Settle();
  CHECK(b.NodeOf("p") == "n1");
  CHECK(b.NodeOf("equal") == "");
}

TEST_CASE("Preemption: who must go") {
  Bench b;
  b.Put(NodeJson("n1"));

  SECTION("nobody of equal or higher priority") {
    b.Runs("equal", "n1", 2, 10);
    b.Runs("higher", "n1", 2, 11);
    CHECK(b.Victims(1, 10).empty());
    CHECK(b.ConditionOf("p") ==
          "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No "
          "preemption victims found for incoming pod.");
  }
  SECTION("nobody for a pod that never preempts") {
    b.Runs("low", "n1", 4, 0);
    CHECK(b.Victims(1, 10, {{"spec", {{"preemptionPolicy", "Never"}}}}).empty());
    CHECK(b.ConditionOf("p") ==
          "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to "
          "preemptionPolicy=Never.");
  }
  SECTION("nobody where that would not help") {
    b.Runs("low", "n1", 1, 0);
    b.Runs("high", "n1", 3, 20);
    CHECK(b.Victims(2, 10).empty());
    CHECK(b.ConditionOf("p") ==
          "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 "
          "Insufficient cpu.");
    // But once the important pod goes, it does.
    b.RemovePod("high");
    b.Settle();
    CHECK(b.NodeOf("p") == "n1");
  }
  SECTION("no more than needed, and the least important") {
    b.Runs("a", "n1", 1, 3);
    b.Runs("b", "n1", 1, 1);
    b.Runs("c", "n1", 1, 2);
    b.Runs("d", "n1", 1, 1, 5);
    CHECK(b.Victims(1, 10) == Names{"d"});  // as important as b, but younger
  }
  SECTION("a large pod instead of several that would not do") {
    b.Runs("large", "n1", 3, 5);
    b.Runs("small", "n1", 1, 1);
    CHECK(b.Victims(3, 10) == Names{"large"});
  }
  SECTION("nobody for a pod that another node has room for") {
    b.Runs("low", "n1", 4, 0);
    b.Put(NodeJson("n2"));
    CHECK(b.Victims(1, 10).empty());
    CHECK(b.NodeOf("p") == "n2");
  }
  SECTION("those whose budget allows it first") {
    b.Budget("guard", 0, {{"guarded", "yes"}});
    b.Runs("guarded", "n1", 2, 0, 0, {{"guarded", "yes"}});
    b.Runs("free", "n1", 2, 5);
    CHECK(b.Victims(2, 10) == Names{"free"});
  }
  SECTION("those that it does not allow, when there is no other way") {
    b.Budget("guard", 1, {{"guarded", "yes"}});
    b.Runs("one", "n1", 2, 0, 0, {{"guarded", "yes"}});
    b.Runs("two", "n1", 2, 0, 0, {{"guarded", "yes"}});
    CHECK(b.Victims(4, 10) == Names{"one", "two"});
  }
  SECTION("those that hold a port, or stand too near") {
    Json port = PodAsking("port", "0", "0");
    port["spec"]["containers"][0]["ports"] = {{{"containerPort", 80}, {"hostPort", 80}}};
    b.Put(BoundTo(port, "n1"));
    b.Runs("other", "n1", 1, 0, 0, {{"app", "x"}});
    b.Start();
    Json pod = PodAsking("p", "1", "1Mi", {{"spec", {{"priority", 1}}}});
    pod["spec"]["containers"][0]["ports"] = {{{"containerPort", 80}, {"hostPort", 80}}};
    b.Add(pod);
    CHECK(b.deleted == Names{"port"});
    b.RemovePod("port");
    b.Settle();
    b.deleted.clear();
    b.Add(PodJson("q", {{"spec",
                         {{"priority", 1},
                          {"affinity",
                           {{"podAntiAffinity",
                             {{"requiredDuringSchedulingIgnoredDuringExecution",
                               {{{"topologyKey", "kubernetes.io/hostname"},
                                 {"labelSelector", {{"matchLabels", {{"app", "x"}}}}}}}}}}}}}}}));
    CHECK(b.deleted == Names{"other"});
  }
}

TEST_CASE("Preemption: where it costs least") {
  Bench b;
  for (const char* node : {"n1", "n2"}) b.Put(NodeJson(node));

  SECTION("fewest budgets broken") {
    b.Budget("guard", 0, {{"guarded", "yes"}});
    b.Runs("guarded", "n1", 4, 0, 0, {{"guarded", "yes"}});
    b.Runs("free", "n2", 4, 5);
    CHECK(b.Victims(4, 10) == Names{"free"});
  }
  SECTION("the least important of the most important victims") {
    b.Runs("a", "n1", 4, 5);
    b.Runs("b1", "n2", 2, 4);
    b.Runs("b2", "n2", 2, 4);
    CHECK(b.Victims(4, 10) == Names{"b1", "b2"});
  }
  SECTION("then the smallest sum of priorities") {
    b.Runs("a1", "n1", 2, 5);
    b.Runs("a2", "n1", 2, 4);
    b.Runs("b1", "n2", 2, 5);
    b.Runs("b2", "n2", 2, 3);
    CHECK(b.Victims(4, 10) == Names{"b1", "b2"});
  }
  SECTION("fewer victims, also of negative priority") {
    b.Runs("a1", "n1", 2, -5);
    b.Runs("a2", "n1", 2, -5);
    b.Runs("b", "n2", 4, -5);
    CHECK(b.Victims(4, 10) == Names{"b"});
  }
  SECTION("then those that started last") {
    b.Runs("old", "n1", 4, 0, 1);
    b.Runs("young", "n2", 4, 0, 2);
    CHECK(b.Victims(4, 10) == Names{"young"});
  }
}

TEST_CASE("Preemption: the message tells each node's case") {
  Bench b;
  b.Put(NodeJson("tainted", {{"spec", {{"taints", {{{"key", "k"}, {"effect", "NoSchedule"}}}}}}}));
  b.Put(NodeJson("small", {{"status", {{"allocatable", {{"cpu", "1"}}}}}}));
  b.Put(NodeJson("n1"));
  b.Runs("equal", "n1", 4, 10);
  b.Runs("low", "n1", 0, 0);
  b.Start();
  b.Comes(2, 10);
  CHECK(
      b.ConditionOf("p") ==
      "Unschedulable: 0/3 nodes are available: 1 node(s) had untolerated taint {k: }, 2 Insufficient cpu. preemption: "
      "0/3 nodes are available: 1 Insufficient cpu, 2 Preemption is not helpful for scheduling.");
}

}  // namespace wherry::testing
