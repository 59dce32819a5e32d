// The planner's side of the StatefulSet contract (docs/statefulset.md), by table.
#include "core/controllers/statefulset/statefulset_plan.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/controllers/statefulset/claim_owners.h"
#include "tests/core/controllers/statefulset/stateful_world.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

struct Row {
  const char* what;
  int64_t replicas;
  const char* pods;
  const char* acts;
};

void Check(const Row& row, const std::function<void(StatefulSetView&)>& change = {}) {
  CAPTURE(row.what, row.pods);
  StatefulWorld world;
  world.set.replicas = row.replicas;
  if (change) change(world.set);
  world.Pods(row.pods);
  CHECK(world.Acts() == row.acts);
}

}  // namespace

TEST_CASE("OrderedReady: creates upward, each once its predecessors are available") {
  const Row rows[] = {
      {"the first comes alone", 3, "", "+0new"},
      {"the next waits for it", 3, "n", ""},
      {"and comes when it is ready", 3, "N", "+1new"},
      {"a gap is filled before anything else", 3, "N.N", "+1new"},
      {"a gap waits for what is below", 3, "n.N", ""},
      {"all there", 3, "NNN", ""},
      {"a terminating pod is waited for", 3, "t", ""},
      {"a terminating one above does not hold up one below", 3, "N.t", "+1new"},
      {"none wanted", 0, "", ""},
  };
  for (const Row& row : rows) Check(row);
}

TEST_CASE("OrderedReady: minReadySeconds is part of being available") {
  StatefulWorld world;
  world.set.min_ready = 10s;
  world.Ready(0, "new", 995);
  StatefulSetPlan plan = world.Plan();
  CHECK(world.Acts(plan) == "");
  CHECK(plan.requeue_after == 5s);
  CHECK(plan.waits_for == "web-0: it has not been ready for minReadySeconds yet");
  world.now += 5s;
  CHECK(world.Acts() == "+1new");
}

TEST_CASE("OrderedReady: deletes downward, one by one, while the rest is available") {
  const Row rows[] = {
      {"the highest goes first", 1, "NNN", "-2"},
      {"the next waits until it is gone", 1, "NNt", ""},
      {"then it goes", 1, "NN", "-1"},
      {"not while one that stays is not available", 1, "nNN", ""},
      {"one that is not available goes all the same", 1, "NNn", "-2"},
      {"to zero, whatever state they are in", 0, "nxN", "-2"},
      {"to zero, down to the last broken one", 0, "x", "-0"},
      {"a failed one outside the range is not made again", 1, "NF", "-1"},
  };
  for (const Row& row : rows) Check(row);
}

TEST_CASE("Parallel: creates and deletes wait for nobody") {
  const Row rows[] = {
      {"all at once", 3, "", "+0new +1new +2new"},
      {"around one that is not ready", 3, "n", "+1new +2new"},
      {"but not over a terminating one", 3, ".t.", "+0new +2new"},
      {"all that are too many at once, highest first", 1, "nNxN", "-3 -2 -1"},
  };
  for (const Row& row : rows) Check(row, [](StatefulSetView& set) { set.parallel = true; });
}

TEST_CASE("ordinals.start: moves the range") {
  auto from_five = [](StatefulSetView& set) { set.start = 5; };
  Check({"new ones from there", 2, "", "+5new"}, from_five);
  Check({"complete", 2, "NN", ""}, from_five);
  StatefulWorld world;
  world.set.replicas = 2;
  world.Pods("NN");
  world.set.start = 5;
  CHECK(world.Acts() == "+5new");  // those below go when the range is filled
  world.Ready(5);
  world.Ready(6);
  CHECK(world.Acts() == "-1");
}

