// The contract of Deployments seen from outside: real store, registry and controllers; scheduler and agents are played.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/controllers/history.h"
#include "core/controllers/pod_view.h"
#include "core/kinds/resources.h"
#include "core/registry/registry.h"
#include "core/runtime/object_view.h"
#include "tests/core/controllers/controller_cluster.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

constexpr char kRevision[] = "deployment.kubernetes.io/revision";

struct Cluster : ControllerCluster {
  Cluster() {
    schedule = true;
    for (const char* name : {"a", "b", "c"}) AddNode(name);
  }
  void Deploy(int replicas, const Json& spec = Json::object(), const std::string& name = "web") {
    Create(Workload("Deployment", name, replicas, spec));
  }
  ObjectPtr Web() { return Get(resources::kDeployments, "default", "web"); }
  Json WebStatus() { return (*Web()->json())["status"]; }
  void Edit(const std::function<void(Json&)>& change) { Update(Web(), change); }
  void SetImage(const std::string& image) {
    Edit([&](Json& d) { d["spec"]["template"]["spec"]["containers"][0]["image"] = image; });
  }
  void SetSpec(const Json& patch) {
    Edit([&](Json& d) { d["spec"].merge_patch(patch); });
  }
  std::string Says(const std::string& type) {
    const Json status = WebStatus();
    for (const Json& condition : ListAt(status, "conditions")) {
      if (condition["type"] == type) {
        return condition["status"].get<std::string>() + " " + condition["reason"].get<std::string>();
      }
    }
    return "";
  }
  ObjectPtr SetOf(const std::string& image) {
    for (const ObjectPtr& set : List(resources::kReplicaSets, "default")) {
      if ((*set->json())["spec"]["template"]["spec"]["containers"][0]["image"] == image) return set;
    }
    return nullptr;
  }
  std::string RevisionOf(const ObjectPtr& object) {
    const auto annotations = MapAt(*object->json(), "metadata.annotations");
    const auto it = annotations.find(kRevision);
    return it == annotations.end() ? "" : it->second.get<std::string>();
  }
  // "nginx:1=2 nginx:2=1": spec.replicas by image.
  std::string Sizes() {
    std::map<std::string, int64_t> sizes;
    for (const ObjectPtr& set : List(resources::kReplicaSets, "default")) {
      sizes[(*set->json())["spec"]["template"]["spec"]["containers"][0]["image"]] +=
          IntAt(*set->json(), "spec.replicas");
    }
    std::string out;
    for (const auto& [image, size] : sizes) out += (out.empty() ? "" : " ") + image + "=" + std::to_string(size);
    return out;
  }
  // Pods that are not going, by image.
  std::map<std::string, int> Pods() {
    std::map<std::string, int> out;
    for (const ObjectPtr& pod : List(resources::kPods, "default")) {
      if (pod->view<PodView>().active()) ++out[(*pod->json())["spec"]["containers"][0]["image"]];
    }
    return out;
  }
  // Pods of this image run but are never ready.
  void MakeSick(const std::string& image) {
    for (const ObjectPtr& pod : List(resources::kPods, "default")) {
      if ((*pod->json())["spec"]["containers"][0]["image"] == image) SetReady(pod->name(), false);
    }
    Settle();
  }
  std::vector<std::string> Scalings() {
    std::vector<std::string> out;
    for (const std::string& event : EventsAbout("web")) {
      if (event.starts_with("ScalingReplicaSet: ")) out.push_back(event.substr(19));
    }
    return out;
  }
};

}  // namespace

