// The planner's side of the Deployment contract: what is sized how, and when.
#include "core/controllers/deployment/deployment_plan.h"

#include <catch2/catch.hpp>
#include <deque>
#include <nlohmann/json.hpp>

#include "core/controllers/deployment/deployment_revision.h"

using namespace wherry;

namespace {

constexpr int64_t kAll = -1;

// A Deployment and its ReplicaSets in a few words. Of ReplicaSets, "new" is the one of the current template.
class World {
 public:
  explicit World(int64_t replicas) {
    d_.name = "web";
    d_.replicas = replicas;
    d_.progress_deadline = 600;
    d_.history_limit = 10;
  }
  World& Budget(IntOrPercent unavailable, IntOrPercent surge) {
    d_.max_unavailable = unavailable;
    d_.max_surge = surge;
    return *this;
  }
  World& Recreate() {
    d_.recreate = true;
    return *this;
  }
  // `available` of `size` pods are ready and available. The annotations are those of a Deployment of this size.
  World& Set(const std::string& name, int64_t size, int64_t available = kAll) {
    if (available == kAll) available = size;
    RolloutSetView view;
    view.created = Time(std::chrono::seconds(1000 + sets_.size()));
    view.replicas = view.actual = size;
    view.ready = view.available = available;
    view.observed = true;
    view.revision = static_cast<int64_t>(sets_.size()) + 1;
    view.desired = d_.replicas;
    view.max_replicas = d_.replicas + d_.Surge();
    sets_.push_back({name, view});
    return *this;
  }
  // The Deployment gets another size; the sets do not know yet.
  World& Resized(int64_t replicas) {
    d_.replicas = replicas;
    return *this;
  }
  RolloutSetView& operator[](const std::string& name) {
    return std::find_if(sets_.begin(), sets_.end(), [&](const Entry& e) { return e.name == name; })->view;
  }
  DeploymentView& deployment() { return d_; }
  bool old_pods_left = false;

  DeploymentInputs Inputs() const {
    DeploymentInputs in;
    in.deployment = &d_;
    for (const Entry& set : sets_) {
      if (set.name == "new") {
        in.newest = RolloutSet{set.name, &set.view};
      } else {
        in.old.push_back({set.name, &set.view});
      }
    }
    in.old_pods_left = old_pods_left;
    return in;
  }
  // "+3" a new ReplicaSet with 3; "old 10>8" a size; "old =8" only annotations; "-old" removed.
  std::string Acts() const {
    const DeploymentPlan plan = PlanDeployment(Inputs());
    std::string out;
    auto say = [&out](const std::string& what) { out += (out.empty() ? "" : ", ") + what; };
    if (plan.create) say("+" + std::to_string(*plan.create));
    for (const auto& [name, from, to] : plan.scales) {
      say(name + (from == to ? " =" : " " + std::to_string(from) + ">") + std::to_string(to));
    }
    for (const std::string& name : plan.removals) say("-" + name);
    return out;
  }

 private:
  struct Entry {
    std::string name;
    RolloutSetView view;
  };
  DeploymentView d_;
  std::deque<Entry> sets_;
};

IntOrPercent Pods(int64_t n) { return {n, false}; }
IntOrPercent Percent(int64_t n) { return {n, true}; }

}  // namespace

TEST_CASE("RollingUpdate arithmetic: maxUnavailable down, maxSurge up, both zero means one unavailable") {
  struct Case {
    int64_t replicas;
    IntOrPercent unavailable, surge;
    int64_t pods_unavailable, pods_surge;
  };
  const Case cases[] = {
      {10, Percent(25), Percent(25), 2, 3}, {3, Percent(25), Percent(25), 0, 1}, {4, Percent(25), Percent(25), 1, 1},
      {1, Percent(25), Percent(25), 0, 1},  {10, Pods(0), Pods(0), 1, 0},        {3, Percent(10), Percent(0), 1, 0},
      {5, Percent(100), Pods(0), 5, 0},     {2, Pods(7), Pods(7), 2, 7},         {0, Percent(25), Percent(25), 0, 0},
      {100, Percent(1), Percent(1), 1, 1},  {99, Percent(1), Percent(1), 0, 1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.replicas, c.unavailable.value, c.surge.value);
    World world(c.replicas);
    world.Budget(c.unavailable, c.surge);
    CHECK(world.deployment().Unavailable() == c.pods_unavailable);
    CHECK(world.deployment().Surge() == c.pods_surge);
  }
}