TEST_CASE("Failed pods: replaced like succeeded ones, with back-off and an event") {
  StatefulWorld world;
  world.set.replicas = 2;
  world.Pods("NF");
  StatefulSetPlan plan = world.Plan();
  CHECK(world.Acts(plan) == "-1");
  CHECK(plan.raise_backoff == std::vector<int64_t>{1});
  REQUIRE(plan.notices.size() == 1);
  CHECK(plan.notices[0].type == "Warning");
  CHECK(plan.notices[0].reason == "RecreatingFailedPod");
  CHECK(plan.notices[0].message == "StatefulSet default/web is recreating failed Pod web-1");
  const std::string key = FailedPodBackoff::Key("set-uid", 1, "1");
  for (const int64_t seconds : {1, 2, 4, 8}) {
    world.backoff.Raise(key, world.now);
    plan = world.Plan();
    CHECK(world.Acts(plan) == "");
    CHECK(plan.requeue_after == std::chrono::seconds(seconds));
    CHECK(plan.waits_for == "web-1: the pod has failed: Evicted");
    world.now += std::chrono::seconds(seconds);
    CHECK(world.Acts() == "-1");
  }
  StatefulWorld other;
  other.Pods("S");
  plan = other.Plan();
  CHECK(other.Acts(plan) == "-0");
  REQUIRE(plan.notices.size() == 1);
  CHECK(plan.notices[0].reason == "RecreatingTerminatedPod");
  CHECK(plan.notices[0].message == "StatefulSet default/web is recreating terminated Pod web-0");
}

TEST_CASE("RollingUpdate: one at a time from the highest ordinal") {
  const Row rows[] = {
      {"the highest first", 3, "OOO", "-2"},
      {"its successor is awaited", 3, "OOt", ""},
      {"made of the new template", 3, "OO", "+2new"},
      {"and awaited", 3, "OOn", ""},
      {"then the next", 3, "OON", "-1"},
      {"to the last", 3, "ONN", "-0"},
      {"done", 3, "NNN", ""},
      {"not while one is down that may recover", 3, "oOO", ""},
      {"not while scaling down", 2, "OOO", "-2"},
      {"nor while that goes on", 2, "OOt", ""},
  };
  for (const Row& row : rows) Check(row);
  const Row parallel[] = {
      {"the highest first", 3, "OOO", "-2"},
      {"its successor is awaited", 3, "OOn", ""},
      {"and one that is down elsewhere", 3, "oOO", ""},
      {"scaling down holds nothing up", 2, "OOO", "-2 -1"},
  };
  for (const Row& row : parallel) Check(row, [](StatefulSetView& set) { set.parallel = true; });
}

TEST_CASE("partition: keeps the ordinals below it at the current revision") {
  auto partition = [](int64_t at) { return [at](StatefulSetView& set) { set.partition = at; }; };
  Check({"only those from there on", 3, "OOO", "-2"}, partition(2));
  Check({"done", 3, "OON", ""}, partition(2));
  Check({"those below come back as they were", 3, "O.N", "+1old"}, partition(2));
  Check({"those from there on as they shall be", 3, "OO", "+2new"}, partition(2));
  Check({"beyond the range nothing is updated", 3, "OOO", ""}, partition(7));
  Check({"and growing keeps to the current revision", 3, "OO", "+2old"}, partition(7));
  Check({"counted from ordinals.start", 3, "O.O", "+6old"}, [](StatefulSetView& set) {
    set.start = 5;
    set.partition = 2;
  });
  Check({"a broken one below the partition is not touched", 3, "xOO", ""}, partition(1));
}

