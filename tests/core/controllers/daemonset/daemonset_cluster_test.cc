// The DaemonSet contract seen from outside: real store, registry and controllers.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "core/controllers/pod_view.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/core/controllers/controller_cluster.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

void SetImage(ControllerCluster& cluster, const char* image) {
  cluster.Update(cluster.Get(resources::kDaemonSets, "default", "web"),
                 [&](Json& set) { set["spec"]["template"]["spec"]["containers"][0]["image"] = image; });
  cluster.Settle();
}

void ThreeNodes(ControllerCluster& cluster) {
  for (const char* name : {"a", "b", "c"}) cluster.AddNode(name);
}

// "image@node" of the pods that are not going.
std::string Images(const ControllerCluster& cluster) {
  std::multiset<std::string> images;
  for (const auto& [node, pods] : cluster.PodsByNode()) {
    for (const std::string& pod : pods) {
      const Json document = cluster.Document(resources::kPods, "default", pod);
      images.insert(node + "=" + document["spec"]["containers"][0]["image"].get<std::string>());
    }
  }
  std::string out;
  for (const std::string& image : images) out += (out.empty() ? "" : " ") + image;
  return out;
}

Json Revisions(const ControllerCluster& cluster) {
  Json out = Json::object();
  for (const ObjectPtr& revision : cluster.List(resources::kControllerRevisions, "default")) {
    const Json document = *revision->json();
    out[document["data"]["spec"]["template"]["spec"]["containers"][0]["image"].get<std::string>()] =
        document["revision"];
  }
  return out;
}

}  // namespace

TEST_CASE("A DaemonSet covers every node") {
  ControllerCluster cluster;
  ThreeNodes(cluster);
  cluster.AddDaemonSet("web");
  cluster.RunPods();
  CHECK(cluster.Where() == "a=web-a b=web-b c=web-c");
  Json status = cluster.Status("web");
  status.erase("conditions");
  CHECK(status == Json({{"currentNumberScheduled", 3},
                        {"desiredNumberScheduled", 3},
                        {"numberAvailable", 3},
                        {"numberMisscheduled", 0},
                        {"numberReady", 3},
                        {"observedGeneration", 1},
                        {"updatedNumberScheduled", 3}}));
  const std::vector<std::string> events = cluster.EventsAbout("web");
  CHECK(std::count(events.begin(), events.end(), "SuccessfulCreate: Created pod: web-a") == 1);

  const Json pod = cluster.Document(resources::kPods, "default", "web-b");
  const ObjectPtr set = cluster.Get(resources::kDaemonSets, "default", "web");
  const auto revisions = cluster.List(resources::kControllerRevisions, "default");
  REQUIRE(revisions.size() == 1);
  const Json revision = *revisions[0]->json();
  const std::string hash = revision["metadata"]["labels"]["controller-revision-hash"];
  CHECK(revisions[0]->name() == "web-" + hash);
  CHECK(revision["revision"] == 1);
  CHECK(revision["data"]["spec"]["template"]["$patch"] == "replace");
  CHECK(revision["data"]["spec"]["template"]["metadata"].at("creationTimestamp").is_null());
  CHECK(pod["metadata"]["labels"]["controller-revision-hash"] == hash);
  CHECK(pod["metadata"]["generateName"] == "web-");
  CHECK(pod["metadata"]["ownerReferences"] == Json::array({{{"apiVersion", "apps/v1"},
                                                            {"kind", "DaemonSet"},
                                                            {"name", "web"},
                                                            {"uid", set->uid()},
                                                            {"controller", true},
                                                            {"blockOwnerDeletion", true}}}));
  CHECK(StringAt(*set->json(), "status.conditions") == "");
}

