#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/controllers/failed_pod_backoff.h"
#include "core/controllers/history.h"
#include "core/controllers/statefulset/stateful_claims.h"
#include "core/controllers/statefulset/statefulset_plan.h"
#include "core/runtime/controller.h"
#include "core/runtime/event_recorder.h"

namespace wherry {

// The acting half of the StatefulSet controller; the deciding half is PlanStatefulSet. What it remembers are back-offs:
// forgetting them costs time, never correctness. Control thread only.
class StatefulSetReconciler : public std::enable_shared_from_this<StatefulSetReconciler> {
 public:
  explicit StatefulSetReconciler(RuntimeContext context);

  Task<ReconcileResult> Reconcile(std::string key);

  // Which sets an event concerns.
  void OnPod(const Event& event, WorkQueue& queue);
  void OnRevision(const Event& event, WorkQueue& queue);
  void OnClaim(const Event& event, WorkQueue& queue);

 private:
  // A snapshot together with the objects its views point into.
  struct Snapshot {
    ObjectPtr set;
    std::vector<ObjectPtr> pods;
    StatefulSetInputs inputs;
  };
  Snapshot Take(ObjectPtr set, std::vector<ObjectPtr> pods, const History& history) const;
  std::vector<ObjectPtr> OwnPods(const Object& set) const;

  Task<Status> Act(ObjectPtr set, StatefulSetPlan plan, std::map<std::string, ObjectPtr> revisions);
  Task<Status> KeepClaims(ObjectPtr set, std::vector<ObjectPtr> pods);
  Task<Status> CreateOne(ObjectPtr set, ObjectPtr revision, int64_t ordinal);
  Task<Status> DeleteOne(ObjectPtr set, StatefulSetPlan::Delete pod);
  Task<Status> Relabel(ObjectPtr set, std::string pod);
  Task<Status> WriteStatus(ObjectPtr set, Json status);

  RuntimeContext context_;
  EventRecorder events_;
  StatefulClaims claims_;
  FailedPodBackoff backoff_;
  std::unordered_map<std::string, std::string> uids_;  // by key: whose back-offs there are
};

}  // namespace wherry