TEST_CASE("maxUnavailable: lets several go at once") {
  struct Case {
    const char* what;
    IntOrPercent most;
    int64_t replicas;
    const char *pods, *acts;
  };
  const Case cases[] = {
      {"two of five", {2, false}, 5, "OOOOO", "-4 -3"},
      {"a percentage is rounded up", {30, true}, 5, "OOOOO", "-4 -3"},
      {"a small percentage is one", {1, true}, 5, "OOOOO", "-4"},
      {"zero is one", {0, false}, 5, "OOOOO", "-4"},
      {"those that are down count", {2, false}, 5, "OOOOn", "-3"},
      {"wherever they are", {2, false}, 5, "oOOOO", "-4"},
      {"more than there are", {9, false}, 3, "OOO", "-2 -1 -0"},
  };
  for (const Case& c : cases) {
    Check({c.what, c.replicas, c.pods, c.acts}, [&](StatefulSetView& set) {
      set.max_unavailable = c.most;
      set.parallel = true;
    });
  }
  // In order, the next lot waits until this one is back, as upstream.
  auto ordered = [](StatefulSetView& set) { set.max_unavailable = {2, false}; };
  Check({"two at once", 5, "OOOOO", "-4 -3"}, ordered);
  Check({"the lower comes back first", 5, "OOO", "+3new"}, ordered);
  Check({"no third meanwhile", 5, "OOON", "+4new"}, ordered);
  Check({"nor now", 5, "OOONn", ""}, ordered);
}

TEST_CASE("OnDelete: replaced when somebody deletes them, by the new template") {
  auto on_delete = [](StatefulSetView& set) { set.on_delete = true; };
  Check({"left alone", 3, "OOO", ""}, on_delete);
  Check({"made anew", 3, "O.O", "+1new"}, on_delete);
  Check({"even a broken one", 3, "Ox", ""}, on_delete);
}

TEST_CASE("Broken rollout: a good template repairs it") {
  const Row rows[] = {
      {"one that never came up is replaced", 3, "OOx", "-2"},
      {"then made of the good template", 3, "OO", "+2new"},
      {"also the very first", 3, "x", "-0"},
      {"one by one, the highest first", 3, "xxx", "-2"},
      {"next when that is gone", 3, "xxt", ""},
      {"and so on", 3, "xx", "-1"},
      {"one of the new template is waited for", 3, "OOn", ""},
      {"one that is only busy goes when it is next and alone", 3, "OOb", "-2"},
      {"next means that all above are new", 3, "OoN", "-1"},
      {"one that is only busy is waited for out of order", 3, "oOO", ""},
      {"and when another is down too", 3, "nOb", ""},
      {"a stuck one goes even then", 3, "nOx", "-2"},
  };
  for (const Row& row : rows) Check(row);
  const Row parallel[] = {
      {"all that are stuck", 3, "xxx", "-2 -1 -0"},
      {"they use up the budget", 3, "Oxx", "-2 -1"},
      {"a stuck one below too", 3, "xOn", "-0"},
  };
  for (const Row& row : parallel) Check(row, [](StatefulSetView& set) { set.parallel = true; });
}

TEST_CASE("No pod takes a claim that is leaving with its predecessor") {
  StatefulWorld world;
  world.claim_leaving = 1;
  world.Pods("N");
  const StatefulSetPlan plan = world.Plan();
  CHECK(world.Acts(plan) == "");
  CHECK(plan.waits_for == "web-1: a claim of its predecessor is still being deleted");
  world.claim_leaving = 2;
  CHECK(world.Acts() == "+1new");
}

TEST_CASE("Identity: the labels are put back") {
  StatefulWorld world;
  world.Ready(0).stateful.pod_index_label.clear();
  world.Ready(1).stateful.pod_name_label = "other";
  world.Ready(2);
  CHECK(world.Plan().relabel == std::vector<std::string>{"web-0", "web-1"});
}

TEST_CASE("A huge set is taken in bursts") {
  StatefulWorld world;
  world.set.parallel = true;
  world.set.replicas = 2'000'000'000;
  const StatefulSetPlan plan = world.Plan();
  CHECK(plan.creates.size() == kStatefulSetBurst);
  CHECK(plan.requeue_after > 0s);
}

