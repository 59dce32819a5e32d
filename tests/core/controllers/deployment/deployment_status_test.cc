// The conditions of a Deployment: when each comes, with which reason, and when the deadline is looked at.
#include "core/controllers/deployment/deployment_status.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace wherry;
using namespace std::chrono_literals;

namespace {

constexpr Time kNow = Time(std::chrono::seconds(1'000'000));

// A Deployment of three with one ReplicaSet, `available` of whose pods are up; status is what was last reported.
class World {
 public:
  World() {
    d_.name = "web";
    d_.generation = 1;
    d_.replicas = 3;
    d_.progress_deadline = 600;
    set_.replicas = 3;
  }
  World& Pods(int64_t actual, int64_t available) {
    set_.actual = actual;
    set_.ready = set_.available = available;
    return *this;
  }
  // Reports, and remembers it as the status of the next time.
  RolloutReport Report(Time now = kNow, const RolloutNews& news = {}, bool judge = true) {
    DeploymentInputs in;
    in.deployment = &d_;
    in.newest = RolloutSet{"web-1", &set_};
    RolloutReport report = ReportRollout(in, news, judge, now);
    d_.counters = report.counters;
    d_.conditions = report.conditions;
    return report;
  }
  // "True NewReplicaSetAvailable"
  std::string Says(const std::string& type) const {
    const DeploymentCondition* found = d_.Condition(type);
    return found ? found->status + " " + found->reason : "";
  }
  DeploymentView& deployment() { return d_; }
  RolloutSetView& set() { return set_; }

 private:
  DeploymentView d_;
  RolloutSetView set_;
};

RolloutNews Created() {
  RolloutNews news;
  news.created = "web-1";
  return news;
}

}  // namespace

TEST_CASE("Progressing: created, updated, complete") {
  World world;
  CHECK(world.Report(kNow, Created()).requeue_after == 601s);
  CHECK(world.Says("Progressing") == "True NewReplicaSetCreated");
  CHECK(world.deployment().Condition("Progressing")->message == "Created new replica set \"web-1\"");
  CHECK(world.Says("Available") == "False MinimumReplicasUnavailable");

  world.Pods(3, 1).Report(kNow + 10s);
  CHECK(world.Says("Progressing") == "True ReplicaSetUpdated");
  CHECK(world.deployment().Condition("Progressing")->message == "ReplicaSet \"web-1\" is progressing.");
  CHECK(world.deployment().Condition("Progressing")->updated == kNow + 10s);
  CHECK(world.deployment().Condition("Progressing")->transitioned == kNow);

  // Nothing new: the deadline still counts from the last progress.
  CHECK(world.Report(kNow + 20s).requeue_after == 591s);
  CHECK(world.deployment().Condition("Progressing")->updated == kNow + 10s);

  CHECK(world.Pods(3, 3).Report(kNow + 30s).requeue_after == 0s);
  CHECK(world.Says("Progressing") == "True NewReplicaSetAvailable");
  CHECK(world.deployment().Condition("Progressing")->message == "ReplicaSet \"web-1\" has successfully progressed.");
  CHECK(world.Says("Available") == "True MinimumReplicasAvailable");
  CHECK(world.deployment().Condition("Available")->message == "Deployment has minimum availability.");

  // A pod less is no rollout.
  CHECK(world.Pods(3, 1).Report(kNow + 40s).requeue_after == 0s);
  CHECK(world.Says("Progressing") == "True NewReplicaSetAvailable");
  CHECK(world.Says("Available") == "False MinimumReplicasUnavailable");
}

TEST_CASE("progressDeadlineSeconds: ProgressDeadlineExceeded at the deadline, and better news later") {
  World world;
  world.Report(kNow, Created());
  world.Pods(3, 0).Report(kNow + 1s);
  CHECK(world.Report(kNow + 601s).requeue_after == 1s);
  CHECK(world.Says("Progressing") == "True ReplicaSetUpdated");
  CHECK(world.Report(kNow + 602s).requeue_after == 0s);
  CHECK(world.Says("Progressing") == "False ProgressDeadlineExceeded");
  CHECK(world.deployment().Condition("Progressing")->message == "ReplicaSet \"web-1\" has timed out progressing.");
  // A pause does not hide it.
  world.deployment().paused = true;
  world.Report(kNow + 700s, {}, false);
  CHECK(world.Says("Progressing") == "False ProgressDeadlineExceeded");
  world.deployment().paused = false;
  world.Pods(3, 1).Report(kNow + 800s);
  CHECK(world.Says("Progressing") == "True ReplicaSetUpdated");
  CHECK(world.deployment().Condition("Progressing")->transitioned == kNow + 800s);
}

TEST_CASE("progressDeadlineSeconds: pause and resume; the deadline begins anew") {
  World world;
  world.Report(kNow, Created());
  world.deployment().paused = true;
  CHECK(world.Report(kNow + 500s, {}, false).requeue_after == 0s);
  CHECK(world.Says("Progressing") == "Unknown DeploymentPaused");
  CHECK(world.deployment().Condition("Progressing")->message == "Deployment is paused");
  world.deployment().paused = false;
  CHECK(world.Report(kNow + 5000s).requeue_after == 601s);
  CHECK(world.Says("Progressing") == "Unknown DeploymentResumed");
}

TEST_CASE("Progressing: a ReplicaSet found, one that cannot be made, and no deadline at all") {
  World world;
  RolloutNews found;
  found.found = "web-1";
  world.Report(kNow, found);
  CHECK(world.Says("Progressing") == "True FoundNewReplicaSet");
  RolloutNews failed;
  failed.create_failed = "Failed to create new replica set \"web-1\": exceeded quota";
  world.Report(kNow, failed);
  CHECK(world.Says("Progressing") == "False ReplicaSetCreateError");
  world.deployment().progress_deadline.reset();
  CHECK(world.Report(kNow).requeue_after == 0s);
  CHECK(world.Says("Progressing") == "");
}

TEST_CASE("Available: by what the budget asks for") {
  World world;
  world.deployment().replicas = 10;  // 25%: two may be missing
  world.Pods(10, 7).Report();
  CHECK(world.Says("Available") == "False MinimumReplicasUnavailable");
  world.Pods(10, 8).Report();
  CHECK(world.Says("Available") == "True MinimumReplicasAvailable");
}

TEST_CASE("ReplicaFailure: is the ReplicaSet's, and goes with it") {
  World world;
  world.set().failure = DeploymentCondition{"ReplicaFailure", "True", "FailedCreate", "exceeded quota"};
  world.Report();
  CHECK(world.Says("ReplicaFailure") == "True FailedCreate");
  world.set().failure.reset();
  world.Report();
  CHECK(world.Says("ReplicaFailure") == "");
}

TEST_CASE("The status document leaves zeros out and keeps others' conditions") {
  World world;
  world.deployment().conditions.push_back({"example.com/Mine", "True", "Mine", "", kNow, kNow});
  world.deployment().collision_count = 2;
  const RolloutReport report = world.Pods(0, 0).Report();
  const Json document = DeploymentStatusDocument(report, world.deployment());
  CHECK_FALSE(document.contains("readyReplicas"));
  CHECK(document["observedGeneration"] == 1);
  CHECK(document["unavailableReplicas"] == 3);
  CHECK(document["terminatingReplicas"] == 0);
  CHECK(document["collisionCount"] == 2);
  CHECK(document["conditions"][0]["type"] == "example.com/Mine");
}
