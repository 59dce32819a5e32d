// The StatefulSet contract seen from outside: real store, registry and controllers.
#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/controllers/pod_view.h"
#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/core/controllers/controller_cluster.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

struct StatefulCluster : ControllerCluster {
  StatefulCluster() {
    schedule = true;
    AddNode("a");
  }

  ObjectPtr AddSet(Json spec = Json::object()) {
    Json set = Workload("StatefulSet", "web", 3, {{"serviceName", "peers"}});
    set["spec"].merge_patch(spec);
    ObjectPtr made = Create(std::move(set));
    Settle();
    return made;
  }
  void Edit(const std::function<void(Json& spec)>& change) {
    Update(Get(resources::kStatefulSets, "default", "web"), [&](Json& set) { change(set["spec"]); });
    Settle();
  }
  void SetImage(const char* image) {
    Edit([&](Json& spec) { spec["template"]["spec"]["containers"][0]["image"] = image; });
  }
  void Scale(int replicas) {
    Edit([&](Json& spec) { spec["replicas"] = replicas; });
  }

  // "web-0=1 web-1=2!": the pods with their image's tag; ! not ready, ~ terminating.
  std::string Pods() const {
    std::string out;
    for (const ObjectPtr& pod : List(resources::kPods, "default")) {
      const JsonPtr document = pod->json();
      const PodView& view = pod->view<PodView>();
      const std::string image = (*document)["spec"]["containers"][0]["image"];
      out += (out.empty() ? "" : " ") + pod->name() + "=" + image.substr(image.find(':') + 1) +
             (view.deleting ? "~"
              : view.ready  ? ""
                            : "!");
    }
    return out;
  }
  Json SetStatus() const { return Document(resources::kStatefulSets, "default", "web")["status"]; }
  std::string Uid(const std::string& pod) const { return Get(resources::kPods, "default", pod)->uid(); }
  std::vector<std::string> Claims() const {
    std::vector<std::string> out;
    for (const ObjectPtr& claim : List(resources::kPersistentVolumeClaims, "default")) {
      out.push_back(claim->name() + (claim->view<MetaView>().deleting() ? "~" : ""));
    }
    return out;
  }
};

Json WithClaims() {
  return {{"template",
           {{"spec",
             {{"containers",
               Json::array({{{"name", "main"},
                             {"image", "nginx:1"},
                             {"volumeMounts", Json::array({{{"name", "data"}, {"mountPath", "/data"}}})}}})}}}}},
          {"volumeClaimTemplates", Json::array({{{"metadata", {{"name", "data"}, {"labels", {{"tier", "db"}}}}},
                                                 {"spec",
                                                  {{"accessModes", Json::array({"ReadWriteOnce"})},
                                                   {"resources", {{"requests", {{"storage", "1Gi"}}}}}}}}})}};
}

}  // namespace

TEST_CASE("Identity: name and ordinal, stable host name, pod-index label") {
  StatefulCluster cluster;
  cluster.AddSet();
  CHECK(cluster.Pods() == "web-0=1!");
  cluster.StepPods();  // bound
  CHECK(cluster.Pods() == "web-0=1!");
  cluster.StepPods();  // ready
  CHECK(cluster.Pods() == "web-0=1 web-1=1!");
  cluster.RunPods();
  CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=1");

  const auto revisions = cluster.List(resources::kControllerRevisions, "default");
  REQUIRE(revisions.size() == 1);
  const std::string revision = revisions[0]->name();
  Json status = cluster.SetStatus();
  status.erase("conditions");
  CHECK(status == Json({{"availableReplicas", 3},
                        {"collisionCount", 0},
                        {"currentReplicas", 3},
                        {"currentRevision", revision},
                        {"observedGeneration", 1},
                        {"readyReplicas", 3},
                        {"replicas", 3},
                        {"updateRevision", revision},
                        {"updatedReplicas", 3}}));

  const Json pod = cluster.Document(resources::kPods, "default", "web-1");
  CHECK(pod["metadata"]["labels"] == Json({{"app", "web"},
                                           {"apps.kubernetes.io/pod-index", "1"},
                                           {"controller-revision-hash", revision},
                                           {"statefulset.kubernetes.io/pod-name", "web-1"}}));
  CHECK(pod["spec"]["hostname"] == "web-1");
  CHECK(pod["spec"]["subdomain"] == "peers");
  CHECK(pod["metadata"]["ownerReferences"][0]["kind"] == "StatefulSet");
  CHECK(pod["metadata"]["ownerReferences"][0]["controller"] == true);
  const std::vector<std::string> events = cluster.EventsAbout("web");
  CHECK(std::count(events.begin(), events.end(), "SuccessfulCreate: create Pod web-1 in StatefulSet web successful") ==
        1);
}

