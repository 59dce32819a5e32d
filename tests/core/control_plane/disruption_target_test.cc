// KEP-3329: whoever ends a pod for the cluster's sake says so in the condition DisruptionTarget, and it is still there
// when the pod's agent has reported the end. A finalizer keeps the pods for the test to see.

#include <catch2/catch.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/registry/eviction.h"
#include "tests/support/test_cluster.h"

namespace wherry {
namespace {

using namespace std::chrono_literals;

struct Cluster : TestCluster {
  void AddPod(const std::string& name, int priority = 0, const char* cpu = "1") {
    Json pod = {{"apiVersion", "v1"},
                {"kind", "Pod"},
                {"metadata", {{"name", name}, {"finalizers", {"example.com/keep"}}}},
                {"spec",
                 {{"terminationGracePeriodSeconds", 5},
                  {"containers",
                   {{{"name", "c"},
                     {"image", "app:1"},
                     {"command", {"app"}},
                     {"resources", {{"requests", {{"cpu", cpu}}}}}}}}}}};
    if (priority > 0) pod["spec"]["priorityClassName"] = "high";
    Create(std::move(pod));
    Advance(5s);
  }
  std::string Phase(const std::string& pod) const {
    return StringAt(Document(resources::kPods, "default", pod), "status.phase");
  }
  // "reason: message" of the condition; "" when it has none.
  std::string Target(const std::string& pod) const {
    const Json document = Document(resources::kPods, "default", pod);
    for (const Json& condition : ListAt(document, "status.conditions")) {
      if (condition["type"] != "DisruptionTarget" || condition["status"] != "True") continue;
      return condition["reason"].get<std::string>() + ": " + condition["message"].get<std::string>();
    }
    return "";
  }
  bool Ended(const std::string& pod) const { return Phase(pod) == "Failed" || Phase(pod) == "Succeeded"; }
};

TEST_CASE("DisruptionTarget: a pod that a taint drives away") {
  Cluster cluster;
  cluster.AddNode("a");
  cluster.AddPod("p");
  REQUIRE(cluster.Phase("p") == "Running");
  CHECK(cluster.Target("p").empty());
  cluster.Update(cluster.Get(resources::kNodes, "", "a"), [](Json& node) {
    node["spec"]["taints"] = {{{"key", "dedicated"}, {"value", "db"}, {"effect", "NoExecute"}}};
  });
  cluster.Advance(20s);
  CHECK(cluster.Ended("p"));
  CHECK(cluster.Target("p") == "DeletionByTaintManager: Taint manager: deleting due to NoExecute taint");
}

TEST_CASE("DisruptionTarget: a pod that makes room for a more important one") {
  Cluster cluster;
  cluster.Create({{"apiVersion", "v1"},
                  {"kind", "Node"},
                  {"metadata",
                   {{"name", "a"},
                    {"labels", {{"wherry.dev/runtime", "simulated"}}},
                    {"annotations", {{"wherry.dev/capacity", R"({"cpu":"2"})"}}}}}});
  cluster.Create({{"apiVersion", "scheduling.k8s.io/v1"},
                  {"kind", "PriorityClass"},
                  {"metadata", {{"name", "high"}}},
                  {"value", 1000}});
  cluster.AddPod("low", 0, "2");
  REQUIRE(cluster.Phase("low") == "Running");
  cluster.AddPod("top", 1000, "2");
  cluster.Advance(20s);
  CHECK(cluster.Ended("low"));
  CHECK(cluster.Target("low") ==
        "PreemptionByScheduler: default-scheduler: preempting to accommodate a higher priority pod");
  CHECK(cluster.Phase("top") == "Running");
  CHECK(cluster.Target("top").empty());
}

TEST_CASE("DisruptionTarget: a pod that is evicted through the API") {
  Cluster cluster;
  cluster.AddNode("a");
  cluster.AddPod("p");
  cluster.AddPod("q");
  const Result<ObjectPtr> evicted = cluster.Run(
      Evict(cluster.registry(), cluster.Get(resources::kPods, "default", "p"), DeleteOptions(), RequestContext()));
  REQUIRE(evicted.ok());
  cluster.Delete(resources::kPods, "default", "q");
  cluster.Advance(20s);
  CHECK(cluster.Ended("p"));
  CHECK(cluster.Target("p").starts_with("EvictionByEvictionAPI: "));
  CHECK(cluster.Ended("q"));
  CHECK(cluster.Target("q").empty());  // a deletion is somebody's wish, no disruption
}

TEST_CASE("DisruptionTarget: a pod whose node is taken away") {
  Cluster cluster;
  cluster.AddNode("a");
  cluster.AddPod("p");
  cluster.Delete(resources::kNodes, "", "a");
  cluster.Advance(10min);
  CHECK(cluster.Phase("p") == "Failed");
  CHECK(cluster.Target("p").starts_with("DeletionByPodGC: "));
}

}  // namespace
}  // namespace wherry