TEST_CASE("Point 2: taints come and go") {
  ControllerCluster cluster;
  ThreeNodes(cluster);
  cluster.AddDaemonSet("web");
  cluster.RunPods();
  auto taint = [&](const char* effect) {
    cluster.Update(cluster.Get(resources::kNodes, "", "b"), [&](Json& node) {
      node["spec"]["taints"] = Json::array({{{"key", "k"}, {"effect", effect}}});
    });
    cluster.RunPods();
  };
  taint("NoSchedule");
  CHECK(cluster.Where() == "a=web-a b=web-b c=web-c");
  CHECK(cluster.Status("web")["numberMisscheduled"] == 1);
  CHECK(cluster.Status("web")["desiredNumberScheduled"] == 2);
  taint("NoExecute");
  CHECK(cluster.Where() == "a=web-a c=web-c");
  cluster.Update(cluster.Get(resources::kNodes, "", "b"), [](Json& node) { node["spec"].erase("taints"); });
  cluster.RunPods();
  CHECK(cluster.Where() == "a=web-a b=web-b c=web-c");
}

TEST_CASE("Point 1: cordoned nodes get their daemon") {
  ControllerCluster cluster;
  cluster.AddNode("a");
  cluster.Update(cluster.Get(resources::kNodes, "", "a"), [](Json& node) { node["spec"]["unschedulable"] = true; });
  cluster.Settle();
  CHECK(cluster.Document(resources::kNodes, "", "a")["spec"]["taints"][0]["key"] == "node.kubernetes.io/unschedulable");
  cluster.AddDaemonSet("web");
  cluster.RunPods();
  CHECK(cluster.Where() == "a=web-a");
}

TEST_CASE("Point 6: a failed pod is replaced with back-off") {
  ControllerCluster cluster;
  cluster.AddNode("a");
  cluster.AddDaemonSet("web");
  cluster.RunPods();
  std::string uid = cluster.Get(resources::kPods, "default", "web-a")->uid();
  auto fail = [&] {
    cluster.SetPodStatus("web-a", {{"phase", "Failed"}, {"reason", "Evicted"}});
    cluster.RunPods();
    const std::string now = cluster.Get(resources::kPods, "default", "web-a")->uid();
    const bool replaced = now != uid;
    uid = now;
    return replaced;
  };
  CHECK(fail());
  CHECK_FALSE(fail());
  CHECK(cluster.Status("web")["conditions"][0]["message"] == "a: the pod has failed: Evicted");
  cluster.Advance(900ms);
  CHECK(cluster.Get(resources::kPods, "default", "web-a")->uid() == uid);
  cluster.Advance(100ms);
  CHECK(cluster.Get(resources::kPods, "default", "web-a")->uid() != uid);
  const std::vector<std::string> events = cluster.EventsAbout("web");
  CHECK(std::count(events.begin(), events.end(),
                   "FailedDaemonPod: Found failed daemon pod default/web-a on node a, will try to kill it") == 1);
}

TEST_CASE("Point 7: a new image rolls node by node") {
  ControllerCluster cluster;
  ThreeNodes(cluster);
  cluster.AddDaemonSet("web");
  cluster.RunPods();
  SetImage(cluster, "nginx:2");
  CHECK(Images(cluster) == "b=nginx:1 c=nginx:1");  // web-a is going
  cluster.sick = {"a"};
  cluster.RunPods();
  CHECK(Images(cluster) == "a=nginx:2 b=nginx:1 c=nginx:1");
  CHECK(cluster.Status("web")["updatedNumberScheduled"] == 1);
  CHECK(cluster.Status("web")["numberUnavailable"] == 1);
  cluster.sick.clear();
  cluster.SetReady("web-a", true);
  cluster.RunPods();
  CHECK(Images(cluster) == "a=nginx:2 b=nginx:2 c=nginx:2");
  CHECK(cluster.Status("web")["updatedNumberScheduled"] == 3);
  CHECK(cluster.Status("web")["observedGeneration"] == 2);
}