TEST_CASE("OrderedReady: scaling goes up and down in order") {
  StatefulCluster cluster;
  cluster.AddSet();
  cluster.RunPods();
  cluster.Scale(1);
  CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=1~");
  cluster.StepPods();
  CHECK(cluster.Pods() == "web-0=1 web-1=1~");
  cluster.RunPods();
  CHECK(cluster.Pods() == "web-0=1");
  const std::vector<std::string> events = cluster.EventsAbout("web");
  CHECK(std::count(events.begin(), events.end(), "SuccessfulDelete: delete Pod web-2 in StatefulSet web successful") ==
        1);
  cluster.Scale(0);
  cluster.RunPods();
  CHECK(cluster.Pods() == "");
  cluster.Edit([](Json& spec) {
    spec["replicas"] = 2;
    spec["ordinals"]["start"] = 7;
  });
  cluster.RunPods();
  CHECK(cluster.Pods() == "web-7=1 web-8=1");
}

TEST_CASE("Parallel: pods come and go at once") {
  StatefulCluster cluster;
  cluster.AddSet({{"podManagementPolicy", "Parallel"}});
  CHECK(cluster.Pods() == "web-0=1! web-1=1! web-2=1!");
  cluster.RunPods();
  cluster.Scale(0);
  CHECK(cluster.Pods() == "web-0=1~ web-1=1~ web-2=1~");
}

TEST_CASE("RollingUpdate: from the highest ordinal to the lowest, with minReadySeconds, and undone") {
  StatefulCluster cluster;
  cluster.AddSet({{"minReadySeconds", 10}});
  for (int i = 0; i < 3; ++i) cluster.RunPods(), cluster.Advance(10s);
  CHECK(cluster.SetStatus()["availableReplicas"] == 3);
  const std::string first = cluster.SetStatus()["currentRevision"];
  cluster.SetImage("nginx:2");
  CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=1~");
  cluster.RunPods();
  CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=2");
  CHECK(cluster.SetStatus()["updatedReplicas"] == 1);
  CHECK(cluster.SetStatus()["currentReplicas"] == 2);
  CHECK(cluster.SetStatus()["currentRevision"] == first);
  CHECK(cluster.SetStatus()["conditions"][0]["message"] == "web-2: it has not been ready for minReadySeconds yet");
  cluster.Advance(9s);
  CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=2");
  cluster.Advance(1s);
  CHECK(cluster.Pods() == "web-0=1 web-1=1~ web-2=2");
  for (int i = 0; i < 2; ++i) cluster.RunPods(), cluster.Advance(10s);
  CHECK(cluster.Pods() == "web-0=2 web-1=2 web-2=2");
  CHECK(cluster.SetStatus()["currentRevision"] == cluster.SetStatus()["updateRevision"]);
  CHECK(cluster.SetStatus()["currentRevision"] != first);

  SECTION("undo renumbers the old revision and needs no new one") {
    cluster.SetImage("nginx:1");
    for (int i = 0; i < 3; ++i) cluster.RunPods(), cluster.Advance(10s);
    CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=1");
    CHECK(cluster.SetStatus()["updateRevision"] == first);
    CHECK(cluster.Document(resources::kControllerRevisions, "default", first)["revision"] == 3);
    CHECK(cluster.List(resources::kControllerRevisions, "default").size() == 2);
  }
}

TEST_CASE("partition: holds back what is below it, and its pods come back as they were") {
  StatefulCluster cluster;
  cluster.AddSet({{"updateStrategy", {{"rollingUpdate", {{"partition", 2}}}}}});
  cluster.RunPods();
  cluster.SetImage("nginx:2");
  cluster.RunPods();
  CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=2");
  cluster.Delete(resources::kPods, "default", "web-0");
  cluster.RunPods();
  CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=2");
  cluster.Edit([](Json& spec) { spec["updateStrategy"]["rollingUpdate"]["partition"] = 0; });
  cluster.RunPods();
  CHECK(cluster.Pods() == "web-0=2 web-1=2 web-2=2");
}

TEST_CASE("OnDelete: leaves the when to the user") {
  StatefulCluster cluster;
  cluster.AddSet({{"updateStrategy", {{"type", "OnDelete"}}}});
  cluster.RunPods();
  cluster.SetImage("nginx:2");
  cluster.RunPods();
  CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=1");
  cluster.Delete(resources::kPods, "default", "web-0");
  cluster.RunPods();
  CHECK(cluster.Pods() == "web-0=2 web-1=1 web-2=1");
}