TEST_CASE("Template hash: the ReplicaSet's name and the label pod-template-hash") {
  Cluster cluster;
  cluster.Deploy(3);
  cluster.RunPods();
  const auto sets = cluster.List(resources::kReplicaSets, "default");
  REQUIRE(sets.size() == 1);
  const Json set = *sets[0]->json();
  const std::string hash = TemplateHash((*cluster.Web()->json())["spec"]["template"], std::nullopt);
  CHECK(sets[0]->name() == "web-" + hash);
  CHECK((*cluster.Web()->json())["spec"]["strategy"]["rollingUpdate"] ==
        Json({{"maxUnavailable", "25%"}, {"maxSurge", "25%"}}));
  CHECK(set["metadata"]["labels"] == Json({{"app", "web"}, {"pod-template-hash", hash}}));
  CHECK(set["spec"]["selector"]["matchLabels"] == Json({{"app", "web"}, {"pod-template-hash", hash}}));
  CHECK(set["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] == hash);
  CHECK(set["metadata"]["annotations"] == Json({{kRevision, "1"},
                                                {"deployment.kubernetes.io/desired-replicas", "3"},
                                                {"deployment.kubernetes.io/max-replicas", "4"}}));
  CHECK(set["metadata"]["ownerReferences"][0]["kind"] == "Deployment");
  CHECK(set["metadata"]["ownerReferences"][0]["controller"] == true);
  CHECK(cluster.RevisionOf(cluster.Web()) == "1");
  CHECK(cluster.Web()->view<MetaView>().generation == 1);
  CHECK(cluster.Pods() == std::map<std::string, int>{{"nginx:1", 3}});

  Json status = cluster.WebStatus();
  CHECK(cluster.Says("Progressing") == "True NewReplicaSetAvailable");
  CHECK(cluster.Says("Available") == "True MinimumReplicasAvailable");
  status.erase("conditions");
  CHECK(status == Json({{"observedGeneration", 1},
                        {"replicas", 3},
                        {"updatedReplicas", 3},
                        {"readyReplicas", 3},
                        {"availableReplicas", 3},
                        {"terminatingReplicas", 0}}));
  CHECK(cluster.Scalings() == std::vector<std::string>{"Scaled up replica set web-" + hash + " from 0 to 3"});

  // The same in every run and every version, and another one after a collision.
  const Json plain =
      Json::parse(R"({"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"main","image":"nginx:1"}]}})");
  CHECK(TemplateHash(plain, std::nullopt) == "6f9c97f657");
  CHECK(TemplateHash(plain, 1) == "767fddb9f8");
}

TEST_CASE("RollingUpdate: within its budget at every step") {
  Cluster cluster;
  cluster.Deploy(4, {{"strategy", {{"rollingUpdate", {{"maxUnavailable", 1}, {"maxSurge", 1}}}}}});
  cluster.RunPods();
  cluster.SetImage("nginx:2");
  cluster.Settle();
  bool more = true;
  for (int i = 0; more && i < 200; ++i) {
    int pods = 0, ready = 0;
    for (const ObjectPtr& pod : cluster.List(resources::kPods, "default")) {
      if (pod->view<PodView>().active()) ++pods, ready += pod->view<PodView>().ready;
    }
    CHECK(pods <= 5);
    CHECK(ready >= 3);
    more = cluster.StepPods();
  }
  CHECK(cluster.Pods() == std::map<std::string, int>{{"nginx:2", 4}});
  CHECK(cluster.Sizes() == "nginx:1=0 nginx:2=4");
  CHECK(cluster.RevisionOf(cluster.Web()) == "2");
  CHECK(cluster.RevisionOf(cluster.SetOf("nginx:2")) == "2");
  CHECK(cluster.RevisionOf(cluster.SetOf("nginx:1")) == "1");
  const std::string old = cluster.SetOf("nginx:1")->name(), fresh = cluster.SetOf("nginx:2")->name();
  const std::vector<std::string> scalings = cluster.Scalings();
  REQUIRE(scalings.size() > 3);
  CHECK(scalings[1] == "Scaled up replica set " + fresh + " from 0 to 1");
  CHECK(scalings[2] == "Scaled down replica set " + old + " from 4 to 3");
}

