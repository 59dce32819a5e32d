#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/controllers/int_or_percent.h"
#include "core/kinds/selector.h"
#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

inline constexpr char kPodTemplateHash[] = "pod-template-hash";
inline constexpr char kRevision[] = "deployment.kubernetes.io/revision";
inline constexpr char kRevisionHistory[] = "deployment.kubernetes.io/revision-history";
inline constexpr char kDesiredReplicas[] = "deployment.kubernetes.io/desired-replicas";
inline constexpr char kMaxReplicas[] = "deployment.kubernetes.io/max-replicas";

// One of status.conditions.
struct DeploymentCondition {
  std::string type, status, reason, message;
  Time updated{}, transitioned{};
};

struct DeploymentCounters {
  int64_t replicas = 0, updated = 0, ready = 0, available = 0, unavailable = 0, terminating = 0;
};

// What the planner needs of a Deployment: `object->view<DeploymentView>()`.
struct DeploymentView {
  DeploymentView() = default;
  explicit DeploymentView(const Json& deployment);

  std::string name;
  int64_t generation = 0;
  bool deleting = false;

  int64_t replicas = 1;
  bool paused = false;
  bool recreate = false;
  IntOrPercent max_unavailable{25, true}, max_surge{25, true};
  int64_t min_ready_seconds = 0;
  std::optional<int64_t> progress_deadline;  // seconds; absent = progress is not judged
  std::optional<int64_t> history_limit;      // absent = everything is kept
  LabelSelector selector = LabelSelector::Nothing();
  bool selects_all = false;      // an empty selector: refused with an event
  uint64_t template_digest = 0;  // without the label pod-template-hash
  std::string revision;          // annotation, "" = none

  // status
  std::optional<int64_t> collision_count;
  DeploymentCounters counters;
  std::vector<DeploymentCondition> conditions;

  // The budget in pods: surge is rounded up, unavailability down; both zero means one unavailable, since nothing would
  // ever move otherwise. Recreate has neither.
  int64_t Surge() const;
  int64_t Unavailable() const;  // at most replicas
  const DeploymentCondition* Condition(std::string_view type) const;
};

// The same of one of its ReplicaSets.
struct RolloutSetView {
  RolloutSetView() = default;
  explicit RolloutSetView(const Json& set);

  Time created{};
  bool deleting = false;
  int64_t replicas = 0;  // spec
  int64_t min_ready_seconds = 0;
  uint64_t template_digest = 0;
  int64_t revision = 0;                          // annotation; 0 = none
  std::optional<int64_t> desired, max_replicas;  // annotations

  // status
  bool observed = false;  // the status is of this generation
  int64_t actual = 0, ready = 0, available = 0, terminating = 0;
  std::optional<DeploymentCondition> failure;  // its ReplicaFailure

  // What can be relied on while the set still follows its spec: never more than that asks for.
  int64_t SureReady() const { return std::min(ready, replicas); }
  int64_t SureAvailable() const { return std::min(available, replicas); }
  // Available pods that are left for certain when it shrinks to `size`: pods that are not ready go first; among ready
  // ones any may go.
  int64_t KeptAt(int64_t size) const {
    const int64_t lost = std::max<int64_t>(0, SureReady() - size);
    return std::max<int64_t>(0, SureAvailable() - lost);
  }
};

// A template without its pod-template-hash: what makes two of them the same.
Json PlainTemplate(const Json& pod_template);

}  // namespace wherry
