#include <catch2/catch.hpp>
#include <map>
#include <vector>

#include "core/scheduler/placement.h"
#include "core/scheduler/plugins/plugins.h"
#include "tests/core/scheduler/fixtures.h"

// The rules that look beyond one node: inter-pod affinity and topology spread. The cluster of most rows: nodes a1 and
// a2 of zone a, b1 of zone b, and "bare" without a zone.
namespace wherry::testing {
namespace {

struct Cluster {
  Cluster() : cache(bus, 16) {
    for (const auto& [name, zone] : {std::pair{"a1", "a"}, {"a2", "a"}, {"b1", "b"}}) {
      snapshot.PutNode(*Stored(NodeJson(name, {{"metadata", {{"labels", {{"zone", zone}}}}}})));
    }
    snapshot.PutNode(*Stored(NodeJson("bare")));
  }
  void Add(const std::string& node, Json labels, const Json& patch = Json::object()) {
    Json pod = PodJson("there-" + std::to_string(number++), {{"metadata", {{"labels", labels}}}});
    pod.merge_patch(patch);
    snapshot.PutPod(Stored(BoundTo(pod, node)));
  }
  void Namespace(const std::string& name, Json labels) {
    cache.Load(Stored({{"kind", "Namespace"}, {"metadata", {{"name", name}, {"uid", name}, {"labels", labels}}}}));
  }
  ClusterView view() const { return {snapshot, &cache}; }

  // The nodes that refuse the pod, with why: "!" in front when evictions could not help.
  std::map<std::string, std::string> Refusals(const Json& pod) {
    const ObjectPtr object = Stored(pod);
    const PodDemand& info = object->view<PodDemand>();
    const Profile profile = DefaultProfile();
    PreparedPod prepared(profile, info, view());
    std::map<std::string, std::string> refusals;
    for (const NodeInfo* node : snapshot.nodes()) {
      Refusal refusal;
      FilterMask refused_by = 0;
      if (prepared.Fits(info, *node, refusal, refused_by)) continue;
      refusals[node->name] = (refusal.resolvable() ? "" : "!") + std::string(refusal.reasons()[0]);
    }
    return refusals;
  }
  std::map<std::string, int64_t> Scores(const Plugin& plugin, const Json& pod) {
    const ObjectPtr object = Stored(pod);
    const PodDemand& info = object->view<PodDemand>();
    const PreScore before = plugin.pre_score(info, view());
    if (before.skip) return {};
    std::vector<int64_t> scores(snapshot.nodes().size());
    plugin.score(before.state.get(), info, snapshot.nodes(), scores);
    std::map<std::string, int64_t> by_name;
    for (size_t i = 0; i < scores.size(); ++i) by_name[snapshot.nodes()[i]->name] = scores[i];
    return by_name;
  }

