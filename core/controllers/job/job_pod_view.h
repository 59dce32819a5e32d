#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/controllers/pod_view.h"
#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// What the Job controller looks at in a pod: `object->view<JobPodView>()`. Equal views mean that nothing it acts on has
// changed.
struct JobPodView {
  using Phase = PodView::Phase;

  JobPodView() = default;
  explicit JobPodView(const Json& pod);

  Phase phase = Phase::kPending;
  bool scheduled = false, ready = false, deleting = false;
  bool tracked = false;  // has the finalizer batch.kubernetes.io/job-tracking: not counted for good yet
  Time created{}, ready_since{};
  Time finished{};                                          // when it ended or was told to go; else when its life began
  int64_t index = -1;                                       // completion index; -1 = none that can be read
  int64_t index_failures = 0, index_ignored = 0;            // of its index before this pod (backoffLimitPerIndex)
  int64_t restarts = 0;                                     // of all its containers
  std::vector<std::pair<std::string, int64_t>> exit_codes;  // of ended containers, where not 0
  std::vector<std::pair<std::string, std::string>> conditions;  // type and status

  bool operator==(const JobPodView&) const = default;
  bool terminal() const { return phase == Phase::kSucceeded || phase == Phase::kFailed; }
  bool active() const { return !terminal() && !deleting; }
  bool terminating() const { return !terminal() && deleting; }
};

inline constexpr char kJobTrackingFinalizer[] = "batch.kubernetes.io/job-tracking";
inline constexpr char kCompletionIndexKey[] = "batch.kubernetes.io/job-completion-index";  // annotation and label
inline constexpr char kIndexFailureCount[] = "batch.kubernetes.io/job-index-failure-count";
inline constexpr char kIndexIgnoredFailureCount[] = "batch.kubernetes.io/job-index-ignored-failure-count";

// A job's pods that go first when some must: not scheduled, not running, not ready, shorter ready, more restarts,
// newer.
bool LessAdvanced(const JobPodView& a, const JobPodView& b);

}  // namespace wherry
