// The contract of ReplicaSets and ReplicationControllers seen from outside: real store, registry and controllers.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "core/controllers/pod_view.h"
#include "core/kinds/resources.h"
#include "core/registry/registry.h"
#include "core/runtime/object_view.h"
#include "tests/core/controllers/controller_cluster.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

Json ReplicaSet(const std::string& name, int replicas, const Json& spec = Json::object()) {
  return Workload("ReplicaSet", name, replicas, spec);
}

struct Cluster : ControllerCluster {
  Cluster() {
    schedule = true;
    for (const char* name : {"a", "b", "c"}) AddNode(name);
  }
  ObjectPtr Set(const std::string& name = "web") { return Get(resources::kReplicaSets, "default", name); }
  Json SetStatus(const std::string& name = "web") { return (*Set(name)->json())["status"]; }
  void Scale(int replicas) {
    Update(Set(), [&](Json& set) { set["spec"]["replicas"] = replicas; });
    RunPods();
  }
  // Names of the pods that are not going.
  std::vector<std::string> Pods() {
    std::vector<std::string> out;
    for (const auto& [node, pods] : PodsByNode()) out.insert(out.end(), pods.begin(), pods.end());
    return out;
  }
  std::string OwnerOf(const std::string& pod) {
    const ObjectPtr object = Get(resources::kPods, "default", pod);
    const OwnerRef* owner = object ? object->view<MetaView>().controller() : nullptr;
    return owner ? owner->name : "";
  }
  void BarePod(const std::string& name, const Json& labels) {
    Create({{"apiVersion", "v1"},
            {"kind", "Pod"},
            {"metadata", {{"name", name}, {"namespace", "default"}, {"labels", labels}}},
            {"spec", {{"containers", Json::array({{{"name", "main"}, {"image", "nginx:1"}}})}}}});
    Settle();
  }
};

}  // namespace

TEST_CASE("A ReplicaSet keeps its number of pods") {
  Cluster cluster;
  cluster.Create(ReplicaSet("web", 3));
  cluster.RunPods();
  CHECK(cluster.Pods().size() == 3);
  CHECK(cluster.SetStatus() == Json({{"replicas", 3},
                                     {"fullyLabeledReplicas", 3},
                                     {"readyReplicas", 3},
                                     {"availableReplicas", 3},
                                     {"terminatingReplicas", 0},
                                     {"observedGeneration", 1}}));
  const std::string first = cluster.Pods()[0];
  CHECK(first.size() == std::string("web-").size() + 5);
  const Json pod = cluster.Document(resources::kPods, "default", first);
  CHECK(pod["metadata"]["generateName"] == "web-");
  CHECK(pod["metadata"]["ownerReferences"] == Json::array({{{"apiVersion", "apps/v1"},
                                                            {"kind", "ReplicaSet"},
                                                            {"name", "web"},
                                                            {"uid", cluster.Set()->uid()},
                                                            {"controller", true},
                                                            {"blockOwnerDeletion", true}}}));
  const std::vector<std::string> events = cluster.EventsAbout("web");
  CHECK(std::count(events.begin(), events.end(), "SuccessfulCreate: Created pod: " + first) == 1);

  cluster.SetPodStatus(first, {{"phase", "Failed"}});
  cluster.RunPods();
  CHECK(cluster.SetStatus()["replicas"] == 3);
  CHECK(cluster.Get(resources::kPods, "default", first));  // kept to be looked at; the pod garbage collector's

  cluster.Scale(1);
  CHECK(cluster.SetStatus()["replicas"] == 1);
  const std::vector<std::string> later = cluster.EventsAbout("web");
  CHECK(std::count_if(later.begin(), later.end(),
                      [](const std::string& e) { return e.starts_with("SuccessfulDelete: Deleted pod: web-"); }) == 2);
}

