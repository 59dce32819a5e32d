#include <spdlog/spdlog.h>

#include "tests/core/storage/storage_fixture.h"

namespace wherry::storage_tests {
namespace {

std::string NodeOf(const Storage& cluster, const std::string& pod) {
  return StringAt(cluster.Document(kPods, "default", pod), "spec.nodeName");
}

// The message of the pod's PodScheduled condition.
std::string WhyNot(const Storage& cluster, const std::string& pod) {
  const Json document = cluster.Document(kPods, "default", pod);
  for (const Json& condition : ListAt(document, "status.conditions")) {
    if (StringAt(condition, "type") == "PodScheduled") return StringAt(condition, "message");
  }
  return "";
}

std::string SelectedNode(const Storage& cluster, const std::string& claim) {
  const Json document = cluster.TheClaim(claim);
  const auto& annotations = MapAt(document, "metadata.annotations");
  const auto it = annotations.find("volume.kubernetes.io/selected-node");
  return it == annotations.end() ? "" : it->second.get<std::string>();
}

// A local volume of a node, of a class that nobody provisions.
Json LocalVolume(const std::string& name, const std::string& node, const char* size = "1Gi") {
  Json volume = Volume(name);
  volume["spec"].erase("hostPath");
  volume["spec"]["local"]["path"] = "/srv/" + name;
  volume["spec"]["capacity"]["storage"] = size;
  volume["spec"]["storageClassName"] = "disks";
  volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"] = Json::array(
      {{{"matchExpressions",
         Json::array({{{"key", "kubernetes.io/hostname"}, {"operator", "In"}, {"values", Json::array({node})}}})}}});
  return volume;
}

const char* const kDisks =
    R"({"provisioner":"kubernetes.io/no-provisioner","volumeBindingMode":"WaitForFirstConsumer"})";
const char* const kForeign = R"({"provisioner":"example.com/disks","volumeBindingMode":"WaitForFirstConsumer"})";

TEST_CASE("volume binding: a claim is made where its first pod goes, and its pods stay there") {
  Storage cluster;
  cluster.AddNode("n1");
  cluster.AddNode("n2");
  cluster.AddNode("n3");
  cluster.Create(Claim("a"));
  cluster.Settle();
  CHECK(cluster.ClaimPhase("a") == "Pending");
  cluster.Create(Pod("p", "a"));
  cluster.Settle();
  const std::string node = NodeOf(cluster, "p");
  REQUIRE_FALSE(node.empty());
  CHECK(cluster.PodPhase("p") == "Running");
  CHECK(cluster.ClaimPhase("a") == "Bound");
  CHECK(SelectedNode(cluster, "a") == node);
  const Json volume = cluster.TheVolume(cluster.VolumeOf("a"));
  CHECK(volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"][0] == node);
  CHECK(volume["spec"]["storageClassName"] == "wherry-local");

  for (int i = 0; i < 5; ++i) {
    const std::string name = "again-" + std::to_string(i);
    cluster.Create(Pod(name, "a"));
    cluster.Settle();
    CHECK(NodeOf(cluster, name) == node);
  }
  cluster.Update(cluster.Get(kNodes, "", node), [](Json& n) { n["spec"]["unschedulable"] = true; });
  cluster.Create(Pod("late", "a"));
  cluster.Settle();
  CHECK(NodeOf(cluster, "late").empty());
  CHECK(WhyNot(cluster, "late")
            .starts_with(
                "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) had volume node affinity conflict."));
  cluster.Update(cluster.Get(kNodes, "", node), [](Json& n) { n["spec"].erase("unschedulable"); });
  cluster.Settle();
  CHECK(NodeOf(cluster, "late") == node);
}

TEST_CASE("volume binding: a pod that comes past the scheduler gets its volume too") {
  Storage cluster;
  cluster.AddNode("n1");
  cluster.AddNode("n2");
  cluster.Create(Claim("a"));
  cluster.Create(Pod("p", "a", "n2"));
  cluster.Settle();
  CHECK(SelectedNode(cluster, "a") == "n2");
  CHECK(cluster.PodPhase("p") == "Running");
}

TEST_CASE("volume binding: a pod without its claim waits for it, and no timer is needed") {
  Storage cluster;
  cluster.AddNode("n1");
  cluster.Create(Pod("p", "a"));
  cluster.Settle();
  CHECK(WhyNot(cluster, "p").starts_with("0/1 nodes are available: persistentvolumeclaim \"a\" not found."));
  cluster.Create(Claim("other"));
  const uint64_t decisions = cluster.plane().scheduler().decisions();
  cluster.Settle();
  CHECK(cluster.plane().scheduler().decisions() == decisions);  // nothing of its concern
  cluster.Create(Claim("a"));
  cluster.Settle();
  CHECK(cluster.PodPhase("p") == "Running");
}

TEST_CASE("volume binding: claims that are to be bound at once are bound first") {
  Storage cluster;
  cluster.AddNode("n1");
  cluster.Create(Claim("a", R"({"storageClassName":""})"));
  cluster.Create(Pod("p", "a"));
  cluster.Settle();
  CHECK(WhyNot(cluster, "p").starts_with("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."));
  cluster.Create(Volume("v"));
  cluster.Settle();
  CHECK(cluster.VolumeOf("a") == "v");
  CHECK(cluster.PodPhase("p") == "Running");
}

TEST_CASE("volume binding: a claim on its way out takes no new pod") {
  Storage cluster;
  cluster.AddNode("n1");
  cluster.Create(Claim("a"));
  cluster.Create(Pod("p", "a"));
  cluster.Settle();
  cluster.Delete(kPersistentVolumeClaims, "default", "a");
  cluster.Create(Pod("q", "a"));
  cluster.Settle();
  CHECK(WhyNot(cluster, "q").starts_with("0/1 nodes are available: persistentvolumeclaim \"a\" is being deleted."));
}

TEST_CASE("volume binding: static volumes choose the node, the smallest first, and each is given once") {
  Storage cluster;
  cluster.AddNode("n1");
  cluster.AddNode("n2");
  cluster.Create(Class("disks", kDisks));
  cluster.Create(LocalVolume("large", "n2", "9Gi"));
  cluster.Create(LocalVolume("small", "n2", "2Gi"));
  for (const char* name : {"a", "b", "c"}) {
    cluster.Create(Claim(name, R"({"storageClassName":"disks"})"));
    cluster.Create(Pod(name, name));
  }
  cluster.Settle();
  CHECK(NodeOf(cluster, "a") == "n2");
  CHECK(NodeOf(cluster, "b") == "n2");
  CHECK(cluster.VolumeOf("a") == "small");
  CHECK(cluster.VolumeOf("b") == "large");
  CHECK(cluster.PodPhase("b") == "Running");
  CHECK(WhyNot(cluster, "c")
            .starts_with("0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."));
  cluster.Create(LocalVolume("more", "n1"));
  cluster.Settle();
  CHECK(NodeOf(cluster, "c") == "n1");
  CHECK(cluster.VolumeOf("c") == "more");
}

TEST_CASE("volume binding: pods that come together with one claim come to one node") {
  Storage cluster;
  for (const char* node : {"n1", "n2", "n3", "n4"}) cluster.AddNode(node);
  Json pods = Json::array();
  for (int i = 0; i < 8; ++i) pods.push_back(Pod("p" + std::to_string(i), "a"));
  for (Json& pod : pods) cluster.Create(std::move(pod));
  cluster.Create(Claim("a"));  // all of them wake at once
  cluster.Settle();
  const std::string node = NodeOf(cluster, "p0");
  REQUIRE_FALSE(node.empty());
  for (int i = 0; i < 8; ++i) {
    CHECK(NodeOf(cluster, "p" + std::to_string(i)) == node);
    CHECK(cluster.PodPhase("p" + std::to_string(i)) == "Running");
  }
}

TEST_CASE("volume binding: ReadWriteOncePod is for one pod at a time") {
  Storage cluster;
  cluster.AddNode("n1");
  cluster.Create(Claim("a", R"({"accessModes":["ReadWriteOncePod"]})"));
  cluster.Create(Pod("p", "a"));
  cluster.Settle();
  CHECK(cluster.PodPhase("p") == "Running");
  cluster.Create(Pod("q", "a"));
  cluster.Settle();
  CHECK(WhyNot(cluster, "q")
            .find("node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod "
                  "access mode") != std::string::npos);
  cluster.Delete(kPods, "default", "p");
  cluster.Advance(std::chrono::seconds(40));
  CHECK(cluster.PodPhase("q") == "Running");
}

TEST_CASE("volume binding: a pod waits for a provisioner that is slow, holding up nobody") {
  Storage cluster;
  cluster.AddNode("n1");
  cluster.Create(Class("foreign", kForeign));
  cluster.Create(Claim("a", R"({"storageClassName":"foreign"})"));
  cluster.Create(Pod("p", "a"));
  cluster.Settle();
  CHECK(SelectedNode(cluster, "a") == "n1");
  CHECK(NodeOf(cluster, "p").empty());
  CHECK(cluster.plane().scheduler().binding() == 0);
  CHECK(cluster.WasTold("a",
                        "ExternalProvisioning: Waiting for a volume to be created either by the external "
                        "provisioner 'example.com/disks'"));

  SECTION("and starts when the volume comes") {
    Json volume = Volume("made", R"({"storageClassName":"foreign"})");
    volume["spec"]["claimRef"] = {
        {"namespace", "default"}, {"name", "a"}, {"uid", StringAt(cluster.TheClaim("a"), "metadata.uid")}};
    cluster.Create(std::move(volume));
    cluster.Settle();
    CHECK(cluster.VolumeOf("a") == "made");
    CHECK(cluster.PodPhase("p") == "Running");
  }
  SECTION("and is placed anew when the provisioner gives up on the node") {
    cluster.AddNode("n2");
    cluster.Update(cluster.Get(kNodes, "", "n1"), [](Json& n) { n["spec"]["unschedulable"] = true; });
    cluster.Update(cluster.Get(kPersistentVolumeClaims, "default", "a"),
                   [](Json& claim) { claim["metadata"]["annotations"].erase("volume.kubernetes.io/selected-node"); });
    cluster.Advance(std::chrono::seconds(30));
    CHECK(SelectedNode(cluster, "a") == "n2");
  }
  SECTION("and is placed anew when the node goes away") {
    cluster.AddNode("n2");
    cluster.Delete(kNodes, "", "n1");
    cluster.Advance(std::chrono::seconds(30));
    CHECK(SelectedNode(cluster, "a") == "n2");
  }
  SECTION("and may be deleted meanwhile") {
    cluster.Delete(kPods, "default", "p");
    cluster.Settle();
    CHECK(cluster.Get(kPods, "default", "p") == nullptr);
    CHECK(cluster.plane().scheduler().queue().size() == 0);
  }
  SECTION("and is told when it takes too long") {
    cluster.Advance(std::chrono::seconds(605));
    CHECK(cluster.WasTold("p",
                          "FailedScheduling: binding rejected: running PreBind plugin \"VolumeBinding\": binding "
                          "volumes: context deadline exceeded"));
  }
}

// One history of a cluster, from a seed: claims, pods, nodes and static volumes come in any order, then all goes again.
class History {
 public:
  History(Storage& cluster, uint64_t seed) : cluster_(cluster), state_(seed * 0x9E3779B97F4A7C15ull) {}

  void Run() {
    for (int i = 0; i < 12; ++i) Step();
    while (nodes_ < kMost) AddNode();
    while (claims_ < kUsed) cluster_.Create(Claim(Name("c", claims_++)));
    for (int i = 0; i < kUsed; ++i) cluster_.Create(LocalVolume(Name("x", i), Name("n", i % kMost)));
    cluster_.Advance(std::chrono::seconds(45));
    CheckPlaced();
    // Everything goes; what was made for it as well.
    for (const ObjectPtr& pod : cluster_.List(kPods, "default")) cluster_.Delete(kPods, "default", pod->name());
    for (int i = 0; i < claims_; ++i) cluster_.Delete(kPersistentVolumeClaims, "default", Name("c", i));
    cluster_.Advance(std::chrono::seconds(15));
    CHECK(cluster_.List(kPersistentVolumeClaims).empty());
    for (const ObjectPtr& volume : cluster_.List(kPersistentVolumes)) {
      CHECK_FALSE(volume->name().starts_with("pvc-"));
      cluster_.Delete(kPersistentVolumes, "", volume->name());
    }
    for (int i = 1; i < nodes_; ++i) cluster_.Delete(kNodes, "", Name("n", i));
    cluster_.Settle();
    CHECK(cluster_.List(kPersistentVolumes).empty());
  }
  int placed() const { return placed_; }

 private:
  static constexpr int kMost = 3, kUsed = 4;  // nodes, and claims that pods use
  static std::string Name(const char* prefix, int number) { return prefix + std::to_string(number); }
  uint64_t Random(uint64_t below) {
    state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
    return (state_ >> 33) % below;
  }
  void AddNode() { cluster_.AddNode(Name("n", nodes_++)); }
  void Step() {
    static constexpr const char* kClasses[] = {"wherry-local", "disks", "now"};
    switch (Random(5)) {
      case 0:
        if (nodes_ < kMost) AddNode();
        break;
      case 1: {
        Json claim = Claim(Name("c", claims_++));
        claim["spec"]["storageClassName"] = kClasses[Random(3)];
        cluster_.Create(std::move(claim));
        break;
      }
      case 2:
        cluster_.Create(LocalVolume(Name("d", disks_++), Name("n", static_cast<int>(Random(kMost))),
                                    Random(2) == 0 ? "1Gi" : "4Gi"));
        break;
      default:
        cluster_.Create(Pod(Name("p", pods_++), Name("c", static_cast<int>(Random(kUsed)))));
    }
    if (Random(3) == 0) cluster_.Settle();
  }
  // Every pod runs, where its volume is, and no volume serves two claims.
  void CheckPlaced() {
    for (const ObjectPtr& pod : cluster_.List(kPods, "default")) {
      const JsonPtr document = pod->json();
      INFO(document->dump());
      REQUIRE(StringAt(*document, "status.phase") == "Running");
      const std::string claim = StringAt(ListAt(*document, "spec.volumes")[0], "persistentVolumeClaim.claimName");
      const Json volume = cluster_.TheVolume(cluster_.VolumeOf(claim));
      REQUIRE(StringAt(volume, "spec.claimRef.name") == claim);
      REQUIRE(volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"][0] ==
              StringAt(*document, "spec.nodeName"));
      ++placed_;
    }
  }

  Storage& cluster_;
  uint64_t state_;
  int claims_ = 0, pods_ = 0, disks_ = 0, nodes_ = 1, placed_ = 0;
};

// A cluster lives through some histories, so that one seed costs little and what one leaves behind meets the next.
TEST_CASE("volume binding: pods are where their volumes are, from 1,000 seeds") {
  constexpr uint64_t kClusters = 40, kHistories = 25;
  int placed = 0;
  spdlog::set_level(spdlog::level::warn);
  for (uint64_t i = 0; i < kClusters; ++i) {
    Storage cluster;
    cluster.Create(Class("disks", kDisks));
    cluster.Create(Class("now"));
    cluster.AddNode("n0");
    for (uint64_t j = 1; j <= kHistories; ++j) {
      INFO("seed " << i * kHistories + j);
      History history(cluster, i * kHistories + j);
      history.Run();
      placed += history.placed();
    }
  }
  spdlog::set_level(spdlog::level::info);
  CHECK(placed > 3'000);
}

}  // namespace
}  // namespace wherry::storage_tests
