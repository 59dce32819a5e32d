#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <vector>

#include "core/scheduler/placement.h"
#include "core/scheduler/plugins/plugins.h"
#include "core/scheduler/snapshot.h"
#include "tests/core/scheduler/fixtures.h"

namespace wherry::testing {
namespace {

// The normalised score of each node of the snapshot, by name; empty when the plugin has no preference.
std::map<std::string, int64_t> Scores(const Plugin& plugin, const Json& pod, const Snapshot& snapshot) {
  const ObjectPtr object = Stored(pod);
  const PodDemand& info = object->view<PodDemand>();
  PreScore before;
  if (plugin.pre_score != nullptr) before = plugin.pre_score(info, ClusterView{snapshot});
  if (before.skip) return {};
  std::vector<int64_t> scores(snapshot.nodes().size());
  plugin.score(before.state.get(), info, snapshot.nodes(), scores);
  std::map<std::string, int64_t> by_name;
  for (size_t i = 0; i < scores.size(); ++i) by_name[snapshot.nodes()[i]->name] = scores[i];
  return by_name;
}

using Expected = std::map<std::string, int64_t>;

}  // namespace

TEST_CASE("Score: least allocated counts free shares of cpu and memory") {
  Snapshot snapshot;
  snapshot.PutNode(*Stored(NodeJson("empty")));
  snapshot.PutNode(*Stored(NodeJson("half")));
  snapshot.PutNode(*Stored(NodeJson("full")));
  snapshot.PutPod(Stored(BoundTo(PodAsking("a", "2", "4Gi"), "half")));
  snapshot.PutPod(Stored(BoundTo(PodAsking("b", "4", "8Gi"), "full")));
  // With the pod: 1/4 and 2/8 used, 3/4 and 6/8, more than there is.
  CHECK(Scores(plugins::kLeastAllocated, PodAsking("p", "1", "2Gi"), snapshot) ==
        Expected{{"empty", 75}, {"half", 25}, {"full", 0}});
  // Without requests a pod is taken to need 100m and 200Mi: 97.5 % of cpu and 97.56 % of memory stay free.
  CHECK(Scores(plugins::kLeastAllocated, PodJson("p"), snapshot).at("empty") == 97);
}

TEST_CASE("Score: balanced allocation prefers equal shares") {
  Snapshot snapshot;
  snapshot.PutNode(*Stored(NodeJson("even")));
  snapshot.PutNode(*Stored(NodeJson("cpu-heavy")));
  snapshot.PutPod(Stored(BoundTo(PodAsking("a", "3", "0"), "cpu-heavy")));
  // even: 1/4 and 1/4. cpu-heavy: 4/4 and 1/4, deviation 0.375.
  CHECK(Scores(plugins::kBalancedAllocation, PodAsking("p", "1", "2Gi"), snapshot) ==
        Expected{{"even", 100}, {"cpu-heavy", 62}});
  CHECK(Scores(plugins::kBalancedAllocation, PodJson("p"), snapshot).empty());
}

TEST_CASE("Score: preferred node affinity sums the weights of matching terms") {
  Snapshot snapshot;
  snapshot.PutNode(*Stored(NodeJson("both", {{"metadata", {{"labels", {{"zone", "a"}, {"disk", "ssd"}}}}}})));
  snapshot.PutNode(*Stored(NodeJson("zone", {{"metadata", {{"labels", {{"zone", "a"}}}}}})));
  snapshot.PutNode(*Stored(NodeJson("none")));
  auto term = [](int weight, const char* key, const char* value) {
    return Json{{"weight", weight},
                {"preference", {{"matchExpressions", {{{"key", key}, {"operator", "In"}, {"values", {value}}}}}}}};
  };
  const Json pod = PodJson("p", {{"spec",
                                  {{"affinity",
                                    {{"nodeAffinity",
                                      {{"preferredDuringSchedulingIgnoredDuringExecution",
                                        {term(30, "zone", "a"), term(70, "disk", "ssd")}}}}}}}}});
  CHECK(Scores(plugins::kNodeAffinity, pod, snapshot) == Expected{{"both", 100}, {"zone", 30}, {"none", 0}});
  CHECK(Scores(plugins::kNodeAffinity, PodJson("p"), snapshot).empty());
}

TEST_CASE("Score: PreferNoSchedule taints count against a node") {
  auto soft = [](std::vector<std::string> keys) {
    Json taints = Json::array();
    for (const std::string& key : keys) taints.push_back({{"key", key}, {"effect", "PreferNoSchedule"}});
    return Json{{"spec", {{"taints", taints}}}};
  };
  Snapshot snapshot;
  snapshot.PutNode(*Stored(NodeJson("clean")));
  snapshot.PutNode(*Stored(NodeJson("one", soft({"a"}))));
  snapshot.PutNode(*Stored(NodeJson("two", soft({"a", "b"}))));
  CHECK(Scores(plugins::kTaintToleration, PodJson("p"), snapshot) == Expected{{"clean", 100}, {"one", 50}, {"two", 0}});
  const Json tolerant = PodJson("p", {{"spec", {{"tolerations", {{{"key", "a"}, {"operator", "Exists"}}}}}}});
  CHECK(Scores(plugins::kTaintToleration, tolerant, snapshot) == Expected{{"clean", 100}, {"one", 100}, {"two", 0}});
}

TEST_CASE("Score: image locality prefers nodes that have large images, unless everybody does") {
  auto having = [](const std::string& name, int64_t bytes) {
    return Json{{"status", {{"images", {{{"names", {name}}, {"sizeBytes", bytes}}}}}}};
  };
  constexpr int64_t kMega = 1024 * 1024;
  Snapshot snapshot;
  snapshot.PutNode(*Stored(NodeJson("with", having("app:1", 1000 * kMega))));
  snapshot.PutNode(*Stored(NodeJson("without")));
  // Half of the nodes have it: 500 of 1000 megabytes, less the 23 that are not worth a thought.
  CHECK(Scores(plugins::kImageLocality, PodJson("p"), snapshot) == Expected{{"with", 48}, {"without", 0}});
  const Json other = PodJson("p", {{"spec", {{"containers", {{{"name", "c"}, {"image", "other"}}}}}}});
  CHECK(Scores(plugins::kImageLocality, other, snapshot).empty());
  snapshot.PutNode(*Stored(NodeJson("without", having("other:latest", 2000 * kMega))));
  CHECK(Scores(plugins::kImageLocality, other, snapshot) == Expected{{"with", 0}, {"without", 100}});
}

TEST_CASE("Score: the best total wins; ties are broken fairly, yet by seed") {
  Snapshot snapshot;
  for (const char* name : {"a", "b", "c", "d"}) snapshot.PutNode(*Stored(NodeJson(name)));
  snapshot.PutPod(Stored(BoundTo(PodAsking("busy", "2", "4Gi"), "d")));
  const Profile profile = DefaultProfile();
  const ObjectPtr pod = Stored(PodAsking("p", "1", "1Gi"));
  auto choices = [&](uint64_t seed) {
    Placer placer(seed);
    std::map<std::string, int> count;
    for (int i = 0; i < 3000; ++i) ++count[placer.Place(profile, pod->view<PodDemand>(), snapshot).node->name];
    return count;
  };
  const auto count = choices(7);
  CHECK(count.size() == 3);  // never the busy one
  for (const auto& [name, times] : count) {
    INFO(name);
    CHECK(times > 900);
    CHECK(times < 1100);
  }
  CHECK(choices(7) == count);
  CHECK(choices(8) != count);
}

TEST_CASE("What a template's labels rule out is ruled out until a node changes") {
  Snapshot snapshot;
  auto node = [&](int i, const char* zone, bool cordoned = false) {
    Json document = NodeJson("n" + std::to_string(i), {{"metadata", {{"labels", {{"zone", zone}}}}}});
    if (cordoned) document["spec"]["unschedulable"] = true;
    snapshot.PutNode(*Stored(document));
  };
  for (int i = 0; i < 200; ++i) node(i, i % 20 == 0 ? "a" : "b");
  const Profile profile = DefaultProfile();
  Placer placer(3);
  // Where twenty pods of the template go, as they come one after another: the nodes, sorted.
  int made = 0;
  auto twenty = [&] {
    std::set<std::string> used;
    for (int i = 0; i < 20; ++i) {
      Json document = PodAsking("p" + std::to_string(made++), "100m", "1Mi");
      document["spec"]["nodeSelector"] = {{"zone", "a"}};
      const ObjectPtr pod = Stored(document);
      const Placement placement = placer.Place(profile, pod->view<PodDemand>(), snapshot);
      REQUIRE(placement.node != nullptr);
      snapshot.Assume(pod, placement.node->name);
      used.insert(placement.node->name);
    }
    return used;
  };
  std::set<std::string> zone;
  for (int i = 0; i < 200; i += 20) zone.insert("n" + std::to_string(i));
  CHECK(twenty() == zone);
  CHECK(twenty() == zone);
  node(7, "a");  // it is empty: it comes next
  zone.insert("n7");
  CHECK(twenty().contains("n7"));
  CHECK(twenty() == zone);
  node(0, "b");
  node(20, "a", true);
  zone.erase("n0");
  zone.erase("n20");
  CHECK(twenty() == zone);
  // When nobody is left the reasons are those of all nodes.
  for (int i = 0; i < 200; ++i) node(i, "b");
  Json document = PodAsking("last", "100m", "1Mi");
  document["spec"]["nodeSelector"] = {{"zone", "a"}};
  const Placement refused = placer.Place(profile, Stored(document)->view<PodDemand>(), snapshot);
  CHECK(refused.node == nullptr);
  CHECK(refused.diagnosis.Message().find("200 node(s) didn't match Pod's node affinity/selector") != std::string::npos);
}

TEST_CASE("Other resources' events leave alone what was prepared for pods they do not concern") {
  Snapshot snapshot;
  for (const char* name : {"a", "b"}) snapshot.PutNode(*Stored(NodeJson(name)));
  const Profile profile = DefaultProfile();
  Placer placer(1);
  const ClusterView cluster{snapshot};
  const ObjectPtr plain = Stored(PodAsking("p", "1", "1Gi"));
  const PreparedPod* prepared = &placer.Prepare(profile, plain->view<PodDemand>(), cluster);
  for (const ResourceWatch& watch : plugins::kVolumeBinding.watches) placer.DropPrepared(watch);
  // Another one comes to where the dropped one would have been.
  placer.Prepare(profile, Stored(PodAsking("q", "2", "1Gi"))->view<PodDemand>(), cluster);
  CHECK(&placer.Prepare(profile, plain->view<PodDemand>(), cluster) == prepared);
}

TEST_CASE("The search of a large cluster ends early and goes round") {
  CHECK(Placer::EnoughOf(3) == 3);
  CHECK(Placer::EnoughOf(100) == 100);
  CHECK(Placer::EnoughOf(150) == 100);
  CHECK(Placer::EnoughOf(1000) == 420);
  CHECK(Placer::EnoughOf(5000) == 500);
  CHECK(Placer::EnoughOf(10000) == 500);

  Snapshot snapshot;
  for (int i = 0; i < 400; ++i) snapshot.PutNode(*Stored(NodeJson("n" + std::to_string(i))));
  const Profile profile = DefaultProfile();
  Placer placer(1);
  std::map<std::string, int> count;
  for (int i = 0; i < 400; ++i) {
    const ObjectPtr pod = Stored(PodAsking("p" + std::to_string(i), "1", "1Gi"));
    const Placement placement = placer.Place(profile, pod->view<PodDemand>(), snapshot);
    REQUIRE(placement.node != nullptr);
    ++count[placement.node->name];
    snapshot.Assume(pod, placement.node->name);
  }
  CHECK(count.size() > 380);  // nearly one each, though no search saw all nodes
}

}  // namespace wherry::testing