TEST_CASE("Adoption and release: labels decide, and owners are respected") {
  Cluster cluster;
  cluster.BarePod("mine", {{"app", "web"}});
  cluster.BarePod("other", {{"app", "db"}});
  cluster.Create(ReplicaSet("web", 2));
  cluster.RunPods();
  CHECK(cluster.OwnerOf("mine") == "web");
  CHECK(cluster.OwnerOf("other") == "");
  CHECK(cluster.SetStatus()["replicas"] == 2);

  // Relabelled: released and replaced. Labelled back: adopted, one too many goes.
  auto relabel = [&](const char* app) {
    cluster.Update(cluster.Get(resources::kPods, "default", "mine"),
                   [&](Json& pod) { pod["metadata"]["labels"]["app"] = app; });
    cluster.RunPods();
  };
  relabel("debug");
  CHECK(cluster.OwnerOf("mine") == "");
  CHECK(cluster.SetStatus()["replicas"] == 2);
  relabel("web");
  CHECK(cluster.SetStatus()["replicas"] == 2);

  // A second set of the same selector takes nothing away.
  cluster.Create(ReplicaSet("twin", 1,
                            {{"selector", {{"matchLabels", {{"app", "web"}}}}},
                             {"template", {{"metadata", {{"labels", {{"app", "web"}}}}}}}}));
  cluster.RunPods();
  CHECK(cluster.SetStatus("web")["replicas"] == 2);
  CHECK(cluster.SetStatus("twin")["replicas"] == 1);
}

TEST_CASE("minReadySeconds: the set looks again at the right moment") {
  Cluster cluster;
  cluster.Create(ReplicaSet("web", 2, {{"minReadySeconds", 30}}));
  cluster.RunPods();
  CHECK(cluster.SetStatus()["readyReplicas"] == 2);
  CHECK_FALSE(cluster.SetStatus().contains("availableReplicas"));
  cluster.Advance(29s);
  CHECK_FALSE(cluster.SetStatus().contains("availableReplicas"));
  cluster.Advance(1s);
  CHECK(cluster.SetStatus()["availableReplicas"] == 2);
}

TEST_CASE("Slow start: batches of 1, 2, 4 until one is refused, and on from 1 after the back-off") {
  Cluster cluster;
  int asked = 0, allowed = 4;
  cluster.registry().AddAdmission({"Quota", [&](AdmissionRequest& request, const WatchCache&) {
                                     if (request.op != AdmissionRequest::Op::kCreate) return Status();
                                     if (request.kind.resource != resources::kPods) return Status();
                                     ++asked;
                                     return allowed-- > 0 ? Status() : Status(Reason::kForbidden, "exceeded quota");
                                   }});
  cluster.Create(ReplicaSet("web", 100));
  cluster.Settle();
  CHECK(asked == 7);  // 1 + 2 + 4, of which one was made
  CHECK(cluster.List(resources::kPods, "default").size() == 4);
  asked = 0;
  allowed = 0;
  cluster.Advance(5ms);
  CHECK(asked == 1);
  allowed = 1000;
  asked = 0;
  cluster.Advance(30s);
  CHECK(asked == 96);
  CHECK(cluster.SetStatus()["replicas"] == 100);
}

TEST_CASE("ReplicaFailure: a refused create is told, backs off and never spins") {
  Cluster cluster;
  int asked = 0;
  bool refuse = true;
  cluster.registry().AddAdmission({"Quota", [&](AdmissionRequest& request, const WatchCache&) {
                                     if (request.op != AdmissionRequest::Op::kCreate) return Status();
                                     if (request.kind.resource != resources::kPods) return Status();
                                     ++asked;
                                     return refuse ? Status(Reason::kForbidden, "exceeded quota: pods=0") : Status();
                                   }});
  cluster.Create(ReplicaSet("web", 100));
  cluster.Settle();
  CHECK(asked == 1);  // a slow start: one question, one answer
  const Json condition = cluster.SetStatus()["conditions"][0];
  CHECK(condition["type"] == "ReplicaFailure");
  CHECK(condition["status"] == "True");
  CHECK(condition["reason"] == "FailedCreate");
  CHECK(condition["message"] == "exceeded quota: pods=0");
  CHECK(cluster.SetStatus()["replicas"] == 0);
  CHECK(cluster.EventsAbout("web") == std::vector<std::string>{"FailedCreate: Error creating: exceeded quota: pods=0"});

  // Whatever else happens to the set, the answer is waited for.
  for (int i = 0; i < 20; ++i) {
    cluster.Update(cluster.Set(), [&](Json& set) { set["metadata"]["labels"]["round"] = std::to_string(i); });
    cluster.Settle();
  }
  CHECK(asked == 1);
  const int before = cluster.Reconciles("replicaset-controller");
  cluster.Advance(10min);
  CHECK(asked > 10);
  CHECK(asked < 45);
  CHECK(cluster.Reconciles("replicaset-controller") - before < 100);

  refuse = false;
  cluster.Advance(31s);
  cluster.RunPods();
  cluster.Advance(1s);
  CHECK(cluster.SetStatus()["readyReplicas"] == 100);
  CHECK_FALSE(cluster.SetStatus().contains("conditions"));
}

