#include <catch2/catch.hpp>

#include "core/kinds/resources.h"
#include "tests/core/agent/agent_fixture.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

// `wherry node fail` and `restore`, which write this annotation.
void SetFailed(TestCluster& cluster, const std::string& node, bool failed) {
  const Json value = failed ? Json("true") : Json();
  cluster.Apply({{"apiVersion", "v1"},
                 {"kind", "Node"},
                 {"metadata", {{"name", node}, {"annotations", {{std::string(kFailKey), value}}}}}});
  cluster.Settle();
}

std::string Condition(const TestCluster& cluster, std::string_view resource, const std::string& ns,
                      const std::string& name, const std::string& type) {
  const Json document = cluster.Document(resource, ns, name);
  for (const Json& condition : document["status"]["conditions"]) {
    if (condition["type"] == type) return condition["status"];
  }
  return "";
}

bool HasTaint(const TestCluster& cluster, const std::string& node, const std::string& key) {
  const Json document = cluster.Document(resources::kNodes, "", node);
  for (const Json& taint : document["spec"].value("taints", Json::array())) {
    if (taint["key"] == key) return true;
  }
  return false;
}

void CreatePod(TestCluster& cluster, const std::string& name) {
  cluster.Create({{"apiVersion", "v1"},
                  {"kind", "Pod"},
                  {"metadata", {{"name", name}, {"namespace", "default"}}},
                  {"spec", {{"containers", {{{"name", "c"}, {"image", "app:1"}, {"command", {"app"}}}}}}}});
  cluster.Settle();
}

}  // namespace

TEST_CASE("A failed node is Unknown after 40 s, loses its pods after their toleration, and comes back clean") {
  TestCluster cluster;
  cluster.AddNode("a");
  CreatePod(cluster, "p");
  cluster.Advance(5s);
  cluster.AddNode("b");
  REQUIRE(cluster.Document(resources::kPods, "default", "p")["spec"]["nodeName"] == "a");
  REQUIRE(Condition(cluster, resources::kPods, "default", "p", "Ready") == "True");

  SetFailed(cluster, "a", true);
  cluster.Advance(39s);
  CHECK(Condition(cluster, resources::kNodes, "", "a", "Ready") == "True");
  cluster.Advance(2s);
  CHECK(Condition(cluster, resources::kNodes, "", "a", "Ready") == "Unknown");
  CHECK(HasTaint(cluster, "a", "node.kubernetes.io/unreachable"));
  CHECK(Condition(cluster, resources::kPods, "default", "p", "Ready") == "False");
  CHECK(Condition(cluster, resources::kNodes, "", "b", "Ready") == "True");
  CreatePod(cluster, "q");
  CHECK(cluster.Document(resources::kPods, "default", "q")["spec"]["nodeName"] == "b");

  cluster.Advance(298s);
  CHECK_FALSE(cluster.Document(resources::kPods, "default", "p")["metadata"].contains("deletionTimestamp"));
  cluster.Advance(3s);
  CHECK(cluster.Document(resources::kPods, "default", "p")["metadata"].contains("deletionTimestamp"));
  cluster.Advance(10min);  // nobody can confirm that it ended
  CHECK(cluster.Get(resources::kPods, "default", "p") != nullptr);

  SetFailed(cluster, "a", false);
  cluster.Advance(1min);
  CHECK(Condition(cluster, resources::kNodes, "", "a", "Ready") == "True");
  CHECK_FALSE(HasTaint(cluster, "a", "node.kubernetes.io/unreachable"));
  CHECK(cluster.Get(resources::kPods, "default", "p") == nullptr);
}

TEST_CASE("While a node is failed its processes run on, and nothing is started, stopped or told") {
  AgentCluster c;
  c.AddNode("a", false);
  for (const char* pod : {"stays", "ends", "asked", "taken"}) c.AddPod(pod, "a");
  c.cluster.Settle();
  REQUIRE(c.processes.running() == 4);
  SetFailed(c.cluster, "a", true);
  const auto before = c.pool->counters();

  c.AddPod("late", "a");
  c.cluster.Delete(resources::kPods, "default", "asked");
  DeleteOptions at_once;
  at_once.grace_period_seconds = 0;
  c.cluster.Delete(resources::kPods, "default", "taken", at_once);
  for (const ContainerState& state : c.cluster.Run(c.processes.List())) {
    if (state.id.starts_with(c.Pod("ends")["metadata"]["uid"].get<std::string>())) c.processes.Exit(state.id, 1);
  }
  c.cluster.Advance(10min);
  CHECK(c.processes.running() == 3);
  CHECK(c.processes.starts() == 4);
  CHECK(c.State("ends") == "running");  // as last told
  CHECK(c.Phase("late") == "Pending");
  CHECK(c.Pod("asked")["metadata"].contains("deletionTimestamp"));
  CHECK(c.pool->counters().lease_writes == before.lease_writes);
  CHECK(c.pool->counters().node_writes == before.node_writes);
  CHECK(c.pool->counters().pod_status_writes == before.pod_status_writes);

  SetFailed(c.cluster, "a", false);
  c.cluster.Advance(2min);
  CHECK(c.pool->counters().lease_writes > before.lease_writes);
  CHECK(c.State("stays") == "running");
  CHECK(c.Restarts("stays") == 0);
  CHECK(c.Restarts("ends") == 1);
  CHECK(c.Phase("late") == "Running");
  CHECK(c.Pod("asked").is_null());
  CHECK(c.processes.running() == 3);  // stays, ends again, late
}
