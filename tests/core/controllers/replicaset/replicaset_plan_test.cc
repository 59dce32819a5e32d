// The planner's side of the ReplicaSet contract: which pods go first, what counts, and the numbers of status.
#include "core/controllers/replicaset/replicaset_plan.h"

#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>

#include "core/controllers/replicaset/replicaset_status.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

constexpr Time kNow = Time(std::chrono::seconds(1'000'000));

// A set and its pods, described in a few words.
class World {
 public:
  explicit World(int64_t replicas) { set_.replicas = replicas; }

  // Running and ready for an hour on a node of its own, unless `change` says otherwise.
  World& Pod(const std::string& name, const std::function<void(PodView&)>& change = {}) {
    PodView view;
    view.node_name = "node-of-" + name;
    view.phase = PodView::Phase::kRunning;
    view.ready = true;
    view.ready_since = view.created = kNow - 1h;
    if (change) change(view);
    pods_.push_back({name, view, {{"app", "web"}}});
    return *this;
  }
  ReplicaSetView& set() { return set_; }
  Labels& labels_of(const std::string& name) {
    return std::find_if(pods_.begin(), pods_.end(), [&](const Entry& e) { return e.name == name; })->labels;
  }

  ReplicaSetInputs Inputs() const {
    ReplicaSetInputs in;
    in.set = &set_;
    for (const Entry& pod : pods_) in.pods.push_back({pod.name, pod.name, &pod.view, &pod.labels});
    in.neighbours = [this](const std::string& node) {
      return std::count_if(pods_.begin(), pods_.end(),
                           [&](const Entry& e) { return e.view.active() && e.view.node_name == node; });
    };
    in.now = kNow;
    return in;
  }
  ReplicaSetPlan Plan() const { return PlanReplicaSet(Inputs()); }
  std::string Deleted() const {
    std::string out;
    for (const auto& pod : Plan().deletes) out += (out.empty() ? "" : " ") + pod.name;
    return out;
  }

 private:
  struct Entry {
    std::string name;
    PodView view;
    Labels labels;
  };
  ReplicaSetView set_;
  std::deque<Entry> pods_;
};

void Unassigned(PodView& pod) {
  pod.node_name.clear();
  pod.phase = PodView::Phase::kPending;
  pod.ready = false;
}
void Pending(PodView& pod) {
  pod.phase = PodView::Phase::kPending;
  pod.ready = false;
}
void NotReady(PodView& pod) { pod.ready = false; }

}  // namespace

TEST_CASE("Scale-down order: each rule decides before the next") {
  // In each row the first pod goes and the second stays; whatever is said after it would be the other way round.
  struct Case {
    const char* rule;
    std::function<void(PodView&)> goes, stays;
  };
  const Case cases[] = {
      {"unassigned before pending", Unassigned,
       [](PodView& p) {
         Pending(p);
         p.deletion_cost = -5;
       }},
      {"pending before running", Pending,
       [](PodView& p) {
         NotReady(p);
         p.deletion_cost = -5;
       }},
      {"unknown before running", [](PodView& p) { p.phase = PodView::Phase::kUnknown, p.ready = false; }, NotReady},
      {"not ready before ready", NotReady, [](PodView& p) { p.deletion_cost = -5; }},
      {"cheap to delete before dear", [](PodView& p) { p.deletion_cost = -1; },
       [](PodView& p) { p.ready_since = kNow - 1s, p.restarts = 9; }},
      {"a positive cost after none", nullptr, [](PodView& p) { p.deletion_cost = 1, p.ready_since = kNow - 1s; }},
      {"ready for a short time before a long one", [](PodView& p) { p.ready_since = kNow - 10min; },
       [](PodView& p) { p.restarts = 9; }},
      {"more restarts before fewer", [](PodView& p) { p.restarts = 2; },
       [](PodView& p) { p.restarts = 1, p.created = kNow - 1s; }},
      {"more restarts of sidecars before fewer", [](PodView& p) { p.sidecar_restarts = 2; },
       [](PodView& p) { p.created = kNow - 1s; }},
      {"new before old", [](PodView& p) { p.created = kNow - 10min; }, nullptr},
  };
  for (const Case& c : cases) {
    for (const bool first : {true, false}) {
      CAPTURE(c.rule, first);
      World world(1);
      world.Pod(first ? "goes" : "stays", first ? c.goes : c.stays);
      world.Pod(first ? "stays" : "goes", first ? c.stays : c.goes);
      CHECK(world.Deleted() == "goes");
    }
  }
}

TEST_CASE("Scale-down order: doubled up on a node before alone, and after pod-deletion-cost") {
  auto on = [](const char* node, int32_t cost = 0) {
    return [node, cost](PodView& pod) { pod.node_name = node, pod.deletion_cost = cost; };
  };
  World world(2);
  world.Pod("alone", on("a")).Pod("one", on("b")).Pod("two", on("b"));
  CHECK(world.Deleted() == "one");
  World dear(2);
  dear.Pod("alone", on("a")).Pod("one", on("b", 1)).Pod("two", on("b", 1));
  CHECK(dear.Deleted() == "alone");
}

