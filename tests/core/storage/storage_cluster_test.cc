#include <fstream>
#include <thread>

#include "tests/core/storage/storage_fixture.h"

namespace wherry::storage_tests {
namespace {

TEST_CASE("storage: the default class is there and claims that name none get it") {
  Storage cluster;
  const Json standard = cluster.Document(kStorageClasses, "", "wherry-local");
  CHECK(standard["provisioner"] == "wherry.dev/local");
  CHECK(standard["volumeBindingMode"] == "WaitForFirstConsumer");
  cluster.Create(Claim("a"));
  CHECK(StringAt(cluster.TheClaim("a"), "spec.storageClassName") == "wherry-local");
  cluster.Create(Claim("b", R"({"storageClassName":""})"));
  CHECK(StringAt(cluster.TheClaim("b"), "spec.storageClassName", "absent").empty());
  CHECK(cluster.WasTold("b",
                        "FailedBinding: no persistent volumes available for this claim and no storage class is set"));
  CHECK(cluster.WasTold("a", "WaitForFirstConsumer: waiting for first consumer to be created before binding"));
  CHECK(cluster.ClaimPhase("a") == "Pending");
}

TEST_CASE("storage: a claim that came before any default class gets it later") {
  Storage cluster;
  cluster.Delete(kStorageClasses, "", "wherry-local");
  cluster.Create(Claim("a"));
  cluster.Settle();
  CHECK_FALSE(Has(cluster.TheClaim("a"), "spec.storageClassName"));
  cluster.Create(
      Class("mine", R"({"metadata":{"annotations":{"storageclass.kubernetes.io/is-default-class":"true"}}})"));
  cluster.Settle();
  CHECK(StringAt(cluster.TheClaim("a"), "spec.storageClassName") == "mine");
}

TEST_CASE("storage: static volumes are bound, released and retained") {
  Storage cluster;
  cluster.Create(Volume("big", R"({"capacity":{"storage":"5Gi"}})"));
  cluster.Create(Volume("small", R"({"capacity":{"storage":"2Gi"}})"));
  cluster.Settle();
  CHECK(cluster.VolumePhase("big") == "Available");
  cluster.Create(Claim("a", R"({"storageClassName":""})"));
  cluster.Settle();
  CHECK(cluster.VolumeOf("a") == "small");
  CHECK(cluster.ClaimPhase("a") == "Bound");
  CHECK(cluster.VolumePhase("small") == "Bound");
  CHECK(StringAt(cluster.TheClaim("a"), "status.capacity.storage") == "2Gi");
  const Json annotations = cluster.TheClaim("a")["metadata"]["annotations"];
  CHECK(annotations["pv.kubernetes.io/bind-completed"] == "yes");
  CHECK(annotations["pv.kubernetes.io/bound-by-controller"] == "yes");
  CHECK(StringAt(cluster.TheVolume("small"), "spec.claimRef.name") == "a");

  // A claim that fits none waits for one that comes.
  cluster.Create(Claim("b", R"({"storageClassName":"","resources":{"requests":{"storage":"9Gi"}}})"));
  cluster.Settle();
  CHECK(cluster.ClaimPhase("b") == "Pending");
  cluster.Create(Volume("huge", R"({"capacity":{"storage":"9Gi"}})"));
  cluster.Settle();
  CHECK(cluster.VolumeOf("b") == "huge");

  cluster.Delete(kPersistentVolumeClaims, "default", "a");
  cluster.Settle();
  CHECK(cluster.TheClaim("a").is_null());
  CHECK(cluster.VolumePhase("small") == "Released");
  // Nobody gets a released volume until an administrator frees it.
  cluster.Create(Claim("c", R"({"storageClassName":"","volumeName":"small"})"));
  cluster.Settle();
  CHECK(cluster.ClaimPhase("c") == "Pending");
  cluster.Update(cluster.Get(kPersistentVolumes, "", "small"), [](Json& v) { v["spec"].erase("claimRef"); });
  cluster.Settle();
  CHECK(cluster.VolumeOf("c") == "small");
  CHECK(cluster.ClaimPhase("c") == "Bound");
}

TEST_CASE("storage: a volume reserved for a claim goes to it alone") {
  Storage cluster;
  cluster.Create(Volume("v", R"({"claimRef":{"namespace":"default","name":"mine"}})"));
  cluster.Create(Claim("other", R"({"storageClassName":""})"));
  cluster.Settle();
  CHECK(cluster.ClaimPhase("other") == "Pending");
  CHECK(cluster.VolumePhase("v") == "Available");
  cluster.Create(Claim("mine", R"({"storageClassName":""})"));
  cluster.Settle();
  CHECK(cluster.VolumeOf("mine") == "v");
}

TEST_CASE("storage: a bound claim that loses its volume says so") {
  Storage cluster;
  cluster.Create(Volume("v"));
  cluster.Create(Claim("a", R"({"storageClassName":""})"));
  cluster.Settle();
  cluster.Update(cluster.Get(kPersistentVolumes, "", "v"), [](Json& v) { v["metadata"].erase("finalizers"); });
  cluster.Delete(kPersistentVolumes, "", "v");
  cluster.Settle();
  CHECK(cluster.ClaimPhase("a") == "Lost");
  CHECK(cluster.WasTold("a", "ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!"));
}

TEST_CASE("storage: recycling is refused with an event") {
  Storage cluster;
  cluster.Create(Volume("v", R"({"persistentVolumeReclaimPolicy":"Recycle"})"));
  cluster.Create(Claim("a", R"({"storageClassName":""})"));
  cluster.Settle();
  cluster.Delete(kPersistentVolumeClaims, "default", "a");
  cluster.Settle();
  CHECK(cluster.VolumePhase("v") == "Failed");
  CHECK(cluster.WasTold("v", "VolumeFailedRecycle: No recycler plugin found for the volume!"));
}

TEST_CASE("storage: a volume is not removed while a claim is bound to it") {
  Storage cluster;
  cluster.Create(Volume("v"));
  cluster.Create(Claim("a", R"({"storageClassName":""})"));
  cluster.Settle();
  cluster.Delete(kPersistentVolumes, "", "v");
  cluster.Settle();
  CHECK(cluster.VolumePhase("v") == "Bound");
  cluster.Delete(kPersistentVolumeClaims, "default", "a");
  cluster.Settle();
  CHECK(cluster.TheVolume("v").is_null());
}

TEST_CASE("storage: a class that binds at once gets a volume on an allowed node") {
  Storage cluster;
  cluster.Create(
      Class("now", R"({"allowedTopologies":[{"matchLabelExpressions":[{"key":"disk","values":["ssd"]}]}]})"));
  cluster.Create(Claim("a", R"({"storageClassName":"now"})"));
  cluster.AddNode("n1");
  cluster.Settle();
  CHECK(cluster.ClaimPhase("a") == "Pending");
  CHECK(cluster.WasTold("a", "ProvisioningFailed: no node is there that the storage class allows"));
  cluster.AddNode("n2", {{"disk", "ssd"}});
  cluster.Settle();
  CHECK(cluster.ClaimPhase("a") == "Bound");
  const Json volume = cluster.TheVolume(cluster.VolumeOf("a"));
  CHECK(volume["metadata"]["name"] == "pvc-" + StringAt(cluster.TheClaim("a"), "metadata.uid"));
  CHECK(volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"] == "wherry.dev/local");
  CHECK(volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete");
  CHECK(volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"][0] == "n2");
  CHECK(cluster.WasTold("a", "ProvisioningSucceeded: Successfully provisioned volume pvc-"));
  CHECK_FALSE(
      fs::exists(cluster.Directory(StringAt(volume, "metadata.name"))));  // simulated nodes keep nothing on disk

  cluster.Delete(kPersistentVolumeClaims, "default", "a");
  cluster.Settle();
  CHECK(cluster.List(kPersistentVolumes).empty());
}

TEST_CASE("storage: what the local provisioner cannot do it says") {
  Storage cluster;
  cluster.AddNode("n1");
  cluster.Create(Class("now"));
  cluster.Create(Claim("shared", R"({"storageClassName":"now","accessModes":["ReadWriteMany"]})"));
  cluster.Create(Claim("picky", R"({"storageClassName":"now","selector":{"matchLabels":{"a":"b"}}})"));
  cluster.Create(Claim("lost", R"({"storageClassName":"nowhere"})"));
  cluster.Settle();
  CHECK(cluster.WasTold("shared",
                        "ProvisioningFailed: failed to provision volume with StorageClass \"now\": access mode "
                        "ReadWriteMany is not offered"));
  CHECK(cluster.WasTold("picky",
                        "ProvisioningFailed: failed to provision volume with StorageClass \"now\": claim Selector"));
  CHECK(cluster.WasTold("lost", "ProvisioningFailed: storageclass.storage.k8s.io \"nowhere\" not found"));
  for (const char* name : {"shared", "picky", "lost"}) CHECK(cluster.ClaimPhase(name) == "Pending");
  // Nothing is told twice, however often anybody looks.
  const size_t told = cluster.List(kEvents).size();
  cluster.Advance(std::chrono::minutes(10));
  CHECK(cluster.List(kEvents).size() == told);
}

TEST_CASE("storage: a claim in use outlives its deletion until the pod is gone") {
  Storage cluster;
  cluster.AddNode("n1");
  cluster.Create(Class("now"));
  cluster.Create(Claim("a", R"({"storageClassName":"now"})"));
  cluster.Create(Pod("p", "a", "n1"));
  cluster.Settle();
  CHECK(cluster.PodPhase("p") == "Running");
  cluster.Delete(kPersistentVolumeClaims, "default", "a");
  cluster.Settle();
  CHECK(Has(cluster.TheClaim("a"), "metadata.deletionTimestamp"));
  CHECK(cluster.ClaimPhase("a") == "Bound");
  // A newcomer does not get it any more.
  cluster.Create(Pod("q", "a", "n1"));
  cluster.Settle();
  CHECK(cluster.PodPhase("q") == "Pending");
  CHECK(cluster.WasTold("q",
                        "FailedMount: MountVolume.SetUp failed for volume \"data\" : PVC default/a is being deleted"));
  cluster.Delete(kPods, "default", "q");
  cluster.Delete(kPods, "default", "p");
  cluster.Advance(std::chrono::seconds(40));
  CHECK(cluster.TheClaim("a").is_null());
  CHECK(cluster.List(kPersistentVolumes).empty());
}

TEST_CASE("storage: a pod waits for its claim and starts when it is bound") {
  Storage cluster;
  cluster.AddNode("n1");
  cluster.Create(Pod("p", "a", "n1"));
  cluster.Settle();
  CHECK(cluster.PodPhase("p") == "Pending");
  CHECK(StringAt(cluster.Document(kPods, "default", "p")["status"]["containerStatuses"][0], "state.waiting.reason") ==
        "ContainerCreating");
  CHECK(cluster.WasTold(
      "p", "FailedMount: MountVolume.SetUp failed for volume \"data\" : persistentvolumeclaim \"a\" not found"));
  cluster.Create(Claim("a", R"({"storageClassName":""})"));
  cluster.Settle();
  CHECK(cluster.PodPhase("p") == "Pending");
  cluster.Create(Volume("v"));
  cluster.Settle();
  CHECK(cluster.PodPhase("p") == "Running");
}

TEST_CASE("storage: claims grow when their class allows it") {
  Storage cluster;
  cluster.AddNode("n1");
  cluster.Create(Class("grows", R"({"allowVolumeExpansion":true})"));
  cluster.Create(Class("fixed"));
  for (const char* name : {"grows", "fixed"}) {
    Json claim = Claim(name);
    claim["spec"]["storageClassName"] = name;
    cluster.Create(std::move(claim));
  }
  cluster.Settle();
  const auto enlarge = [&](const char* name, const char* size) {
    Json document = cluster.TheClaim(name);
    document["spec"]["resources"]["requests"]["storage"] = size;
    return cluster.Run(cluster.client().Update(std::string(kPersistentVolumeClaims), std::move(document)));
  };
  const auto refused = enlarge("fixed", "3Gi");
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status().message() ==
        "persistentvolumeclaims \"fixed\" is forbidden: only dynamically provisioned pvc can be resized and the "
        "storageclass that provisions the pvc must support resize");
  REQUIRE(enlarge("grows", "3Gi").ok());
  cluster.Settle();
  CHECK(StringAt(cluster.TheClaim("grows"), "status.capacity.storage") == "3Gi");
  CHECK(StringAt(cluster.TheVolume(cluster.VolumeOf("grows")), "spec.capacity.storage") == "3Gi");
  CHECK(cluster.WasTold("grows", "VolumeResizeSuccessful"));
}

TEST_CASE("storage: an ephemeral volume has a claim that goes with its pod") {
  Storage cluster;
  cluster.AddNode("n1");
  cluster.Create(Class("now"));
  Json pod = Pod("p", "unused", "n1");
  pod["spec"]["volumes"][0].erase("persistentVolumeClaim");
  pod["spec"]["volumes"][0]["ephemeral"]["volumeClaimTemplate"] = Json::parse(
      R"({"metadata":{"labels":{"a":"b"}},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"now",
          "resources":{"requests":{"storage":"1Gi"}}}})");
  cluster.Create(std::move(pod));
  cluster.Settle();
  CHECK(StringAt(cluster.TheClaim("p-data"), "metadata.labels.a") == "b");
  CHECK(cluster.PodPhase("p") == "Running");
  cluster.Delete(kPods, "default", "p");
  cluster.Advance(std::chrono::seconds(40));
  CHECK(cluster.TheClaim("p-data").is_null());
  CHECK(cluster.List(kPersistentVolumes).empty());
}

// A node whose pods would be processes: its volumes are directories. Removal runs on a thread of its own, so that the
// loop is turned until it is through.
TEST_CASE("storage: a volume is a directory, and goes with its claim or stays as its policy says") {
  Storage cluster;
  cluster.Create({{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", "n1"}}}});
  cluster.Settle();
  cluster.Create(Class("now"));
  cluster.Create(Class("keeps", R"({"reclaimPolicy":"Retain"})"));
  cluster.Create(Claim("gone", R"({"storageClassName":"now"})"));
  cluster.Create(Claim("kept", R"({"storageClassName":"keeps"})"));
  cluster.Settle();
  const fs::path gone = cluster.Directory(cluster.VolumeOf("gone")), kept = cluster.Directory(cluster.VolumeOf("kept"));
  const std::string kept_volume = cluster.VolumeOf("kept");
  REQUIRE(fs::is_directory(gone));
  REQUIRE(fs::is_directory(kept));
  fs::create_directories(gone / "deep/down");
  std::ofstream(gone / "deep/down/file") << "x";
  std::ofstream(kept / "file") << "x";
  cluster.Delete(kPersistentVolumeClaims, "default", "gone");
  cluster.Delete(kPersistentVolumeClaims, "default", "kept");
  for (int i = 0; i < 1'000'000 && cluster.List(kPersistentVolumes).size() > 1; ++i) {
    std::this_thread::yield();
    cluster.Settle();
  }
  REQUIRE(cluster.List(kPersistentVolumes).size() == 1);
  CHECK_FALSE(fs::exists(gone));
  CHECK(fs::exists(kept / "file"));
  CHECK(std::distance(fs::directory_iterator(gone.parent_path()), fs::directory_iterator()) == 1);
  CHECK(cluster.VolumePhase(kept_volume) == "Released");
  // Its object may go too; what it held is its owner's to clear.
  cluster.Delete(kPersistentVolumes, "", kept_volume);
  cluster.Settle();
  CHECK(cluster.TheVolume(kept_volume).is_null());
  CHECK(fs::exists(kept / "file"));
}

}  // namespace
}  // namespace wherry::storage_tests
