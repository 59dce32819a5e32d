#include "core/controllers/deployment/deployment_status.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/shorten.h"

namespace wherry {
namespace {

constexpr char kAvailable[] = "Available", kProgressing[] = "Progressing", kReplicaFailure[] = "ReplicaFailure";
constexpr char kComplete[] = "NewReplicaSetAvailable", kTimedOut[] = "ProgressDeadlineExceeded";
constexpr char kPaused[] = "DeploymentPaused", kResumed[] = "DeploymentResumed";
constexpr Duration kSecond = std::chrono::seconds(1);
constexpr size_t kMaxMessage = 1024;

class Reporter {
 public:
  Reporter(const DeploymentInputs& inputs, Time now)
      : in_(inputs), deployment_(*inputs.deployment), now_(now), conditions_(deployment_.conditions) {}

  RolloutReport Run(const RolloutNews& news, bool judge_progress) {
    counters_ = CountReplicas(in_);
    const bool has_deadline = deployment_.progress_deadline.has_value();
    if (has_deadline) {
      TellPause();
      TellNews(news);
    }
    const bool enough = counters_.available >= deployment_.replicas - deployment_.Unavailable();
    Set(kAvailable, enough ? "True" : "False", enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
        enough ? "Deployment has minimum availability." : "Deployment does not have minimum availability.");
    if (judge_progress) {
      if (!has_deadline) Drop(kProgressing);
      if (has_deadline && news.create_failed.empty()) JudgeProgress();
      TellFailures();
    }
    RolloutReport report;
    report.counters = counters_;
    if (judge_progress && has_deadline) report.requeue_after = UntilDeadline();
    report.conditions = std::move(conditions_);
    return report;
  }

 private:
  void TellPause() {
    const DeploymentCondition* progress = Find(kProgressing);
    if (progress && progress->reason == kTimedOut) return;  // lack of progress is the worse news
    const bool told = progress && progress->reason == kPaused;
    if (deployment_.paused && !told) Set(kProgressing, "Unknown", kPaused, "Deployment is paused");
    if (!deployment_.paused && told) Set(kProgressing, "Unknown", kResumed, "Deployment is resumed");
  }

  void TellNews(const RolloutNews& news) {
    if (!news.create_failed.empty()) Set(kProgressing, "False", "ReplicaSetCreateError", news.create_failed);
    if (!news.created.empty()) {
      Set(kProgressing, "True", "NewReplicaSetCreated", "Created new replica set \"" + news.created + "\"");
    }
    if (!news.found.empty() && !Find(kProgressing)) {
      Set(kProgressing, "True", "FoundNewReplicaSet", "Found new replica set \"" + news.found + "\"");
    }
  }

  void JudgeProgress() {
    const DeploymentCondition* current = Find(kProgressing);
    // One that was complete and still has one template only is not judged: losing a pod is no rollout.
    if (current && current->reason == kComplete && counters_.replicas == counters_.updated) return;
    if (IsComplete(deployment_, counters_)) {
      Set(kProgressing, "True", kComplete, Subject() + " has successfully progressed.");
    } else if (HasProgressed()) {
      // Told anew each time: the deadline counts from the last progress.
      DeploymentCondition made{kProgressing, "True", "ReplicaSetUpdated", Subject() + " is progressing.", now_, now_};
      if (current && current->status == "True") made.transitioned = current->transitioned;
      Drop(kProgressing);
      conditions_.push_back(std::move(made));
    } else if (HasTimedOut()) {
      Set(kProgressing, "False", kTimedOut, Subject() + " has timed out progressing.");
    }
  }

  bool HasProgressed() const {
    const DeploymentCounters& before = deployment_.counters;
    return counters_.updated > before.updated ||
           counters_.replicas - counters_.updated < before.replicas - before.updated ||
           counters_.ready > before.ready || counters_.available > before.available;
  }