TEST_CASE("Status counts pods by readiness and revision") {
  struct Case {
    const char* pods;
    StatefulSetStatus status;
  };
  const Case cases[] = {
      {"", {0, 0, 0, 0, 0, "old", "new"}},     {"OOO", {3, 3, 3, 3, 0, "old", "new"}},
      {"OoN", {3, 2, 2, 2, 1, "old", "new"}},  {"Ont", {3, 1, 1, 1, 1, "old", "new"}},
      {"NNn", {3, 2, 2, 0, 3, "old", "new"}},  {"NNN", {3, 3, 3, 3, 3, "new", "new"}},
      {"NNNN", {4, 4, 4, 0, 4, "old", "new"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.pods);
    StatefulWorld world;
    world.Pods(c.pods);
    CHECK(ObserveStatefulSet(world.Inputs()) == c.status);
  }
  StatefulWorld world;
  world.set.min_ready = 500s;
  world.Pods("NNN");
  const StatefulSetStatus status = ObserveStatefulSet(world.Inputs());
  CHECK(status.ready == 3);
  CHECK(status.available == 0);
}

TEST_CASE("The status document is upstream's, and says what it waits for") {
  const StatefulSetStatus status{3, 2, 1, 2, 1, "web-a", "web-b"};
  Json made = StatusDocument(status, "", nullptr, 4, StatefulWorld::At(1000));
  CHECK(made == Json({{"replicas", 3},
                      {"readyReplicas", 2},
                      {"availableReplicas", 1},
                      {"currentReplicas", 2},
                      {"updatedReplicas", 1},
                      {"currentRevision", "web-a"},
                      {"updateRevision", "web-b"},
                      {"collisionCount", 0},
                      {"observedGeneration", 4}}));
  made["collisionCount"] = 2;
  const Json waits = StatusDocument(status, "web-1: it is new", &made, 4, StatefulWorld::At(1000));
  CHECK(waits["collisionCount"] == 2);
  CHECK(waits["conditions"] == Json::array({{{"type", "wherry.dev/Waiting"},
                                             {"status", "True"},
                                             {"reason", "PodNotAvailable"},
                                             {"message", "web-1: it is new"},
                                             {"lastTransitionTime", "1970-01-01T00:16:40Z"}}}));
  const Json still = StatusDocument(status, "web-2: it is new", &waits, 4, StatefulWorld::At(2000));
  CHECK(still["conditions"][0]["lastTransitionTime"] == "1970-01-01T00:16:40Z");
  const Json done = StatusDocument(status, "", &still, 4, StatefulWorld::At(2000));
  CHECK(done["conditions"][0]["status"] == "False");
  CHECK(done["conditions"][0]["lastTransitionTime"] == "1970-01-01T00:33:20Z");
}

TEST_CASE("Which pods are a set's") {
  StatefulSetView set;
  set.name = "web";
  CHECK(set.OrdinalOf("web-0") == 0);
  CHECK(set.OrdinalOf("web-12") == 12);
  for (const char* other : {"web", "web-", "web-01", "web--1", "web-x", "web-1x", "web-0-1", "webs-1", "a-web-1",
                            "web-99999999999999999999"}) {
    CAPTURE(other);
    CHECK_FALSE(set.OrdinalOf(other));
  }
}

TEST_CASE("When a pod is stuck") {
  struct Case {
    const char* what;
    const char* status;
    bool stuck;
  };
  const Case cases[] = {
      {"new", R"({})", true},
      {"pulling", R"({"phase":"Pending","containerStatuses":[{"state":{"waiting":{"reason":"ImagePullBackOff"}}}]})",
       true},
      {"crashing", R"({"phase":"Running","containerStatuses":[{"state":{"waiting":{"reason":"CrashLoopBackOff"}}}],
          "conditions":[{"type":"Ready","status":"False","lastTransitionTime":"2026-01-01T00:01:00Z"}]})",
       true},
      {"down", R"({"phase":"Running","containerStatuses":[{"state":{"terminated":{"exitCode":1}}}]})", true},
      {"never ready since it started",
       R"({"phase":"Running","containerStatuses":[{"state":{"running":{"startedAt":"2026-01-01T00:00:05Z"}}}],
          "conditions":[{"type":"Ready","status":"False","lastTransitionTime":"2026-01-01T00:00:01Z"}]})",
       true},
      {"was ready",
       R"({"phase":"Running","containerStatuses":[{"state":{"running":{"startedAt":"2026-01-01T00:00:05Z"}}}],
          "conditions":[{"type":"Ready","status":"False","lastTransitionTime":"2026-01-01T00:01:00Z"}]})",
       false},
      {"ready", R"({"phase":"Running","conditions":[{"type":"Ready","status":"True"}]})", false},
      {"failed", R"({"phase":"Failed"})", false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    CHECK(StatefulPodView(Json{{"status", Json::parse(c.status)}}).stuck == c.stuck);
  }
}