TEST_CASE("Point 8: surging never leaves a node without a ready pod") {
  ControllerCluster cluster;
  ThreeNodes(cluster);
  cluster.AddDaemonSet(
      "web",
      Json::parse(R"({"minReadySeconds":10,"updateStrategy":{"rollingUpdate":{"maxSurge":1,"maxUnavailable":0}}})"));
  cluster.RunPods();
  cluster.Advance(10s);
  SetImage(cluster, "nginx:2");
  cluster.RunPods();
  CHECK(Images(cluster) == "a=nginx:1 a=nginx:2 b=nginx:1 c=nginx:1");
  cluster.Advance(10s);
  cluster.RunPods();
  CHECK(Images(cluster) == "a=nginx:2 b=nginx:1 b=nginx:2 c=nginx:1");
  cluster.Advance(10s);
  cluster.RunPods();
  cluster.Advance(10s);
  cluster.RunPods();
  CHECK(Images(cluster) == "a=nginx:2 b=nginx:2 c=nginx:2");
}

TEST_CASE("Point 9: OnDelete replaces what is deleted") {
  ControllerCluster cluster;
  ThreeNodes(cluster);
  cluster.AddDaemonSet("web", Json::parse(R"({"updateStrategy":{"type":"OnDelete","rollingUpdate":null}})"));
  cluster.RunPods();
  SetImage(cluster, "nginx:2");
  cluster.RunPods();
  CHECK(Images(cluster) == "a=nginx:1 b=nginx:1 c=nginx:1");
  cluster.Delete(resources::kPods, "default", "web-b");
  cluster.RunPods();
  CHECK(Images(cluster) == "a=nginx:1 b=nginx:2 c=nginx:1");
}

TEST_CASE("Point 11: history, undo and its limit") {
  ControllerCluster cluster;
  cluster.AddNode("a");
  cluster.AddDaemonSet("web", Json::parse(R"({"revisionHistoryLimit":1})"));
  cluster.RunPods();
  SetImage(cluster, "nginx:2");
  cluster.RunPods();
  CHECK(Revisions(cluster) == Json({{"nginx:1", 1}, {"nginx:2", 2}}));
  const std::string uid = cluster.Get(resources::kPods, "default", "web-a")->uid();

  SECTION("undo applies the revision's data and renumbers it") {
    for (const ObjectPtr& revision : cluster.List(resources::kControllerRevisions, "default")) {
      const Json document = *revision->json();
      if (document["revision"] != 1) continue;
      cluster.Update(cluster.Get(resources::kDaemonSets, "default", "web"), [&](Json& set) {
        set["spec"]["template"] = document["data"]["spec"]["template"];
        set["spec"]["template"].erase("$patch");
      });
    }
    cluster.RunPods();
    CHECK(Revisions(cluster) == Json({{"nginx:1", 3}, {"nginx:2", 2}}));
    CHECK(Images(cluster) == "a=nginx:1");
  }
  SECTION("undo before anything was replaced restarts nothing") {
    cluster.sick = {"a"};
    cluster.AddNode("b");
    cluster.RunPods();
    SetImage(cluster, "nginx:3");
    SetImage(cluster, "nginx:2");
    cluster.RunPods();
    CHECK(cluster.Get(resources::kPods, "default", "web-a")->uid() != uid);  // its pod was the first to go
    CHECK(Revisions(cluster) == Json({{"nginx:2", 4}, {"nginx:3", 3}}));
  }
  SECTION("the limit keeps one old revision") {
    SetImage(cluster, "nginx:3");
    cluster.RunPods();
    CHECK(Revisions(cluster) == Json({{"nginx:2", 2}, {"nginx:3", 3}}));
  }
}

TEST_CASE("Point 11: a revision that a live pod carries stays") {
  ControllerCluster cluster;
  cluster.AddNode("a");
  cluster.AddDaemonSet(
      "web", Json::parse(R"({"revisionHistoryLimit":0,"updateStrategy":{"type":"OnDelete","rollingUpdate":null}})"));
  cluster.RunPods();
  SetImage(cluster, "nginx:2");
  SetImage(cluster, "nginx:3");
  cluster.RunPods();
  CHECK(Revisions(cluster) == Json({{"nginx:1", 1}, {"nginx:3", 3}}));
}