  Snapshot snapshot;
  EventBus bus;
  WatchCache cache;
  int number = 0;
};

using Refused = std::map<std::string, std::string>;
using Scored = std::map<std::string, int64_t>;

const std::string kNear = "!node(s) didn't match pod affinity rules";
const std::string kFar = "node(s) didn't match pod anti-affinity rules";
const std::string kTheirs = "node(s) didn't satisfy existing pods anti-affinity rules";
const std::string kUneven = "node(s) didn't match pod topology spread constraints";
const std::string kNoLabel = "!node(s) didn't match pod topology spread constraints (missing required label)";

Json Term(Json labels, const std::string& key, const Json& patch = Json::object()) {
  Json term = {{"labelSelector", {{"matchLabels", labels}}}, {"topologyKey", key}};
  term.merge_patch(patch);
  return term;
}
Json Requires(const char* sort, Json terms) {
  return {{"spec", {{"affinity", {{sort, {{"requiredDuringSchedulingIgnoredDuringExecution", terms}}}}}}}};
}
Json Prefers(const char* sort, Json term, int weight) {
  return {{"spec",
           {{"affinity",
             {{sort,
               {{"preferredDuringSchedulingIgnoredDuringExecution",
                 {{{"weight", weight}, {"podAffinityTerm", term}}}}}}}}}}};
}
Json Pod(Json labels, const Json& patch) {
  Json pod = PodJson("p", {{"metadata", {{"labels", labels}}}});
  pod.merge_patch(patch);
  return pod;
}
Json Spreads(Json constraint) {
  Json full = {{"maxSkew", 1},
               {"topologyKey", "zone"},
               {"whenUnsatisfiable", "DoNotSchedule"},
               {"labelSelector", {{"matchLabels", {{"app", "web"}}}}}};
  full.merge_patch(constraint);
  return {{"spec", {{"topologySpreadConstraints", {full}}}}};
}

const Json kWeb = {{"app", "web"}};
const Json kDb = {{"app", "db"}};

}  // namespace

TEST_CASE("Filter: required pod affinity") {
  Cluster c;
  c.Add("a1", kDb);
  const auto near = [](Json terms) { return Requires("podAffinity", std::move(terms)); };
  // The same zone will do; a node without the key never does.
  CHECK(c.Refusals(Pod(kWeb, near({Term(kDb, "zone")}))) == Refused{{"b1", kNear}, {"bare", kNear}});
  CHECK(c.Refusals(Pod(kWeb, near({Term(kDb, "kubernetes.io/hostname")}))) ==
        Refused{{"a2", kNear}, {"b1", kNear}, {"bare", kNear}});
  // One pod must match all terms.
  c.Add("b1", {{"app", "db"}, {"tier", "x"}});
  CHECK(c.Refusals(Pod(kWeb, near({Term(kDb, "zone"), Term({{"tier", "x"}}, "zone")}))) ==
        Refused{{"a1", kNear}, {"a2", kNear}, {"bare", kNear}});
  // The first of a group that wants itself may go anywhere with the key; not so when it wants others, or is no longer
  // the first.
  CHECK(c.Refusals(Pod(kWeb, near({Term(kWeb, "zone")}))) == Refused{{"bare", kNear}});
  CHECK(c.Refusals(Pod(kWeb, near({Term({{"app", "none"}}, "zone")}))).size() == 4);
  c.Add("b1", kWeb);
  CHECK(c.Refusals(Pod(kWeb, near({Term(kWeb, "zone")}))) == Refused{{"a1", kNear}, {"a2", kNear}, {"bare", kNear}});
}

TEST_CASE("Filter: required pod anti-affinity works both ways") {
  Cluster c;
  c.Add("a1", kDb);
  c.Add("b1", kWeb, Requires("podAntiAffinity", {Term({{"app", "api"}}, "kubernetes.io/hostname")}));
  const Json far = Requires("podAntiAffinity", {Term(kDb, "zone")});
  CHECK(c.Refusals(Pod(kWeb, far)) ==
        Refused{{"a1", kFar}, {"a2", kFar}});  // without the key there is no zone to share
  CHECK(c.Refusals(Pod({{"app", "api"}}, Json::object())) == Refused{{"b1", kTheirs}});
  CHECK(c.Refusals(Pod({{"app", "api"}}, far)) == Refused{{"a1", kFar}, {"a2", kFar}, {"b1", kTheirs}});
  CHECK(c.Refusals(Pod({{"app", "other"}}, Json::object())).empty());
}

TEST_CASE("Filter: namespaces of pod affinity terms") {
  Cluster c;
  c.Namespace("default", Json::object());
  c.Namespace("other", {{"team", "blue"}});
  c.Add("a1", kDb, {{"metadata", {{"namespace", "other"}}}});
  auto refused = [&](const Json& patch) {
    return c.Refusals(Pod(kWeb, Requires("podAntiAffinity", {Term(kDb, "kubernetes.io/hostname", patch)})));
  };
  CHECK(refused(Json::object()).empty());  // its own namespace alone
  CHECK(refused({{"namespaces", {"other"}}}) == Refused{{"a1", kFar}});
  CHECK(refused({{"namespaces", {"default"}}}).empty());
  CHECK(refused({{"namespaceSelector", {{"matchLabels", {{"team", "blue"}}}}}}) == Refused{{"a1", kFar}});
  CHECK(refused({{"namespaceSelector", {{"matchLabels", {{"team", "red"}}}}}}).empty());
  CHECK(refused({{"namespaceSelector", Json::object()}}) == Refused{{"a1", kFar}});
  CHECK(refused({{"namespaceSelector", {{"matchLabels", {{"team", "red"}}}}}, {"namespaces", {"other"}}}) ==
        Refused{{"a1", kFar}});
}

TEST_CASE("Filter: matchLabelKeys and mismatchLabelKeys of pod affinity terms") {
  Cluster c;
  c.Add("a1", {{"app", "web"}, {"hash", "old"}});
  const Json mine = {{"app", "web"}, {"hash", "new"}};
  auto refused = [&](const Json& patch) {
    return c.Refusals(Pod(mine, Requires("podAntiAffinity", {Term(kWeb, "kubernetes.io/hostname", patch)})));
  };
  CHECK(refused(Json::object()) == Refused{{"a1", kFar}});
  CHECK(refused({{"matchLabelKeys", {"hash"}}}).empty());
  CHECK(refused({{"mismatchLabelKeys", {"hash"}}}) == Refused{{"a1", kFar}});
  CHECK(refused({{"matchLabelKeys", {"absent"}}}) == Refused{{"a1", kFar}});
}

TEST_CASE("Score: preferred pod affinity, one's own and that of others") {
  Cluster c;
  c.Add("a1", kDb);
  const Plugin& plugin = plugins::kInterPodAffinity;
  CHECK(c.Scores(plugin, Pod(kWeb, Prefers("podAffinity", Term(kDb, "zone"), 7))) ==
        Scored{{"a1", 100}, {"a2", 100}, {"b1", 0}, {"bare", 0}});
  CHECK(c.Scores(plugin, Pod(kWeb, Prefers("podAntiAffinity", Term(kDb, "zone"), 7))) ==
        Scored{{"a1", 0}, {"a2", 0}, {"b1", 100}, {"bare", 100}});
  // Existing pods: one would like web pods on its node, one must be with them in its zone (worth 1).
  c.Add("b1", kDb, Prefers("podAffinity", Term(kWeb, "kubernetes.io/hostname"), 4));
  c.Add("a1", kDb, Requires("podAffinity", {Term(kWeb, "zone")}));
  CHECK(c.Scores(plugin, Pod(kWeb, Json::object())) == Scored{{"a1", 25}, {"a2", 25}, {"b1", 100}, {"bare", 0}});
  CHECK(c.Scores(plugin, Pod({{"app", "x"}}, Json::object())) == Scored{{"a1", 0}, {"a2", 0}, {"b1", 0}, {"bare", 0}});
}

TEST_CASE("Filter: topology spread") {
  Cluster c;
  c.Add("a1", kWeb);
  const Refused in_a = {{"a1", kUneven}, {"a2", kUneven}, {"bare", kNoLabel}};
  CHECK(c.Refusals(Pod(kWeb, Spreads(Json::object()))) == in_a);
  CHECK(c.Refusals(Pod(kWeb, Spreads({{"maxSkew", 2}}))) == Refused{{"bare", kNoLabel}});
  // Pods that the selector does not name do not count, nor do those of other namespaces and those on their way out.
  CHECK(c.Refusals(Pod(kDb, Spreads({{"labelSelector", {{"matchLabels", {{"app", "db"}}}}}}))) ==
        Refused{{"bare", kNoLabel}});
  c.Add("b1", kWeb, {{"metadata", {{"namespace", "other"}}}});
  c.Add("b1", kWeb, {{"metadata", {{"deletionTimestamp", "2026-01-01T00:00:00Z"}}}});
  CHECK(c.Refusals(Pod(kWeb, Spreads(Json::object()))) == in_a);
  // A pod that does not count itself may come where the skew is just reached.
  CHECK(c.Refusals(Pod(kDb, Spreads(Json::object()))) == Refused{{"bare", kNoLabel}});
  c.Add("b1", kWeb);
  CHECK(c.Refusals(Pod(kWeb, Spreads(Json::object()))) == Refused{{"bare", kNoLabel}});
}

TEST_CASE("Filter: minDomains counts absent domains as empty ones") {
  Cluster c;
  c.Add("a1", kWeb);
  c.Add("b1", kWeb);
  CHECK(c.Refusals(Pod(kWeb, Spreads({{"minDomains", 2}}))) == Refused{{"bare", kNoLabel}});
  CHECK(c.Refusals(Pod(kWeb, Spreads({{"minDomains", 3}}))) ==
        Refused{{"a1", kUneven}, {"a2", kUneven}, {"b1", kUneven}, {"bare", kNoLabel}});
}

TEST_CASE("Filter: which nodes a spread counts") {
  Cluster c;
  c.Add("a1", kWeb);
  // b1, the empty zone, is out of the pod's reach: by its selector, then by a taint.
  Json selecting = Spreads(Json::object());
  selecting["spec"]["nodeSelector"] = {{"zone", "a"}};
  const std::string elsewhere = "!node(s) didn't match Pod's node affinity/selector";
  CHECK(c.Refusals(Pod(kWeb, selecting)) == Refused{{"b1", elsewhere}, {"bare", elsewhere}});
  selecting["spec"]["topologySpreadConstraints"][0]["nodeAffinityPolicy"] = "Ignore";
  CHECK(c.Refusals(Pod(kWeb, selecting)) ==
        Refused{{"a1", kUneven}, {"a2", kUneven}, {"b1", elsewhere}, {"bare", elsewhere}});

  c.snapshot.PutNode(*Stored(NodeJson("b1", {{"metadata", {{"labels", {{"zone", "b"}}}}},
                                             {"spec", {{"taints", {{{"key", "k"}, {"effect", "NoSchedule"}}}}}}})));
  const std::string tainted = "!node(s) had untolerated taint {k: }";
  CHECK(c.Refusals(Pod(kWeb, Spreads(Json::object()))) ==
        Refused{{"a1", kUneven}, {"a2", kUneven}, {"b1", tainted}, {"bare", kNoLabel}});
  CHECK(c.Refusals(Pod(kWeb, Spreads({{"nodeTaintsPolicy", "Honor"}}))) ==
        Refused{{"b1", tainted}, {"bare", kNoLabel}});
}

TEST_CASE("Filter: matchLabelKeys of a spread sets revisions apart") {
  Cluster c;
  c.Add("a1", {{"app", "web"}, {"hash", "old"}});
  const Json mine = {{"app", "web"}, {"hash", "new"}};
  CHECK(c.Refusals(Pod(mine, Spreads(Json::object()))).size() == 3);
  CHECK(c.Refusals(Pod(mine, Spreads({{"matchLabelKeys", {"hash"}}}))) == Refused{{"bare", kNoLabel}});
}

TEST_CASE("Score: soft spread constraints prefer the emptier domain") {
  Cluster c;
  c.Add("a1", kWeb);
  c.Add("a2", kWeb);
  const Plugin& plugin = plugins::kPodTopologySpread;
  // Two zones among the nodes: weight ln 4. Zone a: 2 × 1.386, rounded 3; b: 0; a node without the label gets nothing.
  CHECK(c.Scores(plugin, Pod(kWeb, Spreads({{"whenUnsatisfiable", "ScheduleAnyway"}}))) ==
        Scored{{"a1", 0}, {"a2", 0}, {"b1", 100}, {"bare", 0}});
  CHECK(c.Scores(plugin, Pod(kWeb, Spreads(Json::object()))).empty());
}

TEST_CASE("Score: pods of a Service and of a ReplicaSet are kept apart by default") {
  Cluster c;
  const Plugin& plugin = plugins::kPodTopologySpread;
  c.Add("a1", kWeb);
  CHECK(c.Scores(plugin, Pod(kWeb, Json::object())).empty());  // nobody says that they belong together
  SECTION("by a Service") {
    c.cache.Load(Stored({{"kind", "Service"},
                         {"metadata", {{"name", "s"}, {"namespace", "default"}, {"uid", "s"}}},
                         {"spec", {{"selector", kWeb}}}}));
    CHECK(c.Scores(plugin, Pod(kDb, Json::object())).empty());
  }
  SECTION("by the ReplicaSet that made them") {
    c.cache.Load(Stored({{"kind", "ReplicaSet"},
                         {"metadata", {{"name", "r"}, {"namespace", "default"}, {"uid", "r1"}}},
                         {"spec", {{"selector", {{"matchLabels", kWeb}}}}}}));
  }
  const Json owned = {
      {"metadata",
       {{"ownerReferences", {{{"kind", "ReplicaSet"}, {"name", "r"}, {"uid", "r1"}, {"controller", true}}}}}}};
  const Scored scores = c.Scores(plugin, Pod(kWeb, owned));
  REQUIRE(scores.size() == 4);
  CHECK(scores.at("a1") < scores.at("a2"));
  CHECK(scores.at("b1") == scores.at("a2"));  // hosts only: the nodes have no topology.kubernetes.io/zone
  CHECK(c.Scores(plugin, Pod(kWeb, Spreads(Json::object()))).empty());  // it has constraints of its own
}

TEST_CASE("Pods of one template share what was prepared, and it follows what happens") {
  Cluster c;
  const Profile profile = DefaultProfile();
  Placer placer(1);
  const Json far = Requires("podAntiAffinity", {Term(kWeb, "kubernetes.io/hostname")});
  std::map<std::string, int> places;
  for (int i = 0; i < 4; ++i) {
    Json pod = Pod(kWeb, far);
    pod["metadata"]["uid"] = "uid-" + std::to_string(i);
    const ObjectPtr object = Stored(pod);
    const Placement placement = placer.Place(profile, object->view<PodDemand>(), c.view());
    REQUIRE(placement.node != nullptr);
    ++places[placement.node->name];
    c.snapshot.Assume(object, placement.node->name);
  }
  CHECK(places.size() == 4);
  const ObjectPtr fifth = Stored(Pod(kWeb, far));
  Placement placement = placer.Place(profile, fifth->view<PodDemand>(), c.view());
  REQUIRE(placement.node == nullptr);
  CHECK(placement.diagnosis.Message().starts_with(
      "0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules. preemption: 0/4"));
  c.snapshot.Forget("uid-2");
  CHECK(placer.Place(profile, fifth->view<PodDemand>(), c.view()).node != nullptr);
}

}  // namespace wherry::testing
