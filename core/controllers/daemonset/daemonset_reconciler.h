#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/controllers/daemonset/daemonset_plan.h"
#include "core/controllers/daemonset/eligibility_cache.h"
#include "core/controllers/failed_pod_backoff.h"
#include "core/controllers/history.h"
#include "core/controllers/pod_control.h"
#include "core/runtime/controller.h"
#include "core/runtime/event_recorder.h"

namespace wherry {

// The acting half of the DaemonSet controller; the deciding half is PlanDaemonSet. Shared by the functions of one
// ControllerSpec. What it remembers are caches and back-offs: forgetting them costs time, never correctness. Control
// thread only.
class DaemonSetReconciler : public std::enable_shared_from_this<DaemonSetReconciler> {
 public:
  explicit DaemonSetReconciler(RuntimeContext context);

  Task<ReconcileResult> Reconcile(std::string key);

  // Which sets an event concerns.
  void OnSet(const Event& event, WorkQueue& queue);
  void OnPod(const Event& event, WorkQueue& queue);
  void OnNode(const Event& event, WorkQueue& queue);
  void OnRevision(const Event& event, WorkQueue& queue);

 private:
  // A snapshot together with the objects its views point into.
  struct Snapshot {
    ObjectPtr set;
    std::vector<ObjectPtr> nodes, pods;
    DaemonSetInputs inputs;
  };
  std::vector<ObjectPtr> OwnPods(const Object& set) const;
  Snapshot Take(ObjectPtr set, std::vector<ObjectPtr> pods, const std::string& update_hash);

  Task<Status> Act(ObjectPtr set, DaemonSetPlan plan, std::string update_hash);
  Task<Status> CreateOne(ObjectPtr set, JsonPtr pod_template, DaemonSetPlan::Create create);
  Task<Status> WriteStatus(ObjectPtr set, DaemonSetStatus status, int64_t observed_generation);
  void ForgetSet(const std::string& key);

  // In a cluster of thousands of nodes a set is looked at some twenty times a second at most, however many pods report;
  // a small one at once.
  Duration Patience(const std::string& key) const;
  void EnqueueCalmly(const std::string& key, WorkQueue& queue) const { queue.AddAfter(key, Patience(key)); }

  RuntimeContext context_;
  EventRecorder events_;
  PodControl pod_control_;
  EligibilityCache eligibility_;
  FailedPodBackoff backoff_;
  struct Known {
    std::string uid;
    size_t nodes = 0;
    size_t batch = 1;  // creates to begin with: the last burst's, if it went well
  };
  std::unordered_map<std::string, Known> known_;  // by key
};

}  // namespace wherry