TEST_CASE("RollingUpdate: step by step within the budget") {
  struct Case {
    const char* what;
    int64_t old_size, old_available, new_size, new_available;  // new_size -1: there is none yet
    const char* acts;
  };
  // Ten replicas, 25%/25%: at least 8 available, at most 13 pods.
  const Case cases[] = {
      {"the first ReplicaSet gets all", 0, 0, -1, 0, "+10"},
      {"a new one begins with the surge", 10, 10, -1, 0, "+3"},
      {"the old gives up what may be unavailable", 10, 10, 3, 0, "old 10>8"},
      {"nothing while the new are not available", 8, 8, 5, 0, ""},
      {"the new grows into the room that the old left", 8, 8, 3, 0, "new 3>5"},
      {"the old goes as the new become available", 8, 8, 5, 2, "old 8>6"},
      {"up comes before down", 6, 6, 5, 5, "new 5>7"},
      {"the last step up", 3, 3, 9, 9, "new 9>10"},
      {"the last steps down", 3, 3, 10, 7, "old 3>1"},
      {"and the last", 1, 1, 10, 8, "old 1>0"},
      {"done", 0, 0, 10, 10, ""},
      {"too many of the new", 0, 0, 12, 12, "new 12>10"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    World world(10);
    world.Set("old", c.old_size, c.old_available);
    if (c.new_size >= 0) world.Set("new", c.new_size, c.new_available);
    CHECK(world.Acts() == c.acts);
  }
}

TEST_CASE("RollingUpdate: only surge, only unavailable, both zero") {
  World surge(3);
  surge.Budget(Pods(0), Pods(1)).Set("old", 3).Set("new", 1, 0);
  CHECK(surge.Acts() == "");
  surge["new"].ready = surge["new"].available = 1;
  CHECK(surge.Acts() == "old 3>2");

  World without(3);
  without.Budget(Pods(1), Pods(0)).Set("old", 3).Set("new", 0);
  CHECK(without.Acts() == "old 3>2");
  without["old"].replicas = 2;  // its pod is still to go: no room yet
  without["old"].actual = 3;
  CHECK(without.Acts() == "");
  without["old"].actual = without["old"].ready = without["old"].available = 2;
  CHECK(without.Acts() == "new 0>1");

  World zero(3);
  zero.Budget(Pods(0), Pods(0)).Set("old", 3).Set("new", 0);
  CHECK(zero.Acts() == "old 3>2");
}

TEST_CASE("RollingUpdate: unhealthy old pods are scaled down first") {
  // At least 8 of 10: no available pod may go, but the four that do not work may, as many as the new ones leave room.
  World world(10);
  world.Set("older", 4, 1).Set("old", 6, 5).Set("new", 3, 0);
  CHECK(world.Acts() == "older 4>2");  // 13 pods - 8 - 3 new ones not available = 2
  world["new"].ready = world["new"].available = 3;
  // 13 - 8 = 5 in all: 3 and 1 unhealthy, and one available (9 - 8).
  CHECK(world.Acts() == "older 4>0, old 6>5");
}

TEST_CASE("RollingUpdate: pods that are ready but not yet available are not taken for unhealthy") {
  // The ReplicaSet may delete any of its ready pods, so taking one away may cost an available one.
  World world(4);
  world.Budget(Pods(1), Pods(1)).Set("old", 4, 3).Set("new", 1, 0);
  world["old"].ready = 4;
  CHECK(world.Acts() == "");
  world["old"].ready = 3;
  CHECK(world.Acts() == "old 4>3");
}

TEST_CASE("RollingUpdate: what a ReplicaSet has yet to do is not relied on") {
  World world(10);
  world.Set("old", 8, 8).Set("new", 5, 2);
  world["old"].actual = world["old"].ready = world["old"].available = 10;  // of before it was scaled down
  CHECK(world.Acts() == "old 8>6");
}

TEST_CASE("Rollover mid-rollout: a new template begins anew, all older ones shrink") {
  World world(10);
  world.Set("oldest", 8).Set("middle", 5, 2);
  CHECK(world.Acts() == "+0");  // 13 pods already
  world.Set("new", 0);
  // 13 - 8 = 5 may go: three of the middle are not available, then two that are (10 - 8).
  CHECK(world.Acts() == "oldest 8>6, middle 5>2");
}

TEST_CASE("Proportional scaling: every live ReplicaSet gets its share") {
  struct Case {
    const char* what;
    int64_t replicas, surge, unavailable, old_size, new_size, resized;
    const char* acts;
  };
  const Case cases[] = {
      {"the example of the documentation", 10, 3, 2, 8, 5, 15, "old 8>11, new 5>7"},
      {"shrinking", 10, 3, 2, 8, 5, 5, "old 8>5, new 5>3"},
      {"the newer of equals gets the rest when growing", 10, 0, 5, 5, 5, 11, "new 5>6, old =5"},
      {"the older of equals gives the rest when shrinking", 10, 0, 5, 5, 5, 9, "old 5>4, new =5"},
      {"to nothing", 10, 3, 2, 8, 5, 0, "old 8>0, new 5>0"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    World world(c.replicas);
    world.Budget(Pods(c.unavailable), Pods(c.surge)).Set("old", c.old_size).Set("new", c.new_size).Resized(c.resized);
    CHECK(world.Acts() == c.acts);
    CHECK(PlanDeployment(world.Inputs()).resizing);
  }
}

TEST_CASE("Proportional scaling: the share is of the size when the ReplicaSet was last sized") {
  World world(10);
  world.Budget(Pods(2), Pods(3)).Set("old", 8).Set("new", 5).Resized(20);
  world["old"].max_replicas = 26;  // 8 of 26 stay 8 of 23: it gives up one, and as the largest gets the rest
  CHECK(world.Acts() == "old 8>14, new 5>9");
}

TEST_CASE("Proportional scaling: pods that serve are not given up for ones that do not") {
  World world(10);
  world.Budget(Pods(1), Pods(1)).Set("old", 5).Set("new", 6, 0).Resized(4);
  // By proportion 2 and 3: but three of four are to be available.
  CHECK(world.Acts() == "new 6>2, old 5>3");
}

TEST_CASE("Scaling with one live ReplicaSet sizes that one, old or new") {
  World old(3);
  old.Set("old", 3).Set("new", 0).Resized(5);
  CHECK(old.Acts() == "old 3>5");
  World newest(3);
  newest.Set("old", 0).Set("new", 3).Resized(0);
  CHECK(newest.Acts() == "new 3>0");
  World saturated(5);
  saturated.Set("older", 2).Set("old", 1).Set("new", 5);
  saturated["old"].desired = 3;
  CHECK(saturated.Acts() == "older 2>0, old 1>0");
}

TEST_CASE("A size written by hand does not hold a rollout up") {
  World world(5);
  world.Set("old", 5);
  world["old"].desired = 3;
  CHECK(world.Acts() == "old =5");
  world["old"].desired = 5;
  CHECK(world.Acts() == "+2");
}

TEST_CASE("Paused: makes no ReplicaSet and rolls nothing, but scales and trims") {
  World world(3);
  world.deployment().paused = true;
  world.Set("old", 3);
  CHECK(world.Acts() == "");
  world.Resized(5);
  CHECK(world.Acts() == "old 3>5");
  World room(10);  // the surge has room left, but a pause is no reason to use it
  room.deployment().paused = true;
  room.Set("old", 4).Set("new", 2);
  CHECK(room.Acts() == "");
  World fresh(3);
  fresh.deployment().paused = true;
  CHECK(fresh.Acts() == "");
  World halfway(10);
  halfway.deployment().paused = true;
  halfway.deployment().history_limit = 0;
  halfway.Set("oldest", 0).Set("old", 8).Set("new", 5, 5);
  CHECK(halfway.Acts() == "-oldest");
}

TEST_CASE("Recreate: waits for all old pods to be gone, going ones included") {
  World world(3);
  world.Recreate().Set("older", 1).Set("old", 3);
  CHECK(world.Acts() == "older 1>0, old 3>0");
  world["older"].replicas = world["old"].replicas = 0;
  CHECK(world.Acts() == "");  // the statuses still tell of pods
  world["older"].actual = world["old"].actual = 0;
  world.old_pods_left = true;
  CHECK(world.Acts() == "");
  world.old_pods_left = false;
  CHECK(world.Acts() == "+3");
  World undone(3);
  undone.Recreate().Set("new", 0).Set("old", 0);
  CHECK(undone.Acts() == "new 0>3");
}

TEST_CASE("Recreate: scaling in mid-rollout goes to the one that comes") {
  World world(3);
  world.Recreate().Set("old", 1).Set("new", 2).Resized(5);
  CHECK(world.Acts() == "old =1, new =2");
  world["old"].desired = world["new"].desired = 5;
  CHECK(world.Acts() == "old 1>0");
}

TEST_CASE("revisionHistoryLimit: the lowest revisions go, when complete, never one with pods") {
  auto history = [](World& world, int64_t limit) -> World& {
    world.deployment().history_limit = limit;
    for (const char* name : {"r1", "r2", "r3", "r4"}) world.Set(name, 0);
    return world.Set("new", 3);
  };
  World two(3);
  CHECK(history(two, 2).Acts() == "-r1, -r2");
  World none(3);
  CHECK(history(none, 0).Acts() == "-r1, -r2, -r3, -r4");
  World incomplete(3);
  history(incomplete, 2);
  incomplete["new"].available = incomplete["new"].ready = 2;
  CHECK(incomplete.Acts() == "");
  World busy(3);
  history(busy, 2);
  busy["r1"].observed = false;
  CHECK(busy.Acts() == "-r2");
  World undone(3);
  history(undone, 2);
  undone["r1"].revision = 9;
  CHECK(undone.Acts() == "-r2, -r3");
  World unlimited(3);
  history(unlimited, 0).deployment().history_limit.reset();
  CHECK(unlimited.Acts() == "");
}

TEST_CASE("Status: counts the pods of all ReplicaSets, terminatingReplicas too") {
  World world(10);
  world.Set("old", 6, 5).Set("new", 5, 2);
  world["old"].terminating = 2;
  world["new"].ready = 3;
  const DeploymentCounters counters = CountReplicas(world.Inputs());
  CHECK(counters.replicas == 11);
  CHECK(counters.updated == 5);
  CHECK(counters.ready == 8);
  CHECK(counters.available == 7);
  CHECK(counters.unavailable == 4);
  CHECK(counters.terminating == 2);
}

TEST_CASE("Revision annotations: the greatest number, the history of numbers given up, and the Deployment's own") {
  auto object = [](Json annotations) { return Json{{"metadata", {{"annotations", std::move(annotations)}}}}; };
  const Json deployment = object({{"kubernetes.io/change-cause", "image 2"},
                                  {kRevision, "7"},
                                  {"kubectl.kubernetes.io/last-applied-configuration", "{}"}});
  CHECK(RevisedAnnotations(deployment, object(Json::object()), 2) ==
        Json({{"kubernetes.io/change-cause", "image 2"}, {kRevision, "2"}}));
  const Json first = object({{"kubernetes.io/change-cause", "image 2"}, {kRevision, "1"}});
  CHECK(RevisedAnnotations(deployment, first, 1) == Json::object());
  CHECK(RevisedAnnotations(deployment, first, 3) == Json({{kRevision, "3"}, {kRevisionHistory, "1"}}));
  const Json again = object({{"kubernetes.io/change-cause", "image 2"}, {kRevision, "3"}, {kRevisionHistory, "1"}});
  CHECK(RevisedAnnotations(deployment, again, 5) == Json({{kRevision, "5"}, {kRevisionHistory, "1,3"}}));
  CHECK(RevisedAnnotations(deployment, again, 2) == Json::object());
  CHECK(RevisedAnnotations(deployment, object({{"kubernetes.io/change-cause", "image 2"}, {kRevision, "x"}}), 2) ==
        Json::object());
  std::string numbers = "1";
  while (numbers.size() < 1998) numbers += ",2";
  const Json long_one =
      object({{"kubernetes.io/change-cause", "image 2"}, {kRevision, "300"}, {kRevisionHistory, numbers}});
  const std::string kept = RevisedAnnotations(deployment, long_one, 301)[kRevisionHistory];
  CHECK(kept.size() <= 2000);
  CHECK(kept.ends_with(",2,300"));
  CHECK(kept.starts_with("2,2"));
}
