// Workloads whose node falls silent (`wherry node fail`), from the loss to the return.

#include <catch2/catch.hpp>
#include <set>

#include "core/agent/node_agent_pool.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/support/test_cluster.h"

namespace wherry {
namespace {

using namespace std::chrono_literals;

struct Cluster : TestCluster {
  // What `wherry node fail` and `restore` write.
  void SetFailed(const std::string& node, bool failed) {
    const Json value = failed ? Json("true") : Json();
    Apply({{"apiVersion", "v1"},
           {"kind", "Node"},
           {"metadata", {{"name", node}, {"annotations", {{std::string(kFailKey), value}}}}}});
    Settle();
  }
  void AddSet(const std::string& kind, int replicas) {
    Json set = {{"apiVersion", "apps/v1"},
                {"kind", kind},
                {"metadata", {{"name", "web"}}},
                {"spec",
                 {{"replicas", replicas},
                  {"selector", {{"matchLabels", {{"app", "web"}}}}},
                  {"template",
                   {{"metadata", {{"labels", {{"app", "web"}}}}},
                    {"spec",
                     {{"containers", {{{"name", "c"}, {"image", "app:1"}, {"command", {"app"}}}}},
                      {"topologySpreadConstraints",
                       {{{"maxSkew", 1},
                         {"topologyKey", "kubernetes.io/hostname"},
                         {"whenUnsatisfiable", "ScheduleAnyway"},
                         {"labelSelector", {{"matchLabels", {{"app", "web"}}}}}}}}}}}}}}};
    if (kind == "StatefulSet") set["spec"]["serviceName"] = "web";
    Create(std::move(set));
    Advance(10s);
  }
  // Pods of the namespace: on this node (or any but it), leaving or not.
  int Count(const std::string& node, bool there, bool leaving) const {
    int count = 0;
    for (const ObjectPtr& pod : List(resources::kPods, "default")) {
      const bool on = StringAt(*pod->json(), "spec.nodeName") == node;
      if (on == there && pod->view<MetaView>().deleting() == leaving) ++count;
    }
    return count;
  }
  int64_t Ready(std::string_view resource) const {
    return IntAt(Document(resource, "default", "web"), "status.readyReplicas");
  }
};

TEST_CASE("A ReplicaSet replaces the pods of a lost node once they are told to go, and has as many when it is back") {
  Cluster cluster;
  for (const char* node : {"a", "b", "c"}) cluster.AddNode(node);
  cluster.AddSet("ReplicaSet", 6);
  REQUIRE(cluster.Ready(resources::kReplicaSets) == 6);
  REQUIRE(cluster.PodsOn("a") == 2);

  cluster.SetFailed("a", true);
  cluster.Advance(39s);
  CHECK(cluster.Ready(resources::kReplicaSets) == 6);
  cluster.Advance(10s);  // the node is Unknown: its pods are not ready, and wait for it
  CHECK(cluster.Ready(resources::kReplicaSets) == 4);
  CHECK(cluster.Count("a", true, false) == 2);
  CHECK(cluster.Count("a", false, false) == 4);

  cluster.Advance(5min);
  CHECK(cluster.Count("a", true, true) == 2);  // nobody can confirm that they ended
  CHECK(cluster.Count("a", false, false) == 6);
  CHECK(cluster.Ready(resources::kReplicaSets) == 6);

  cluster.SetFailed("a", false);
  cluster.Advance(1min);
  CHECK(cluster.Count("a", true, true) == 0);
  CHECK(cluster.Count("a", true, false) + cluster.Count("a", false, false) == 6);
  CHECK(cluster.Ready(resources::kReplicaSets) == 6);
}

TEST_CASE("A node that is back before its pods are told to go keeps them") {
  Cluster cluster;
  for (const char* node : {"a", "b"}) cluster.AddNode(node);
  cluster.AddSet("ReplicaSet", 4);
  std::set<std::string> before;
  for (const ObjectPtr& pod : cluster.List(resources::kPods, "default")) before.insert(pod->uid());
  cluster.SetFailed("a", true);
  cluster.Advance(4min);
  CHECK(cluster.Ready(resources::kReplicaSets) == 2);
  cluster.SetFailed("a", false);
  cluster.Advance(10min);
  CHECK(cluster.Ready(resources::kReplicaSets) == 4);
  std::set<std::string> after;
  for (const ObjectPtr& pod : cluster.List(resources::kPods, "default")) after.insert(pod->uid());
  CHECK(after == before);
}

TEST_CASE("A StatefulSet never has an ordinal twice: a member on a lost node is replaced when it is really gone") {
  Cluster cluster;
  for (const char* node : {"a", "b", "c"}) cluster.AddNode(node);
  cluster.AddSet("StatefulSet", 3);
  REQUIRE(cluster.Ready(resources::kStatefulSets) == 3);
  const std::string node = StringAt(cluster.Document(resources::kPods, "default", "web-1"), "spec.nodeName");
  const std::string lost = cluster.Get(resources::kPods, "default", "web-1")->uid();

  cluster.SetFailed(node, true);
  cluster.Advance(6min);
  CHECK(cluster.Ready(resources::kStatefulSets) == 2);
  CHECK(cluster.Get(resources::kPods, "default", "web-1")->view<MetaView>().deleting());
  cluster.Advance(30min);
  REQUIRE(cluster.Get(resources::kPods, "default", "web-1") != nullptr);
  CHECK(cluster.Get(resources::kPods, "default", "web-1")->uid() == lost);
  CHECK(cluster.List(resources::kPods, "default").size() == 3);

  SECTION("because the node is back and says so") {
    cluster.SetFailed(node, false);
    cluster.Advance(1min);
  }
  SECTION("because somebody who knows says that the node is out of service") {
    cluster.Update(cluster.Get(resources::kNodes, "", node), [](Json& object) {
      object["spec"]["taints"].push_back(
          {{"key", "node.kubernetes.io/out-of-service"}, {"value", "nodeshutdown"}, {"effect", "NoExecute"}});
    });
    cluster.Advance(10s);
    CHECK(StringAt(cluster.Document(resources::kPods, "default", "web-1"), "spec.nodeName") != node);
  }
  SECTION("because somebody who knows takes it away") {
    DeleteOptions now;
    now.grace_period_seconds = 0;
    cluster.Delete(resources::kPods, "default", "web-1", now);
    cluster.Advance(10s);
    CHECK(StringAt(cluster.Document(resources::kPods, "default", "web-1"), "spec.nodeName") != node);
  }
  CHECK(cluster.Get(resources::kPods, "default", "web-1")->uid() != lost);
  CHECK(cluster.Ready(resources::kStatefulSets) == 3);
  CHECK(cluster.List(resources::kPods, "default").size() == 3);
}

}  // namespace
}  // namespace wherry