TEST_CASE("Broken rollout: repaired by applying a good template") {
  StatefulCluster cluster;
  cluster.AddSet();
  cluster.RunPods();
  cluster.SetImage("nginx:broken");
  cluster.StepPods();  // web-2 gone, its successor made
  CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=broken!");
  cluster.StepPods();  // bound
  cluster.SetPodStatus(
      "web-2", {{"containerStatuses", Json::array({{{"name", "main"},
                                                    {"ready", false},
                                                    {"restartCount", 0},
                                                    {"image", "nginx:broken"},
                                                    {"imageID", ""},
                                                    {"state", {{"waiting", {{"reason", "ErrImagePull"}}}}}}})}});
  cluster.Advance(60s);
  CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=broken!");
  CHECK(cluster.SetStatus()["conditions"][0]["message"] == "web-2: container main waits: ErrImagePull");
  cluster.SetImage("nginx:3");
  CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=broken~");
  cluster.RunPods();
  CHECK(cluster.Pods() == "web-0=3 web-1=3 web-2=3");
}

TEST_CASE("Failed pods: made again, ever more slowly") {
  StatefulCluster cluster;
  cluster.AddSet();
  cluster.RunPods();
  std::string uid = cluster.Uid("web-1");
  auto fail = [&] {
    cluster.SetPodStatus("web-1", {{"phase", "Failed"}, {"reason", "Evicted"}});
    cluster.RunPods();
    return std::exchange(uid, cluster.Uid("web-1")) != uid;
  };
  CHECK(fail());
  const std::vector<std::string> events = cluster.EventsAbout("web");
  CHECK(std::count(events.begin(), events.end(),
                   "RecreatingFailedPod: StatefulSet default/web is recreating failed Pod web-1") == 1);
  CHECK_FALSE(fail());
  cluster.Advance(1s);
  cluster.RunPods();
  CHECK(cluster.Uid("web-1") != uid);
  CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=1");
}

