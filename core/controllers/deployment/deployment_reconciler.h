#pragma once

#include <string>
#include <vector>

#include "core/controllers/deployment/deployment_plan.h"
#include "core/controllers/deployment/deployment_status.h"
#include "core/runtime/controller.h"
#include "core/runtime/event_recorder.h"

namespace wherry {

// The acting half of the Deployment controller; the deciding half is PlanDeployment and ReportRollout. Remembers
// nothing. Control thread only.
class DeploymentReconciler {
 public:
  explicit DeploymentReconciler(RuntimeContext context);

  Task<ReconcileResult> Reconcile(std::string key);

  // Which Deployments an event concerns.
  void OnReplicaSet(const Event& event, WorkQueue& queue);
  // Pods concern a Deployment only when it waits for old ones to be gone.
  void OnPod(const Event& event, WorkQueue& queue);

 private:
  // A snapshot together with the objects its views point into.
  struct Snapshot {
    ObjectPtr deployment, newest;
    std::vector<ObjectPtr> old;
    DeploymentInputs inputs;
  };
  Snapshot Take(ObjectPtr deployment, std::vector<ObjectPtr> sets) const;
  bool AnyPodsLeft(const std::vector<ObjectPtr>& sets) const;

  // Brings revision, annotations and minReadySeconds of the newest ReplicaSet and the revision of its Deployment up to
  // date. `*changed` tells whether anything was written.
  Task<Status> SyncRevision(ObjectPtr deployment, ObjectPtr newest, int64_t revision, bool* changed);
  // kAlreadyExists: the name was taken by another template; the collision is counted, which makes another name.
  Task<Status> CreateNewest(ObjectPtr deployment, int64_t revision, int64_t replicas, RolloutNews* news);
  Task<Status> Scale(ObjectPtr deployment, DeploymentPlan::Scale scale);
  Task<Status> Remove(ObjectPtr deployment, std::string name);
  Task<Status> WriteStatus(ObjectPtr deployment, Json status);

  RuntimeContext context_;
  EventRecorder events_;
};

}  // namespace wherry