TEST_CASE("Scale-down order: shorter ready by log buckets, ages of one magnitude are alike") {
  auto ready_for = [](Duration age) { return [age](PodView& pod) { pod.ready_since = pod.created = kNow - age; }; };
  // 60 and 70 minutes fall into one bucket of the binary logarithm: the uid decides, not the age.
  World alike(1);
  alike.Pod("b", ready_for(60min)).Pod("a", ready_for(70min));
  CHECK(alike.Deleted() == "a");
  World apart(1);
  apart.Pod("b", ready_for(20min)).Pod("a", ready_for(70min));
  CHECK(apart.Deleted() == "b");
}

TEST_CASE("Failed, succeeded and going pods do not count as active") {
  World world(3);
  world.Pod("ok");
  world.Pod("failed", [](PodView& pod) { pod.phase = PodView::Phase::kFailed, pod.ready = false; });
  world.Pod("ended", [](PodView& pod) { pod.phase = PodView::Phase::kSucceeded, pod.ready = false; });
  world.Pod("going", [](PodView& pod) { pod.deleting = true; });
  CHECK(world.Plan().creates == 2);
  CHECK(world.Deleted() == "");
  Duration requeue{0};
  const ReplicaSetStatus status = ObserveReplicaSet(world.Inputs(), &requeue);
  CHECK(status.replicas == 1);
  CHECK(status.ready == 1);
  CHECK(status.terminating == 1);
}

TEST_CASE("Burst: 500 creates or deletes") {
  World world(1700);
  CHECK(world.Plan().creates == 500);
  CHECK(world.Plan().more);
  World shrinks(0);
  for (int i = 0; i < 501; ++i) shrinks.Pod("pod-" + std::to_string(i));
  CHECK(shrinks.Plan().deletes.size() == 500);
  CHECK(shrinks.Plan().more);
  World exact(500);
  CHECK(exact.Plan().creates == 500);
  CHECK_FALSE(exact.Plan().more);
}

TEST_CASE("readyReplicas and availableReplicas: minReadySeconds lie between, and the moment is known") {
  World world(3);
  world.set().min_ready = 30s;
  world.Pod("old");
  world.Pod("young", [](PodView& pod) { pod.ready_since = kNow - 10s; });
  world.Pod("younger", [](PodView& pod) { pod.ready_since = kNow - 5s; });
  Duration requeue{0};
  const ReplicaSetStatus status = ObserveReplicaSet(world.Inputs(), &requeue);
  CHECK(status.ready == 3);
  CHECK(status.available == 1);
  CHECK(requeue == 20s);
}

TEST_CASE("fullyLabeledReplicas: pods that carry every label of the template") {
  World world(2);
  world.set().template_labels = LabelSelector::FromMap({{"app", "web"}, {"tier", "front"}});
  world.Pod("bare").Pod("full");
  world.labels_of("full").emplace_back("tier", "front");
  Duration requeue{0};
  CHECK(ObserveReplicaSet(world.Inputs(), &requeue).fully_labeled == 1);
}

TEST_CASE("ReplicaFailure: told once, and goes with its cause") {
  const ReplicaSetStatus status{.replicas = 1};
  const ReplicaFailure failure{"FailedCreate", "exceeded quota"};
  const Json told = ReplicaSetStatusDocument(status, true, failure, nullptr, 2, kNow);
  CHECK(told == Json({{"replicas", 1},
                      {"observedGeneration", 2},
                      {"terminatingReplicas", 0},
                      {"conditions",
                       {{{"type", "ReplicaFailure"},
                         {"status", "True"},
                         {"reason", "FailedCreate"},
                         {"message", "exceeded quota"},
                         {"lastTransitionTime", FormatTime(kNow)}}}}}));
  const ReplicaFailure again{"FailedCreate", "exceeded quota: pod web-x7k2p"};
  CHECK(ReplicaSetStatusDocument(status, true, again, &told, 2, kNow + 1h) == told);
  CHECK(ReplicaSetStatusDocument(status, false, std::nullopt, &told, 2, kNow) ==
        Json({{"replicas", 1}, {"observedGeneration", 2}}));
}

TEST_CASE("pod-deletion-cost: a plain int32, or nothing") {
  const std::pair<const char*, int32_t> cases[] = {{"10", 10}, {"-3", -3}, {"+3", 0},         {"007", 0},
                                                   {"1.5", 0}, {"", 0},    {"99999999999", 0}};
  for (const auto& [text, cost] : cases) {
    CAPTURE(text);
    const Json pod = {{"metadata", {{"annotations", {{kDeletionCostAnnotation, text}}}}}};
    CHECK(PodView(pod).deletion_cost == cost);
  }
}