TEST_CASE("Point 11: a name that is taken by other content is a collision") {
  ControllerCluster first;
  first.AddNode("a");
  first.AddDaemonSet("web");
  const Json made = *first.List(resources::kControllerRevisions, "default").at(0)->json();

  ControllerCluster cluster;
  cluster.AddNode("a");
  cluster.Create({{"apiVersion", "apps/v1"},
                  {"kind", "ControllerRevision"},
                  {"metadata", {{"name", made["metadata"]["name"]}, {"namespace", "default"}}},
                  {"data", {{"else", true}}},
                  {"revision", 1}});
  cluster.AddDaemonSet("web");
  cluster.RunPods();
  CHECK(cluster.Status("web")["collisionCount"] == 1);
  CHECK(cluster.Where() == "a=web-a");
  CHECK(cluster.List(resources::kControllerRevisions, "default").size() == 2);
}

TEST_CASE("Point 12: orphans are adopted, strangers released") {
  ControllerCluster cluster;
  cluster.AddNode("a");
  cluster.Create(Json::parse(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"orphan","namespace":"default","labels":{"app":"web"}},
    "spec":{"nodeName":"a","containers":[{"name":"main","image":"nginx:1"}]}})"));
  cluster.AddDaemonSet("web", Json::parse(R"({"updateStrategy":{"type":"OnDelete","rollingUpdate":null}})"));
  cluster.RunPods();
  CHECK(cluster.Where("web") == "a=orphan");

  cluster.Update(cluster.Get(resources::kPods, "default", "orphan"),
                 [](Json& pod) { pod["metadata"]["labels"]["app"] = "x"; });
  cluster.RunPods();
  CHECK_FALSE(cluster.Document(resources::kPods, "default", "orphan")["metadata"].contains("ownerReferences"));
  CHECK(cluster.Where("web") == "a=web-a");
}

TEST_CASE("Point 13: a refusal stops the batch; the next try goes on") {
  int asked = 0, allowed = 3;
  ControllerCluster cluster;
  for (int i = 0; i < 20; ++i) cluster.AddNode("node-" + std::to_string(100 + i));
  cluster.registry().AddAdmission({"Quota", [&](AdmissionRequest& request, const WatchCache&) {
                                     if (request.kind.resource != "pods" || request.op != AdmissionRequest::Op::kCreate)
                                       return Status();
                                     ++asked;
                                     return allowed-- > 0 ? Status() : Status(Reason::kForbidden, "exceeded quota");
                                   }});
  cluster.AddDaemonSet("web");
  CHECK(cluster.List(resources::kPods, "default").size() == 3);
  CHECK(asked ==
        8);  // 1 + 2 made, a batch of 4 refused; the three made wake the set once more, and its first is refused
  const std::vector<std::string> events = cluster.EventsAbout("web");
  CHECK(std::count(events.begin(), events.end(), "FailedCreate: Error creating: exceeded quota") >= 1);
  allowed = 1000;
  cluster.Advance(1s);
  CHECK(cluster.List(resources::kPods, "default").size() == 20);
}

TEST_CASE("Point 13: a refusal is backed off even when more than a burst waits") {
  int asked = 0;
  ControllerCluster cluster;
  for (int i = 0; i < 255; ++i) cluster.AddNode("node-" + std::to_string(1000 + i));
  cluster.registry().AddAdmission({"Quota", [&](AdmissionRequest& request, const WatchCache&) {
                                     if (request.kind.resource != "pods") return Status();
                                     ++asked;
                                     return Status(Reason::kForbidden, "exceeded quota");
                                   }});
  cluster.AddDaemonSet("web");
  cluster.Advance(1s);
  CHECK(asked >= 4);  // 5 ms, doubling
  CHECK(asked <= 12);
}