TEST_CASE("persistentVolumeClaimRetentionPolicy: decides who owns a claim") {
  const Json foreign = {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"name", "c"}, {"uid", "c-uid"}};
  auto kinds = [](const Json& owners) {
    std::string out;
    for (const Json& owner : owners) {
      out += (out.empty() ? "" : " ") + owner["kind"].get<std::string>() + "/" + owner["uid"].get<std::string>();
    }
    return out;
  };
  struct Case {
    bool with_set, when_scaled;
    const char *staying, *leaving;
  };
  const Case cases[] = {
      {false, false, "", ""},
      {true, false, "StatefulSet/set-uid", "StatefulSet/set-uid"},
      {false, true, "", "Pod/pod-uid"},
      {true, true, "StatefulSet/set-uid", "Pod/pod-uid"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.with_set, c.when_scaled);
    StatefulSetView set;
    set.name = "web";
    set.uid = "set-uid";
    set.replicas = 2;
    set.delete_claims_with_set = c.with_set;
    set.delete_claims_when_scaled = c.when_scaled;
    const Json staying = ClaimOwners(set, 1, {"web-1", "pod-uid"}, Json());
    const Json leaving = ClaimOwners(set, 2, {"web-2", "pod-uid"}, Json());
    CHECK(kinds(staying) == c.staying);
    CHECK(kinds(leaving) == c.leaving);
    // Written once, they stay; the range changing, they change; others' stay whatever happens.
    CHECK(ClaimOwners(set, 1, {"web-1", "pod-uid"}, staying) == staying);
    CHECK(ClaimOwners(set, 2, {"web-2", "pod-uid"}, leaving) == leaving);
    Json with_foreign = leaving;
    with_foreign.insert(with_foreign.begin(), foreign);
    set.replicas = 3;
    const Json back = ClaimOwners(set, 2, {"web-2", "pod-uid"}, with_foreign);
    CHECK(kinds(back) ==
          ("ConfigMap/c-uid " + std::string(c.staying)).substr(0, c.staying[0] ? std::string::npos : 15));
  }
  StatefulSetView set;
  set.name = "web";
  set.uid = "set-uid";
  const Json of_pod = ClaimOwners(
      [] {
        StatefulSetView other;
        other.name = "web";
        other.replicas = 0;
        other.delete_claims_when_scaled = true;
        return other;
      }(),
      0, {"web-0", "gone"}, Json());
  CHECK(ClaimIsLeaving(set, 0, "", of_pod));
  CHECK(ClaimIsLeaving(set, 0, "another", of_pod));
  CHECK_FALSE(ClaimIsLeaving(set, 0, "gone", of_pod));
  CHECK_FALSE(ClaimIsLeaving(set, 1, "", of_pod));
  CHECK_FALSE(ClaimHasOtherController(set, 0, of_pod));
  Json managed = foreign;
  managed["controller"] = true;
  CHECK(ClaimHasOtherController(set, 0, Json::array({managed})));
}