  bool HasTimedOut() const {
    const DeploymentCondition* progress = Find(kProgressing);
    if (!progress || progress->reason == kComplete) return false;
    return progress->reason == kTimedOut || progress->updated + Deadline() < now_;
  }

  Duration UntilDeadline() const {
    const DeploymentCondition* progress = Find(kProgressing);
    if (!progress || progress->reason == kComplete || progress->reason == kTimedOut) return Duration(0);
    if (IsComplete(deployment_, counters_)) return Duration(0);
    // A second more: the stamp has whole seconds only.
    return std::max(kSecond, progress->updated + Deadline() - now_ + kSecond);
  }
  Duration Deadline() const { return std::chrono::seconds(*deployment_.progress_deadline); }

  // The first failure of a ReplicaSet, the newest's before all.
  void TellFailures() {
    const DeploymentCondition* failure = nullptr;
    if (in_.newest && in_.newest->view->failure) failure = &*in_.newest->view->failure;
    for (const RolloutSet& set : in_.old) {
      if (!failure && set.view->failure) failure = &*set.view->failure;
    }
    if (!failure) return Drop(kReplicaFailure);
    Set(kReplicaFailure, failure->status, failure->reason, failure->message);
  }

  std::string Subject() const {
    if (in_.newest) return "ReplicaSet \"" + std::string(in_.newest->name) + "\"";
    return "Deployment \"" + deployment_.name + "\"";
  }

  const DeploymentCondition* Find(std::string_view type) const {
    auto it = std::find_if(conditions_.begin(), conditions_.end(), [&](const auto& c) { return c.type == type; });
    return it == conditions_.end() ? nullptr : &*it;
  }
  void Drop(std::string_view type) {
    std::erase_if(conditions_, [&](const auto& c) { return c.type == type; });
  }
  // Leaves a condition of the same status and reason as it is.
  void Set(const char* type, const std::string& status, const std::string& reason, const std::string& message) {
    DeploymentCondition made{type, status, reason, Shorten(message, kMaxMessage), now_, now_};
    if (const DeploymentCondition* current = Find(type)) {
      if (current->status == status && current->reason == reason) return;
      if (current->status == status) made.transitioned = current->transitioned;
    }
    Drop(type);
    conditions_.push_back(std::move(made));
  }

  const DeploymentInputs& in_;
  const DeploymentView& deployment_;
  const Time now_;
  std::vector<DeploymentCondition> conditions_;
  DeploymentCounters counters_;
};

}  // namespace

RolloutReport ReportRollout(const DeploymentInputs& inputs, const RolloutNews& news, bool judge_progress, Time now) {
  return Reporter(inputs, now).Run(news, judge_progress);
}

Json DeploymentStatusDocument(const RolloutReport& report, const DeploymentView& deployment) {
  Json out = Json::object();
  // omitempty upstream: clients take an absent number for zero.
  auto set_unless_zero = [&out](const char* field, int64_t value) {
    if (value != 0) out[field] = value;
  };
  set_unless_zero("observedGeneration", deployment.generation);
  set_unless_zero("replicas", report.counters.replicas);
  set_unless_zero("updatedReplicas", report.counters.updated);
  set_unless_zero("readyReplicas", report.counters.ready);
  set_unless_zero("availableReplicas", report.counters.available);
  set_unless_zero("unavailableReplicas", report.counters.unavailable);
  out["terminatingReplicas"] = report.counters.terminating;
  if (deployment.collision_count) out["collisionCount"] = *deployment.collision_count;
  Json conditions = Json::array();
  for (const DeploymentCondition& condition : report.conditions) {
    conditions.push_back({{"type", condition.type},
                          {"status", condition.status},
                          {"lastUpdateTime", FormatTime(condition.updated)},
                          {"lastTransitionTime", FormatTime(condition.transitioned)},
                          {"reason", condition.reason},
                          {"message", condition.message}});
  }
  if (!conditions.empty()) out["conditions"] = std::move(conditions);
  return out;
}

}  // namespace wherry