TEST_CASE("Point 13: a namespace on its way out is no error") {
  ControllerCluster cluster;
  cluster.AddNode("a");
  cluster.AddDaemonSet("web");
  cluster.RunPods();
  cluster.registry().AddAdmission({"Terminating", [&](AdmissionRequest& request, const WatchCache&) {
                                     if (request.kind.resource != "pods") return Status();
                                     StatusDetails details;
                                     details.causes.push_back({"NamespaceTerminating", "", "metadata.namespace"});
                                     return Status(Reason::kForbidden, "no new content", details);
                                   }});
  cluster.AddNode("b");
  cluster.Settle();
  const int before = cluster.Reconciles("daemon-set-controller");
  cluster.Advance(60s);
  CHECK(cluster.Reconciles("daemon-set-controller") == before);
  for (const std::string& event : cluster.EventsAbout("web")) CHECK_FALSE(event.starts_with("FailedCreate"));
}

TEST_CASE("Point 14: a set that is being deleted does nothing") {
  ControllerCluster cluster;
  cluster.AddNode("a");
  cluster.AddDaemonSet("web");
  cluster.RunPods();
  DeleteOptions foreground;
  foreground.propagation = Propagation::kForeground;
  cluster.Delete(resources::kDaemonSets, "default", "web", foreground);
  cluster.AddNode("b");
  cluster.Settle();
  CHECK(cluster.Get(resources::kDaemonSets, "default", "web"));
  CHECK(cluster.Where() == "");
  cluster.RunPods();
  CHECK_FALSE(cluster.Get(resources::kDaemonSets, "default", "web"));
  CHECK(cluster.List(resources::kPods).empty());
  CHECK(cluster.List(resources::kControllerRevisions).empty());
}

TEST_CASE("Point 16: heartbeats wake nobody, changes wake only whom they concern") {
  ControllerCluster cluster;
  ThreeNodes(cluster);
  cluster.AddDaemonSet("web");
  cluster.AddDaemonSet("ssd", Json::parse(R"({"template":{"spec":{"nodeSelector":{"disk":"ssd"}}}})"));
  cluster.RunPods();
  const int before = cluster.Reconciles("daemon-set-controller");
  cluster.Update(
      cluster.Get(resources::kNodes, "", "a"),
      [](Json& node) { node["status"]["conditions"][0]["lastHeartbeatTime"] = "2100-01-01T00:00:10Z"; }, "status");
  cluster.Update(cluster.Get(resources::kNodes, "", "a"),
                 [](Json& node) { node["metadata"]["labels"]["colour"] = "red"; });
  cluster.Settle();
  CHECK(cluster.Reconciles("daemon-set-controller") == before);
  cluster.Update(cluster.Get(resources::kNodes, "", "a"),
                 [](Json& node) { node["metadata"]["labels"]["disk"] = "ssd"; });
  cluster.RunPods();
  CHECK(cluster.Where("ssd") == "a=ssd-a");
}

TEST_CASE("Point 16: removing a node removes its pods") {
  ControllerCluster cluster;
  ThreeNodes(cluster);
  cluster.AddDaemonSet("web");
  cluster.RunPods();
  cluster.Delete(resources::kNodes, "", "b");
  cluster.Settle();
  CHECK(cluster.Where() == "a=web-a c=web-c");
  CHECK_FALSE(cluster.Get(resources::kPods, "default", "web-b"));
  CHECK(cluster.Status("web")["desiredNumberScheduled"] == 2);
}

TEST_CASE("Point 17: a name that is taken gets a suffix") {
  ControllerCluster cluster;
  cluster.AddNode("a");
  cluster.Create(Json::parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-a","namespace":"default"},
    "spec":{"containers":[{"name":"main","image":"nginx:1"}]}})"));
  cluster.AddDaemonSet("web");
  cluster.RunPods();
  const auto pods = cluster.PodsByNode("web");
  REQUIRE(pods.size() == 1);
  CHECK(pods.at("a")[0].size() == std::string("web-").size() + 5);
}

TEST_CASE("Status settles: nothing is written when nothing changes") {
  ControllerCluster cluster;
  ThreeNodes(cluster);
  cluster.AddDaemonSet("web");
  cluster.RunPods();
  const uint64_t revision = cluster.cache().revision();
  cluster.Advance(30s);
  CHECK(cluster.cache().revision() == revision);
}
