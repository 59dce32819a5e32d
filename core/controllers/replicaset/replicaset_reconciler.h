#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/controllers/pod_control.h"
#include "core/controllers/replicaset/replica_kind.h"
#include "core/controllers/replicaset/replicaset_plan.h"
#include "core/controllers/replicaset/replicaset_status.h"
#include "core/runtime/controller.h"
#include "core/runtime/event_recorder.h"

namespace wherry {

// The acting half of the ReplicaSet and ReplicationController controllers; the deciding half is PlanReplicaSet. Shared
// by the functions of one ControllerSpec. What it remembers are sizes and back-offs: forgetting them costs time, never
// correctness. Control thread only.
class ReplicaSetReconciler {
 public:
  ReplicaSetReconciler(RuntimeContext context, const ReplicaKind& kind);

  Task<ReconcileResult> Reconcile(std::string key);

  // Which sets an event concerns.
  void OnSet(const Event& event, WorkQueue& queue);
  void OnPod(const Event& event, WorkQueue& queue);

 private:
  // A snapshot together with the objects its views point into.
  struct Snapshot {
    ObjectPtr set;
    std::vector<ObjectPtr> pods;
    ReplicaSetInputs inputs;
  };
  Snapshot Take(ObjectPtr set, std::vector<ObjectPtr> pods) const;
  std::vector<ObjectPtr> OwnPods(const Object& set) const;
  std::unordered_map<std::string, int64_t> ActivePerNode(const Snapshot& snapshot) const;

  // The outcome of creates and of deletes.
  struct Outcome {
    Status created, deleted;
  };
  Task<Outcome> Act(ObjectPtr set, ReplicaSetPlan plan, size_t first_batch);
  Task<Status> WriteStatus(ObjectPtr set, ReplicaSetStatus status, std::optional<ReplicaFailure> failure,
                           int64_t observed_generation);

  // A set of hundreds of pods is looked at after 10 us for each of them, at least five times a second, however many of
  // them report: a look costs so much. A small one at once.
  void EnqueueCalmly(const std::string& key, WorkQueue& queue) const;

  // Refused creates are tried again after 5 ms, 10 ms … 30 s, whatever else happens to the set in between: a quota or a
  // bad template must not be asked anew for every pod that reports. A changed spec is tried at once.
  struct Known {
    std::string uid;
    size_t pods = 0;
    size_t batch = 1;  // creates to begin with: the last burst's, if it went well
    int refusals = 0;
    Time try_again{};
    int64_t refused_generation = 0;
    std::string refusal;
  };
  Duration Held(const Known& known, int64_t generation) const;

  RuntimeContext context_;
  const ReplicaKind& kind_;
  EventRecorder events_;
  PodControl pod_control_;
  std::unordered_map<std::string, Known> known_;  // by key
};

}  // namespace wherry
