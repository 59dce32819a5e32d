// Preemption with everything real but the processes: the victim has its grace, and its room goes to whom it was made
// for.

#include <catch2/catch.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/support/test_cluster.h"

namespace wherry {
namespace {

using namespace std::chrono_literals;

struct Cluster : TestCluster {
  Cluster() {
    Create(Json::parse(R"({"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"high"},
        "value":1000})"));
    Create(Json::parse(R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"a",
        "labels":{"wherry.dev/runtime":"simulated"},"annotations":{"wherry.dev/capacity":"{\"cpu\":\"2\"}"}}})"));
    Advance(5s);
  }
  // Takes 20 s to end when it is told to; both cpus of the node.
  void AddPod(const std::string& name, const char* priority_class) {
    Json pod = Json::parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{
        "annotations":{"wherry.dev/simulate":"{\"stopLatency\":\"20s\"}"}},
        "spec":{"terminationGracePeriodSeconds":30,"containers":[{"name":"c","image":"app:1","command":["app"],
        "resources":{"requests":{"cpu":"2"}}}]}})");
    pod["metadata"]["name"] = name;
    if (priority_class) pod["spec"]["priorityClassName"] = priority_class;
    Create(std::move(pod));
    Advance(1s);
  }
  Json Pod(const std::string& name) const { return Document(resources::kPods, "default", name); }
  std::string NodeOf(const std::string& pod) const { return StringAt(Pod(pod), "spec.nodeName"); }
  std::string Nominated(const std::string& pod) const { return StringAt(Pod(pod), "status.nominatedNodeName"); }
};

TEST_CASE("Preemption: the victim has its grace, and nominatedNodeName ends with the binding") {
  Cluster cluster;
  cluster.AddPod("low", nullptr);
  REQUIRE(cluster.NodeOf("low") == "a");
  cluster.AddPod("top", "high");
  CHECK(cluster.Pod("low")["metadata"]["deletionGracePeriodSeconds"] == 30);
  CHECK(StringAt(cluster.Pod("low"), "status.phase") == "Running");
  CHECK(cluster.Nominated("top") == "a");
  CHECK(cluster.NodeOf("top") == "");

  cluster.Advance(18s);
  CHECK(StringAt(cluster.Pod("low"), "status.phase") == "Running");
  CHECK(cluster.NodeOf("top") == "");
  cluster.AddPod("late", nullptr);  // the room is not for those who come meanwhile
  cluster.Advance(5s);
  CHECK(cluster.Pod("low").is_null());
  CHECK(cluster.NodeOf("top") == "a");
  CHECK(cluster.Nominated("top") == "");
  CHECK(cluster.NodeOf("late") == "");
}

}  // namespace
}  // namespace wherry