TEST_CASE("progressDeadlineSeconds: a broken template stops the rollout, the deadline tells, a good one repairs") {
  Cluster cluster;
  cluster.Deploy(4, {{"progressDeadlineSeconds", 60}});
  cluster.RunPods();
  cluster.sick = {"a", "b", "c"};
  cluster.SetImage("nginx:broken");
  cluster.RunPods();
  CHECK(cluster.Sizes() == "nginx:1=3 nginx:broken=2");
  CHECK(cluster.Says("Available") == "True MinimumReplicasAvailable");
  CHECK(cluster.Says("Progressing") == "True ReplicaSetUpdated");
  cluster.Advance(59s);
  CHECK(cluster.Says("Progressing") == "True ReplicaSetUpdated");
  cluster.Advance(3s);
  CHECK(cluster.Says("Progressing") == "False ProgressDeadlineExceeded");
  const int before = cluster.Reconciles("deployment-controller");
  cluster.Advance(1h);
  CHECK(cluster.Reconciles("deployment-controller") - before < 5);

  cluster.sick.clear();
  cluster.SetImage("nginx:3");
  cluster.RunPods();
  CHECK(cluster.Pods() == std::map<std::string, int>{{"nginx:3", 4}});
  CHECK(cluster.Says("Progressing") == "True NewReplicaSetAvailable");
}

TEST_CASE("Rollover mid-rollout: a third template takes over") {
  Cluster cluster;
  cluster.Deploy(6);
  cluster.RunPods();
  cluster.sick = {"a", "b", "c"};
  cluster.SetImage("nginx:2");
  cluster.RunPods();
  cluster.sick.clear();
  cluster.SetImage("nginx:3");
  cluster.RunPods();
  CHECK(cluster.Pods() == std::map<std::string, int>{{"nginx:3", 6}});
  CHECK(cluster.Sizes() == "nginx:1=0 nginx:2=0 nginx:3=6");
}

