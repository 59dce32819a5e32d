#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/controllers/failed_pod_backoff.h"
#include "core/controllers/pod_view.h"
#include "core/controllers/statefulset/stateful_pod_view.h"
#include "core/controllers/statefulset/statefulset_view.h"
#include "core/runtime/time.h"

namespace wherry {

// Everything one decision about a StatefulSet rests on: a snapshot. The views outlive the planning.
struct StatefulPod {
  std::string_view name, uid;
  int64_t ordinal;
  const PodView* view;
  const StatefulPodView* stateful;
};
struct StatefulSetInputs {
  const StatefulSetView* set = nullptr;
  std::string current_revision, update_revision;  // names; equal when nothing is being rolled out
  std::vector<StatefulPod> pods;                  // the set's own, at most one per ordinal
  const FailedPodBackoff* backoff = nullptr;
  // A claim of this ordinal is on its way out (with a pod that is gone): no new pod may take it. Empty = none is.
  std::function<bool(int64_t ordinal)> claim_leaving;
  Time now;
};

// What to do, in this order: relabel, deletes, creates.
struct StatefulSetPlan {
  struct Create {
    int64_t ordinal;
    std::string revision;  // whose template it is made from
    bool operator==(const Create&) const = default;
  };
  struct Delete {
    std::string name, uid;
    bool operator==(const Delete&) const = default;
  };
  struct Notice {  // an Event about the set
    std::string type, reason, message;
  };
  std::vector<std::string> relabel;  // pods whose name and index labels are not theirs
  std::vector<Create> creates;
  std::vector<Delete> deletes;
  std::vector<Notice> notices;
  std::vector<int64_t> raise_backoff;  // ordinals whose ended pod is being replaced
  Duration requeue_after{0};           // > 0: when a back-off or minReadySeconds runs out
  std::string waits_for;               // what holds the set up, for people; "" = nothing
};

// At most this many pods are created, and deleted, by one reconcile.
inline constexpr size_t kStatefulSetBurst = 250;

// The decision, pure (docs/statefulset.md): fill the range of ordinals, empty what is outside, roll out the update.
StatefulSetPlan PlanStatefulSet(const StatefulSetInputs& inputs);

// The numbers of status.
struct StatefulSetStatus {
  int64_t replicas = 0, ready = 0, available = 0;
  int64_t current = 0, updated = 0;  // pods of the current and of the update revision; the same pods when they are one
  std::string current_revision, update_revision;
  bool operator==(const StatefulSetStatus&) const = default;
};
// From the same snapshot. When every pod is of the update revision and ready, that becomes the current one.
StatefulSetStatus ObserveStatefulSet(const StatefulSetInputs& inputs);

// The new status document over what `old` (may be null) holds.
Json StatusDocument(const StatefulSetStatus& status, const std::string& waits_for, const Json* old,
                    int64_t observed_generation, Time now);

// Beyond upstream: a condition that says which pod an ordered set waits for, and why.
inline constexpr char kStatefulSetWaiting[] = "wherry.dev/Waiting";

}  // namespace wherry
