#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/controllers/job/job_plan.h"
#include "core/controllers/pod_control.h"
#include "core/runtime/controller.h"
#include "core/runtime/event_recorder.h"
#include "core/runtime/object_view.h"

namespace wherry {

// Carries out what PlanJob decides. Keeps the failure back-offs of the jobs in memory; what it forgets, the pods that
// are left tell. Keys are "namespace/name" of jobs, and "pod|namespace/name" of pods whose job is gone and that still
// hold the tracking finalizer. Control thread only.
class JobReconciler : public std::enable_shared_from_this<JobReconciler> {
 public:
  explicit JobReconciler(RuntimeContext context);

  Task<ReconcileResult> Reconcile(std::string key);

  // Which jobs an event concerns.
  void OnJob(const Event& event, WorkQueue& queue);
  void OnPod(const Event& event, WorkQueue& queue);

 private:
  // A snapshot together with the objects its views point into.
  struct Snapshot {
    ObjectPtr job;
    std::vector<ObjectPtr> pods;
    JobInputs inputs;
  };
  Snapshot Take(ObjectPtr job, std::vector<ObjectPtr> pods);
  std::vector<ObjectPtr> OwnPods(const Object& job) const;

  Task<Status> Act(ObjectPtr job, JobPlan plan);
  Task<Status> CreateOne(ObjectPtr job, JsonPtr pod_template, JobPlan::Create create);
  Task<Status> DeleteOne(ObjectPtr job, JobPlan::Delete pod);
  Task<Status> WriteStatus(ObjectPtr job, JobPlan plan);
  Task<Status> Release(std::vector<ObjectPtr> pods);
  Task<Status> ReleaseOrphan(std::string key);

  // A job of thousands of pods is looked at some twenty times a second at most, however many of them report.
  Duration Patience(const std::string& key) const;
  void EnqueueOwner(const Object& pod, const OwnerRef& owner, WorkQueue& queue) const;

  RuntimeContext context_;
  EventRecorder events_;
  PodControl pod_control_;
  struct Known {
    std::string uid;
    size_t pods = 0;
    std::optional<JobBackoff> backoff;
  };
  std::unordered_map<std::string, Known> known_;  // by key, of jobs that are not finished
};

}  // namespace wherry