TEST_CASE("rollout undo: the ReplicaSet of that template comes back with a new revision") {
  Cluster cluster;
  cluster.Deploy(2);
  cluster.RunPods();
  const std::string first = cluster.SetOf("nginx:1")->name();
  cluster.SetImage("nginx:2");
  cluster.RunPods();
  cluster.SetImage("nginx:1");
  cluster.RunPods();
  CHECK(cluster.List(resources::kReplicaSets, "default").size() == 2);
  CHECK(cluster.SetOf("nginx:1")->name() == first);
  CHECK(cluster.RevisionOf(cluster.SetOf("nginx:1")) == "3");
  CHECK((*cluster.SetOf("nginx:1")->json())["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] ==
        "1");
  CHECK(cluster.RevisionOf(cluster.Web()) == "3");
  CHECK(cluster.Pods() == std::map<std::string, int>{{"nginx:1", 2}});
}

TEST_CASE("rollout status: observedGeneration follows every spec, also one that changes no pod") {
  Cluster cluster;
  cluster.Deploy(3);
  cluster.RunPods();
  auto generation = [&] { return cluster.Web()->view<MetaView>().generation; };
  CHECK(generation() == 1);
  CHECK(cluster.WebStatus()["observedGeneration"] == 1);
  cluster.SetSpec({{"paused", true}});
  cluster.SetImage("nginx:2");
  cluster.Settle();
  CHECK(generation() == 3);
  CHECK(cluster.WebStatus()["observedGeneration"] == 3);
  CHECK_FALSE(cluster.WebStatus().contains("updatedReplicas"));  // the rollout is not at its end
  cluster.Edit([](Json& d) { d["metadata"]["labels"]["team"] = "a"; });
  CHECK(generation() == 3);
  cluster.SetSpec({{"paused", false}});
  cluster.RunPods();
  CHECK(generation() == 5);  // its own annotation, the revision, counts as upstream
  CHECK(cluster.WebStatus()["observedGeneration"] == 5);
  CHECK(cluster.WebStatus()["updatedReplicas"] == 3);
}

TEST_CASE("rollout restart: an annotation of the template replaces every pod, and is undone like an image") {
  Cluster cluster;
  cluster.Deploy(3);
  cluster.RunPods();
  const std::string first = cluster.SetOf("nginx:1")->name();
  std::set<std::string> before;
  for (const ObjectPtr& pod : cluster.List(resources::kPods, "default")) before.insert(pod->uid());
  cluster.SetSpec(
      {{"template",
        {{"metadata", {{"annotations", {{"kubectl.kubernetes.io/restartedAt", "2026-01-01T00:00:00Z"}}}}}}}});
  cluster.RunPods();
  CHECK(cluster.Pods() == std::map<std::string, int>{{"nginx:1", 3}});
  for (const ObjectPtr& pod : cluster.List(resources::kPods, "default")) {
    CHECK_FALSE(before.contains(pod->uid()));
    CHECK((*pod->json())["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] == "2026-01-01T00:00:00Z");
  }
  CHECK(cluster.RevisionOf(cluster.Web()) == "2");
  cluster.SetSpec({{"template", {{"metadata", {{"annotations", nullptr}}}}}});
  cluster.RunPods();
  CHECK(cluster.RevisionOf(cluster.Get(resources::kReplicaSets, "default", first)) == "3");
  CHECK(cluster.List(resources::kReplicaSets, "default").size() == 2);
}

TEST_CASE("terminatingReplicas: pods on their way out are told until they are gone, and block no rollout") {
  Cluster cluster;
  cluster.Deploy(2);
  cluster.RunPods();
  for (const ObjectPtr& pod : cluster.List(resources::kPods, "default")) {
    cluster.Update(pod, [](Json& object) { object["metadata"]["finalizers"] = {"example.com/slow"}; });
  }
  const std::string old = cluster.SetOf("nginx:1")->name();
  cluster.SetImage("nginx:2");
  cluster.RunPods();
  CHECK(cluster.Pods() == std::map<std::string, int>{{"nginx:2", 2}});
  CHECK(cluster.WebStatus()["terminatingReplicas"] == 2);
  CHECK(cluster.WebStatus()["replicas"] == 2);
  CHECK(cluster.Document(resources::kReplicaSets, "default", old)["status"]["terminatingReplicas"] == 2);
  CHECK(cluster.Says("Progressing") == "True NewReplicaSetAvailable");
  for (const ObjectPtr& pod : cluster.List(resources::kPods, "default")) {
    if (!pod->view<MetaView>().deleting()) continue;
    cluster.Update(pod, [](Json& object) { object["metadata"].erase("finalizers"); });
  }
  cluster.RunPods();
  CHECK(cluster.WebStatus()["terminatingReplicas"] == 0);
  CHECK(cluster.Document(resources::kReplicaSets, "default", old)["status"]["terminatingReplicas"] == 0);
}

TEST_CASE("rollout pause and resume: templates wait, sizes do not") {
  Cluster cluster;
  cluster.Deploy(2);
  cluster.RunPods();
  cluster.SetSpec({{"paused", true}});
  cluster.SetImage("nginx:2");
  cluster.RunPods();
  CHECK(cluster.Sizes() == "nginx:1=2");
  CHECK(cluster.Says("Progressing") == "Unknown DeploymentPaused");
  CHECK_FALSE(cluster.WebStatus().contains("updatedReplicas"));
  cluster.SetSpec({{"replicas", 5}});
  cluster.RunPods();
  CHECK(cluster.Sizes() == "nginx:1=5");
  cluster.SetSpec({{"paused", false}});
  cluster.Settle();
  CHECK(cluster.Sizes() == "nginx:1=4 nginx:2=3");
  cluster.RunPods();
  CHECK(cluster.Pods() == std::map<std::string, int>{{"nginx:2", 5}});
  CHECK(cluster.Says("Progressing") == "True NewReplicaSetAvailable");
}

TEST_CASE("Proportional scaling: a canary, paused in mid-rollout, keeps its proportion") {
  Cluster cluster;
  cluster.Deploy(10, {{"strategy", {{"rollingUpdate", {{"maxUnavailable", 2}, {"maxSurge", 3}}}}}});
  cluster.RunPods();
  cluster.sick = {"a", "b", "c"};
  cluster.SetImage("nginx:2");
  cluster.RunPods();
  CHECK(cluster.Sizes() == "nginx:1=8 nginx:2=5");
  cluster.SetSpec({{"paused", true}, {"replicas", 15}});
  cluster.Settle();
  CHECK(cluster.Sizes() == "nginx:1=11 nginx:2=7");
}

TEST_CASE("Recreate: not one new pod before the last old one is gone") {
  Cluster cluster;
  cluster.Deploy(3, {{"strategy", {{"type", "Recreate"}}}});
  cluster.RunPods();
  // The old ones take their time.
  for (const ObjectPtr& pod : cluster.List(resources::kPods, "default")) {
    cluster.Update(pod, [](Json& object) { object["metadata"]["finalizers"] = {"example.com/slow"}; });
  }
  cluster.SetImage("nginx:2");
  cluster.RunPods();
  CHECK(cluster.WebStatus()["terminatingReplicas"] == 3);
  CHECK(cluster.Sizes() == "nginx:1=0");
  CHECK(cluster.Pods().empty());
  CHECK(cluster.Says("Available") == "False MinimumReplicasUnavailable");
  auto pods = cluster.List(resources::kPods, "default");
  REQUIRE(pods.size() == 3);
  for (size_t i = 0; i < pods.size(); ++i) {
    CHECK(cluster.Sizes() == "nginx:1=0");
    cluster.Update(pods[i], [](Json& object) { object["metadata"].erase("finalizers"); });
    cluster.RunPods();
  }
  CHECK(cluster.Sizes() == "nginx:1=0 nginx:2=3");
  CHECK(cluster.Pods() == std::map<std::string, int>{{"nginx:2", 3}});
}

TEST_CASE("minReadySeconds: paces the rollout") {
  Cluster cluster;
  cluster.Deploy(
      2, {{"minReadySeconds", 30}, {"strategy", {{"rollingUpdate", {{"maxUnavailable", 0}, {"maxSurge", 1}}}}}});
  cluster.RunPods();
  CHECK(cluster.Says("Available") == "False MinimumReplicasUnavailable");
  cluster.Advance(30s);
  CHECK(cluster.Says("Available") == "True MinimumReplicasAvailable");
  cluster.SetImage("nginx:2");
  cluster.RunPods();
  CHECK(cluster.Sizes() == "nginx:1=2 nginx:2=1");
  cluster.Advance(29s);
  cluster.RunPods();
  CHECK(cluster.Sizes() == "nginx:1=2 nginx:2=1");
  cluster.Advance(1s);
  cluster.RunPods();
  CHECK(cluster.Sizes() == "nginx:1=1 nginx:2=2");
  cluster.Advance(30s);
  cluster.RunPods();
  CHECK(cluster.Sizes() == "nginx:1=0 nginx:2=2");
  // A new minReadySeconds reaches the ReplicaSet without a new one.
  cluster.SetSpec({{"minReadySeconds", 5}});
  cluster.RunPods();
  CHECK((*cluster.SetOf("nginx:2")->json())["spec"]["minReadySeconds"] == 5);
  CHECK(cluster.List(resources::kReplicaSets, "default").size() == 2);
}

TEST_CASE("Adoption and orphaning: ReplicaSets come and go with labels and owners") {
  Cluster cluster;
  cluster.Deploy(2);
  cluster.RunPods();
  const std::string name = cluster.SetOf("nginx:1")->name();
  DeleteOptions orphan;
  orphan.propagation = Propagation::kOrphan;
  cluster.Delete(resources::kDeployments, "default", "web", orphan);
  cluster.RunPods();
  REQUIRE(cluster.SetOf("nginx:1"));
  CHECK(cluster.SetOf("nginx:1")->view<MetaView>().controller() == nullptr);
  CHECK(cluster.Pods()["nginx:1"] == 2);
  cluster.Deploy(3);
  cluster.RunPods();
  CHECK(cluster.SetOf("nginx:1")->name() == name);
  CHECK(cluster.SetOf("nginx:1")->view<MetaView>().controller()->uid == cluster.Web()->uid());
  CHECK(cluster.Sizes() == "nginx:1=3");
  // Labels that no longer match let go of it; the Deployment makes another.
  cluster.Update(cluster.SetOf("nginx:1"), [](Json& set) { set["metadata"]["labels"]["app"] = "other"; });
  cluster.RunPods();
  CHECK(cluster.Get(resources::kReplicaSets, "default", name)->view<MetaView>().controller() == nullptr);
  CHECK(cluster.WebStatus()["availableReplicas"] == 3);
  CHECK(cluster.WebStatus()["collisionCount"] == 1);
}

TEST_CASE("collisionCount: a name that is taken raises it") {
  Cluster cluster;
  cluster.Deploy(1, {{"paused", true}});
  cluster.Settle();
  const std::string hash = TemplateHash((*cluster.Web()->json())["spec"]["template"], std::nullopt);
  cluster.Create({{"apiVersion", "apps/v1"},
                  {"kind", "ReplicaSet"},
                  {"metadata", {{"name", "web-" + hash}, {"namespace", "default"}}},
                  {"spec",
                   {{"replicas", 0},
                    {"selector", {{"matchLabels", {{"app", "somebody"}}}}},
                    {"template",
                     {{"metadata", {{"labels", {{"app", "somebody"}}}}},
                      {"spec", {{"containers", Json::array({{{"name", "main"}, {"image", "other"}}})}}}}}}}});
  cluster.SetSpec({{"paused", false}});
  cluster.RunPods();
  CHECK(cluster.WebStatus()["collisionCount"] == 1);
  CHECK(cluster.WebStatus()["availableReplicas"] == 1);
  CHECK(cluster.SetOf("nginx:1")->name() != "web-" + hash);
}

TEST_CASE("rollout history: revisionHistoryLimit, revisions and the change cause") {
  Cluster cluster;
  cluster.Deploy(1, {{"revisionHistoryLimit", 2}});
  for (const char* image : {"nginx:2", "nginx:3", "nginx:4", "nginx:5"}) {
    cluster.RunPods();
    cluster.Edit([&](Json& d) {
      d["metadata"]["annotations"]["kubernetes.io/change-cause"] = std::string("image ") + image;
      d["spec"]["template"]["spec"]["containers"][0]["image"] = image;
    });
  }
  cluster.RunPods();
  CHECK(cluster.Sizes() == "nginx:3=0 nginx:4=0 nginx:5=1");
  const Json annotations = (*cluster.SetOf("nginx:4")->json())["metadata"]["annotations"];
  CHECK(annotations["kubernetes.io/change-cause"] == "image nginx:4");
  CHECK(cluster.RevisionOf(cluster.Web()) == "5");
}

TEST_CASE("ReplicaFailure: a quota on pods is told by the Deployment and ends with the quota") {
  Cluster cluster;
  bool refuse = true;
  cluster.registry().AddAdmission({"Quota", [&](AdmissionRequest& request, const WatchCache&) {
                                     const bool pod = request.op == AdmissionRequest::Op::kCreate &&
                                                      request.kind.resource == resources::kPods;
                                     return pod && refuse ? Status(Reason::kForbidden, "exceeded quota") : Status();
                                   }});
  cluster.Deploy(2);
  cluster.RunPods();
  CHECK(cluster.Says("ReplicaFailure") == "True FailedCreate");
  CHECK(cluster.Says("Available") == "False MinimumReplicasUnavailable");
  const int before = cluster.Reconciles("deployment-controller");
  cluster.Advance(5min);
  CHECK(cluster.Reconciles("deployment-controller") - before < 5);
  refuse = false;
  cluster.Advance(31s);
  cluster.RunPods();
  CHECK(cluster.Says("ReplicaFailure") == "");
  CHECK(cluster.Says("Progressing") == "True NewReplicaSetAvailable");
}

TEST_CASE("A ReplicaSet that cannot be made is told, with back-off") {
  Cluster cluster;
  int asked = 0;
  cluster.registry().AddAdmission({"Quota", [&](AdmissionRequest& request, const WatchCache&) {
                                     const bool set = request.op == AdmissionRequest::Op::kCreate &&
                                                      request.kind.resource == resources::kReplicaSets;
                                     asked += set;
                                     return set ? Status(Reason::kForbidden, "exceeded quota") : Status();
                                   }});
  cluster.Deploy(2);
  cluster.Settle();
  CHECK(cluster.Says("Progressing") == "False ReplicaSetCreateError");
  cluster.Advance(1min);
  CHECK(asked > 5);
  CHECK(asked < 25);
  const std::vector<std::string> events = cluster.EventsAbout("web");
  REQUIRE(!events.empty());
  CHECK(events[0].starts_with("ReplicaSetCreateError: Failed to create new replica set \"web-"));
}

TEST_CASE("A failed node: its pods are replaced elsewhere and the Deployment says so") {
  Cluster cluster;
  cluster.Deploy(3);
  cluster.RunPods();
  cluster.Delete(resources::kNodes, "", "b");
  cluster.RunPods();
  CHECK(cluster.WebStatus()["availableReplicas"] == 3);
  CHECK_FALSE(cluster.PodsByNode().contains("b"));
}

TEST_CASE("A Deployment at rest is not written, and pods that report do not wake it") {
  Cluster cluster;
  cluster.Deploy(3);
  cluster.RunPods();
  const uint64_t revision = cluster.Web()->revision();
  const int before = cluster.Reconciles("deployment-controller");
  for (const ObjectPtr& pod : cluster.List(resources::kPods, "default")) {
    cluster.SetPodStatus(pod->name(), {{"message", "still here"}});
  }
  cluster.Advance(1h);
  CHECK(cluster.Web()->revision() == revision);
  CHECK(cluster.Reconciles("deployment-controller") <= before + 1);  // one look when the deadline would have passed
}

TEST_CASE("Deleting a Deployment takes its ReplicaSets and pods along") {
  Cluster cluster;
  cluster.Deploy(3);
  cluster.RunPods();
  cluster.Delete(resources::kDeployments, "default", "web");
  cluster.RunPods();
  CHECK(cluster.List(resources::kReplicaSets, "default").empty());
  CHECK(cluster.List(resources::kPods, "default").empty());
}

TEST_CASE("While a Deployment is being deleted it does nothing") {
  Cluster cluster;
  cluster.Deploy(2);
  cluster.RunPods();
  cluster.Edit([](Json& d) { d["metadata"]["finalizers"] = {"example.com/hold"}; });
  cluster.Delete(resources::kDeployments, "default", "web");
  cluster.SetSpec({{"replicas", 5}});
  cluster.SetImage("nginx:2");
  cluster.RunPods();
  CHECK(cluster.Sizes() == "nginx:1=2");
}

TEST_CASE("One broken Deployment does not hold up another") {
  Cluster cluster;
  cluster.Deploy(2, {{"template", {{"spec", {{"serviceAccountName", "absent"}}}}}}, "broken");
  cluster.Deploy(2);
  cluster.RunPods();
  CHECK(cluster.WebStatus()["availableReplicas"] == 2);
}
