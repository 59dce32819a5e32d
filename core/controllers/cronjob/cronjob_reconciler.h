#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/controllers/cronjob/cronjob_plan.h"
#include "core/kinds/time_zone.h"
#include "core/runtime/controller.h"
#include "core/runtime/event_recorder.h"

namespace wherry {

// Carries out what PlanCronJob decides. Remembers only what has been told already. Control thread only.
class CronJobReconciler : public std::enable_shared_from_this<CronJobReconciler> {
 public:
  explicit CronJobReconciler(RuntimeContext context);

  Task<ReconcileResult> Reconcile(std::string key);
  void OnJob(const Event& event, WorkQueue& queue);

 private:
  CronJobPlan Plan(const Object& cron_job);
  // The zone of that name, read once; an error is not remembered.
  Result<std::shared_ptr<const TimeZone>> Zone(const std::string& name);
  // Before the status is stored only what is told once can be told: the rest would come again after a refusal.
  void Tell(const Object& cron_job, const std::vector<CronJobPlan::Notice>& notices, bool stored);

  Task<Status> Start(ObjectPtr cron_job, Time moment);
  Task<Status> DeleteJob(ObjectPtr cron_job, CronJobPlan::Delete job);
  Task<Status> WriteStatus(ObjectPtr cron_job, CronJobStatus status);

  RuntimeContext context_;
  EventRecorder events_;
  std::map<std::string, std::shared_ptr<const TimeZone>> zones_;
  struct Known {
    std::string uid;
    std::unordered_map<std::string, std::string> told;  // by reason: what it was last told for
  };
  std::unordered_map<std::string, Known> known_;  // by key
};

}  // namespace wherry
