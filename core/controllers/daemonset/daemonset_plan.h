#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/controllers/daemonset/daemonset_status.h"
#include "core/controllers/daemonset/daemonset_view.h"
#include "core/controllers/daemonset/node_verdict.h"
#include "core/controllers/failed_pod_backoff.h"
#include "core/controllers/pod_view.h"
#include "core/runtime/time.h"

namespace wherry {

// Everything one decision about a DaemonSet rests on: a snapshot. The views outlive the planning.
struct DaemonPod {
  std::string_view name, uid;
  const PodView* view;
};
struct DaemonNode {
  std::string_view name;
  const NodeVerdict* verdict;
};
struct DaemonSetInputs {
  const DaemonSetView* set = nullptr;
  std::string update_hash;        // label value of the current revision's pods
  std::vector<DaemonNode> nodes;  // sorted by name
  std::vector<DaemonPod> pods;    // the set's own
  const FailedPodBackoff* backoff = nullptr;
  std::function<bool(const std::string& name)> name_taken;  // by any pod of the namespace
  Time now;
};

// What to do, in this order: deletes, then creates (in slow-start batches).
struct DaemonSetPlan {
  struct Create {
    std::string node;
    std::string name;  // "" = generated from "<set>-"
    bool operator==(const Create&) const = default;
  };
  struct Delete {
    std::string name, uid;
    bool operator==(const Delete&) const = default;
  };
  struct Notice {  // an Event about the set
    std::string type, reason, message;
  };
  std::vector<Create> creates;
  std::vector<Delete> deletes;
  std::vector<Notice> notices;
  std::vector<std::string> raise_backoff;  // nodes whose failed pod is being replaced
  Duration requeue_after{0};               // > 0: when a back-off or minReadySeconds runs out
};

// At most this many pods are created, and deleted, by one reconcile.
inline constexpr size_t kDaemonSetBurst = 250;

// The decision, pure: coverage of the eligible nodes, replacement of failed pods, duplicates, and the rolling update's
// share. Deterministic: nodes are taken in the order of their names.
DaemonSetPlan PlanDaemonSet(const DaemonSetInputs& inputs);

// The numbers of status and why they are not full, from the same snapshot. `requeue_after` as in the plan, for
// minReadySeconds.
DaemonSetStatus ObserveDaemonSet(const DaemonSetInputs& inputs, Duration* requeue_after);

// True when a pod is of the set's current template.
bool IsUpdated(const DaemonSetInputs& inputs, const PodView& pod);

}  // namespace wherry
