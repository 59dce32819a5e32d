#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/controllers/pod_view.h"
#include "core/controllers/replicaset/replicaset_view.h"
#include "core/runtime/time.h"

namespace wherry {

// Everything one decision about a ReplicaSet (or ReplicationController) rests on: a snapshot. The views outlive the
// planning.
struct ReplicaPod {
  std::string_view name, uid;
  const PodView* view = nullptr;
  const Labels* labels = nullptr;
};
struct ReplicaSetInputs {
  const ReplicaSetView* set = nullptr;
  std::vector<ReplicaPod> pods;  // the set's own
  // Active pods on a node of this set and of those with the same owner. Asked only when some of them must go.
  std::function<int64_t(const std::string& node)> neighbours;
  Time now;
};

// What to do: creates or deletes, never both.
struct ReplicaSetPlan {
  struct Delete {
    std::string name, uid;
    bool operator==(const Delete&) const = default;
  };
  size_t creates = 0;
  std::vector<Delete> deletes;  // first the ones that are missed least
  bool more = false;            // the burst did not reach: go on at once
};

// At most this many pods are created, or deleted, by one reconcile.
inline constexpr size_t kReplicaSetBurst = 500;

// The decision, pure. Failed, succeeded and going pods do not count: each is replaced.
ReplicaSetPlan PlanReplicaSet(const ReplicaSetInputs& inputs);

// The numbers of status, from the same snapshot.
struct ReplicaSetStatus {
  int64_t replicas = 0, fully_labeled = 0, ready = 0, available = 0;
  int64_t terminating = 0;  // on their way out and not ended yet
  bool operator==(const ReplicaSetStatus&) const = default;
};
// `*requeue_after` is lowered to the moment when the next ready pod has been so for minReadySeconds; zero = none.
ReplicaSetStatus ObserveReplicaSet(const ReplicaSetInputs& inputs, Duration* requeue_after);

}  // namespace wherry