TEST_CASE("Orphans are adopted only under the set's names, and misfits are let go") {
  StatefulCluster cluster;
  DeleteOptions orphan;
  orphan.propagation = Propagation::kOrphan;
  cluster.AddSet({{"replicas", 1}});
  cluster.RunPods();
  const std::string uid = cluster.Uid("web-0");
  cluster.Delete(resources::kStatefulSets, "default", "web", orphan);
  cluster.RunPods();
  CHECK_FALSE(cluster.Get(resources::kStatefulSets, "default", "web"));
  CHECK(cluster.Uid("web-0") == uid);
  Json stray = {{"apiVersion", "v1"},
                {"kind", "Pod"},
                {"metadata", {{"name", "stray"}, {"namespace", "default"}, {"labels", {{"app", "web"}}}}},
                {"spec", {{"containers", Json::array({{{"name", "main"}, {"image", "nginx:9"}}})}}}};
  cluster.Create(stray);
  const ObjectPtr set = cluster.AddSet({{"replicas", 2}});
  cluster.RunPods();
  CHECK(cluster.Uid("web-0") == uid);
  CHECK(cluster.Get(resources::kPods, "default", "web-0")->view<MetaView>().controller()->uid == set->uid());
  CHECK_FALSE(cluster.Get(resources::kPods, "default", "stray")->view<MetaView>().controller());
  CHECK(cluster.Pods() == "stray=9 web-0=1 web-1=1");

  SECTION("a pod in the way of a name is said to be, and waited for") {
    stray["metadata"]["name"] = "web-2";
    stray["metadata"]["labels"] = {{"app", "other"}};
    cluster.Create(stray);
    cluster.Scale(3);
    cluster.Advance(1s);
    const std::vector<std::string> events = cluster.EventsAbout("web");
    CHECK(std::count(events.begin(), events.end(),
                     "FailedCreate: create Pod web-2 in StatefulSet web failed error: pods \"web-2\" already exists") ==
          1);
    const int looks = cluster.Reconciles("statefulset-controller");
    cluster.Advance(60s);
    CHECK(cluster.Reconciles("statefulset-controller") < looks + 20);  // it does not spin
    cluster.Delete(resources::kPods, "default", "web-2");
    cluster.RunPods();
    CHECK(cluster.Pods() == "stray=9 web-0=1 web-1=1 web-2=1");
  }
  SECTION("a pod that loses its labels is released") {
    cluster.Update(cluster.Get(resources::kPods, "default", "web-1"),
                   [](Json& pod) { pod["metadata"]["labels"]["app"] = "other"; });
    cluster.Settle();
    CHECK_FALSE(cluster.Get(resources::kPods, "default", "web-1")->view<MetaView>().controller());
  }
  SECTION("identity labels are put back") {
    cluster.Update(cluster.Get(resources::kPods, "default", "web-1"),
                   [](Json& pod) { pod["metadata"]["labels"].erase("apps.kubernetes.io/pod-index"); });
    cluster.Settle();
    CHECK(cluster.Document(resources::kPods, "default",
                           "web-1")["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "1");
  }
}

TEST_CASE("Deleting the set does not promise order, scaling to zero first does") {
  StatefulCluster cluster;
  cluster.AddSet();
  cluster.RunPods();
  SECTION("deleted") {
    cluster.Delete(resources::kStatefulSets, "default", "web");
    cluster.Settle();
    CHECK(cluster.Pods() == "web-0=1~ web-1=1~ web-2=1~");
  }
  SECTION("deleted in the foreground: the set outlives its pods and makes none anew") {
    DeleteOptions foreground;
    foreground.propagation = Propagation::kForeground;
    cluster.Delete(resources::kStatefulSets, "default", "web", foreground);
    cluster.Settle();
    CHECK(cluster.Pods() == "web-0=1~ web-1=1~ web-2=1~");
    CHECK(cluster.Get(resources::kStatefulSets, "default", "web"));
  }
  SECTION("scaled to zero") {
    cluster.Scale(0);
    CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=1~");
    cluster.StepPods();
    CHECK(cluster.Pods() == "web-0=1 web-1=1~");
    cluster.StepPods();
    CHECK(cluster.Pods() == "web-0=1~");
  }
  cluster.RunPods();
  CHECK(cluster.Pods() == "");
}

TEST_CASE("Revisions: one for each content, and the pods carry its name") {
  StatefulCluster cluster;
  cluster.AddSet({{"replicas", 1}});
  cluster.RunPods();
  cluster.SetImage("nginx:2");
  cluster.RunPods();
  cluster.SetImage("nginx:1");
  cluster.RunPods();
  CHECK(cluster.List(resources::kControllerRevisions, "default").size() == 2);
  CHECK(cluster.SetStatus()["collisionCount"] == 0);
  CHECK(cluster.Document(resources::kPods, "default", "web-0")["metadata"]["labels"]["controller-revision-hash"] ==
        cluster.SetStatus()["updateRevision"]);
}

TEST_CASE("Revisions: a name that is taken by other content raises collisionCount") {
  StatefulCluster first;
  first.AddSet({{"replicas", 1}});
  const std::string name = first.SetStatus()["updateRevision"];

  StatefulCluster cluster;
  cluster.Create({{"apiVersion", "apps/v1"},
                  {"kind", "ControllerRevision"},
                  {"metadata", {{"name", name}, {"namespace", "default"}}},
                  {"data", {{"else", true}}},
                  {"revision", 1}});
  cluster.AddSet({{"replicas", 1}});
  cluster.RunPods();
  CHECK(cluster.SetStatus()["collisionCount"] == 1);
  CHECK(cluster.SetStatus()["updateRevision"] != name);
  CHECK(cluster.Pods() == "web-0=1");
}

TEST_CASE("revisionHistoryLimit: old revisions beyond it go, but none that is in use") {
  StatefulCluster cluster;
  cluster.AddSet({{"revisionHistoryLimit", 1}, {"updateStrategy", {{"rollingUpdate", {{"partition", 3}}}}}});
  cluster.RunPods();
  for (const char* image : {"nginx:2", "nginx:3", "nginx:4"}) {
    cluster.SetImage(image);
    cluster.RunPods();
  }
  std::vector<std::string> images;
  for (const ObjectPtr& revision : cluster.List(resources::kControllerRevisions, "default")) {
    images.push_back((*revision->json())["data"]["spec"]["template"]["spec"]["containers"][0]["image"]);
  }
  std::sort(images.begin(), images.end());
  CHECK(images == std::vector<std::string>{"nginx:1", "nginx:4"});
}

TEST_CASE("volumeClaimTemplates: one claim per ordinal, which outlives its pod and is reattached") {
  StatefulCluster cluster;
  cluster.AddSet(WithClaims());
  cluster.RunPods();
  CHECK(cluster.Claims() == std::vector<std::string>{"data-web-0", "data-web-1", "data-web-2"});
  const Json claim = cluster.Document(resources::kPersistentVolumeClaims, "default", "data-web-1");
  CHECK(claim["metadata"]["labels"] == Json({{"app", "web"}, {"tier", "db"}}));
  CHECK_FALSE(claim["metadata"].contains("ownerReferences"));
  CHECK(claim["spec"]["resources"]["requests"]["storage"] == "1Gi");
  const Json volumes = cluster.Document(resources::kPods, "default", "web-1")["spec"]["volumes"];
  CHECK(volumes[0] == Json({{"name", "data"}, {"persistentVolumeClaim", {{"claimName", "data-web-1"}}}}));
  const std::vector<std::string> events = cluster.EventsAbout("web");
  CHECK(std::count(events.begin(), events.end(),
                   "SuccessfulCreate: create Claim data-web-1 Pod web-1 in StatefulSet web success") == 1);

  const std::string uid = cluster.Get(resources::kPersistentVolumeClaims, "default", "data-web-2")->uid();
  cluster.Scale(0);
  cluster.RunPods();
  CHECK(cluster.Claims() == std::vector<std::string>{"data-web-0", "data-web-1", "data-web-2"});
  cluster.Scale(3);
  cluster.RunPods();
  CHECK(cluster.Get(resources::kPersistentVolumeClaims, "default", "data-web-2")->uid() == uid);
  cluster.Delete(resources::kStatefulSets, "default", "web");
  cluster.RunPods();
  CHECK(cluster.Pods() == "");
  CHECK(cluster.Claims() == std::vector<std::string>{"data-web-0", "data-web-1", "data-web-2"});
}

TEST_CASE("persistentVolumeClaimRetentionPolicy: whenScaled takes the claim along with the pod that leaves") {
  StatefulCluster cluster;
  Json spec = WithClaims();
  spec["persistentVolumeClaimRetentionPolicy"] = {{"whenScaled", "Delete"}};
  cluster.AddSet(spec);
  cluster.RunPods();
  // A pod that is only replaced keeps its claim.
  cluster.Delete(resources::kPods, "default", "web-2");
  cluster.RunPods();
  CHECK(cluster.Claims() == std::vector<std::string>{"data-web-0", "data-web-1", "data-web-2"});

  cluster.Scale(2);
  const Json claim = cluster.Document(resources::kPersistentVolumeClaims, "default", "data-web-2");
  CHECK(claim["metadata"]["ownerReferences"][0]["kind"] == "Pod");
  CHECK(claim["metadata"]["ownerReferences"][0]["uid"] == cluster.Uid("web-2"));
  SECTION("changing one's mind in time keeps it") {
    cluster.Scale(3);
    cluster.RunPods();
    CHECK(cluster.Claims() == std::vector<std::string>{"data-web-0", "data-web-1", "data-web-2"});
    CHECK_FALSE(cluster.Document(resources::kPersistentVolumeClaims, "default", "data-web-2")["metadata"].contains(
        "ownerReferences"));
  }
  SECTION("else it goes, and the ordinal starts anew") {
    const std::string uid = cluster.Get(resources::kPersistentVolumeClaims, "default", "data-web-2")->uid();
    cluster.RunPods();
    // Protected claims wait for whoever guards them.
    if (const ObjectPtr left = cluster.Get(resources::kPersistentVolumeClaims, "default", "data-web-2")) {
      CHECK(left->view<MetaView>().deleting());
      cluster.Scale(3);
      cluster.RunPods();
      CHECK(cluster.Pods() == "web-0=1 web-1=1");
      CHECK(cluster.SetStatus()["conditions"][0]["message"] ==
            "web-2: a claim of its predecessor is still being deleted");
      cluster.Update(left, [](Json& object) { object["metadata"].erase("finalizers"); });
    } else {
      cluster.Scale(3);
    }
    cluster.RunPods();
    CHECK(cluster.Pods() == "web-0=1 web-1=1 web-2=1");
    CHECK(cluster.Get(resources::kPersistentVolumeClaims, "default", "data-web-2")->uid() != uid);
  }
}

TEST_CASE("persistentVolumeClaimRetentionPolicy: whenDeleted takes the claims along with the set") {
  StatefulCluster cluster;
  Json spec = WithClaims();
  spec["persistentVolumeClaimRetentionPolicy"] = {{"whenDeleted", "Delete"}};
  const ObjectPtr set = cluster.AddSet(spec);
  cluster.RunPods();
  const Json owners =
      cluster.Document(resources::kPersistentVolumeClaims, "default", "data-web-0")["metadata"]["ownerReferences"];
  REQUIRE(owners.size() == 1);
  CHECK(owners[0]["uid"] == set->uid());
  cluster.Delete(resources::kStatefulSets, "default", "web");
  cluster.RunPods();
  for (const ObjectPtr& claim : cluster.List(resources::kPersistentVolumeClaims, "default")) {
    CHECK(claim->view<MetaView>().deleting());
  }
}
