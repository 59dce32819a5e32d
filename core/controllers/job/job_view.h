#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/kinds/index_set.h"
#include "core/kinds/selector.h"
#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

struct JobCondition {
  std::string type, status, reason, message;
  Time probe{}, transition{};
  bool operator==(const JobCondition&) const = default;
};

// JobStatus as stored, and as it is to be stored. Moments are whole seconds, as they are written.
struct JobStatus {
  JobStatus() = default;
  // `completions` bounds the indexes that count.
  JobStatus(const Json& status, int64_t completions);
  Json ToJson() const;

  int64_t active = 0, succeeded = 0, failed = 0;
  std::optional<int64_t> ready, terminating;
  IndexSet completed_indexes;
  std::optional<IndexSet> failed_indexes;  // with backoffLimitPerIndex only
  std::optional<Time> start_time, completion_time;
  // Uids of pods that have ended and are in no number above yet: they move there once they have lost the finalizer.
  bool has_uncounted = false;
  std::vector<std::string> uncounted_succeeded, uncounted_failed;
  std::vector<JobCondition> conditions;

  bool operator==(const JobStatus&) const = default;
  const JobCondition* Find(std::string_view type) const;  // null when absent
  bool Is(std::string_view type) const;                   // status True
  // Sets the condition; false when its status was that already. One that is absent is as good as False.
  bool Set(std::string_view type, bool value, std::string_view reason, std::string_view message, Time now);
};

struct PodFailureRule {
  enum class Action : uint8_t { kFailJob, kFailIndex, kIgnore, kCount };
  Action action = Action::kCount;
  bool by_exit_codes = false;
  bool in = true;         // operator In, else NotIn
  std::string container;  // "" = any
  std::vector<int64_t> values;
  std::vector<std::pair<std::string, std::string>> conditions;  // type and status
};

struct JobSuccessRule {
  std::optional<IndexSet> indexes;
  std::optional<int64_t> count;
};

// What the planner needs of a Job: `object->view<JobView>()`.
struct JobView {
  JobView() = default;
  explicit JobView(const Json& job);

  std::string ns, name, uid;
  bool deleting = false;
  bool foreign = false;  // spec.managedBy names another controller
  LabelSelector selector = LabelSelector::Nothing();

  bool indexed = false, suspend = false, restart_on_failure = false;
  bool only_replace_failed = false;  // podReplacementPolicy Failed: going pods are no failures, and keep their place
  std::optional<int64_t> completions;
  int64_t parallelism = 1, backoff_limit = 6;
  std::optional<int64_t> backoff_limit_per_index, max_failed_indexes;
  std::optional<Duration> active_deadline, ttl;
  bool has_failure_policy = false;
  std::vector<PodFailureRule> failure_rules;
  std::vector<JobSuccessRule> success_rules;

  JobStatus status;

  bool finished() const { return status.Is("Complete") || status.Is("Failed"); }
  // When it finished. REQUIRES: finished().
  Time finished_at() const;
};

inline constexpr char kJobControllerName[] = "kubernetes.io/job-controller";

}  // namespace wherry