TEST_CASE("A changed spec is tried at once after a refusal, and others never wait") {
  Cluster cluster;
  cluster.Create(ReplicaSet("web", 1, {{"template", {{"spec", {{"serviceAccountName", "absent"}}}}}}));
  cluster.Create(ReplicaSet("fine", 2));
  cluster.RunPods();
  CHECK(cluster.SetStatus("fine")["readyReplicas"] == 2);
  CHECK(cluster.SetStatus()["conditions"][0]["reason"] == "FailedCreate");
  cluster.Advance(1min);
  cluster.Update(cluster.Set(), [](Json& set) {
    set["spec"]["template"]["spec"].erase("serviceAccountName");
    set["spec"]["template"]["spec"].erase("serviceAccount");
  });
  cluster.RunPods();
  CHECK(cluster.SetStatus()["readyReplicas"] == 1);
}

TEST_CASE("While a ReplicaSet is being deleted it does nothing") {
  Cluster cluster;
  cluster.Create(ReplicaSet("web", 3));
  cluster.RunPods();
  const std::set<std::string> before = [&] {
    const auto pods = cluster.Pods();
    return std::set<std::string>(pods.begin(), pods.end());
  }();
  cluster.Update(cluster.Set(), [](Json& set) { set["metadata"]["finalizers"] = {"example.com/hold"}; });
  cluster.Delete(resources::kReplicaSets, "default", "web");
  cluster.Update(cluster.Set(), [](Json& set) { set["spec"]["replicas"] = 5; });
  cluster.SetPodStatus(*before.begin(), {{"phase", "Failed"}});
  cluster.Settle();
  for (const std::string& pod : cluster.Pods()) CHECK(before.contains(pod));
}

TEST_CASE("Nothing is written when nothing changed") {
  Cluster cluster;
  cluster.Create(ReplicaSet("web", 3));
  cluster.RunPods();
  const uint64_t revision = cluster.Set()->revision();
  // The pod says something new about itself that no number tells.
  cluster.SetPodStatus(cluster.Pods()[0], {{"hostIP", "127.0.0.9"}, {"message", "hello"}});
  cluster.Settle();
  cluster.Advance(10min);
  CHECK(cluster.Set()->revision() == revision);
}

TEST_CASE("Scale-down order: pod-deletion-cost and sharing a node decide who goes") {
  Cluster cluster;
  cluster.Create(ReplicaSet("web", 4));  // one node has two
  cluster.RunPods();
  std::string shared;
  for (const auto& [node, pods] : cluster.PodsByNode()) {
    if (pods.size() == 2) shared = node;
  }
  REQUIRE(!shared.empty());
  cluster.Scale(3);
  CHECK(cluster.PodsByNode()[shared].size() == 1);
  const std::string cheap = cluster.Pods()[1];
  cluster.Update(cluster.Get(resources::kPods, "default", cheap),
                 [](Json& pod) { pod["metadata"]["annotations"][kDeletionCostAnnotation] = "-10"; });
  cluster.Scale(2);
  const auto left = cluster.Pods();
  CHECK(std::find(left.begin(), left.end(), cheap) == left.end());
}

TEST_CASE("A ReplicationController is the same engine") {
  Cluster cluster;
  cluster.Create({{"apiVersion", "v1"},
                  {"kind", "ReplicationController"},
                  {"metadata", {{"name", "old"}, {"namespace", "default"}}},
                  {"spec",
                   {{"replicas", 2},
                    {"template",
                     {{"metadata", {{"labels", {{"app", "old"}}}}},
                      {"spec", {{"containers", Json::array({{{"name", "main"}, {"image", "nginx:1"}}})}}}}}}}});
  cluster.RunPods();
  const Json controller = cluster.Document(resources::kReplicationControllers, "default", "old");
  CHECK(controller["spec"]["selector"] == Json({{"app", "old"}}));
  CHECK(controller["metadata"]["labels"] == Json({{"app", "old"}}));
  CHECK(controller["status"] == Json({{"replicas", 2},
                                      {"fullyLabeledReplicas", 2},
                                      {"readyReplicas", 2},
                                      {"availableReplicas", 2},
                                      {"observedGeneration", 1}}));
  CHECK(cluster.OwnerOf(cluster.Pods()[0]) == "old");
  // A ReplicaSet of the same name is somebody else.
  cluster.Create(ReplicaSet("old", 1));
  cluster.RunPods();
  CHECK(cluster.Document(resources::kReplicationControllers, "default", "old")["status"]["replicas"] == 2);
  CHECK(cluster.SetStatus("old")["replicas"] == 1);
}
