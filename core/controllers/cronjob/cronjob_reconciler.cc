#include "core/controllers/cronjob/cronjob_reconciler.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/pod_control.h"
#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// RFC 3339 in a zone's own time.
std::string LocalTime(Time time, Duration offset) {
  std::string text = FormatTime(time + offset);
  const int64_t minutes = std::chrono::floor<std::chrono::minutes>(offset).count();
  if (minutes == 0) return text;
  char suffix[16];
  std::snprintf(suffix, sizeof suffix, "%c%02d:%02d", minutes < 0 ? '-' : '+', static_cast<int>(std::abs(minutes) / 60),
                static_cast<int>(std::abs(minutes) % 60));
  text.pop_back();
  return text + suffix;
}

// What the planner reads of a Job's metadata.
struct ChildView {
  explicit ChildView(const Json& job) {
    const auto& annotations = MapAt(job, "metadata.annotations");
    if (auto it = annotations.find(kScheduledTimestamp); it != annotations.end() && it->second.is_string()) {
      Time time;
      if (ParseTime(it->second.get_ref<const std::string&>(), &time)) scheduled_for = time;
    }
    by_hand = annotations.contains(kInstantiate);
  }
  std::optional<Time> scheduled_for;
  bool by_hand = false;
};

bool IsCronJob(const OwnerRef& owner) { return owner.kind == "CronJob" && owner.api_version.starts_with("batch/"); }

}  // namespace

CronJobReconciler::CronJobReconciler(RuntimeContext context)
    : context_(context), events_(context, "cronjob-controller") {}

Task<ReconcileResult> CronJobReconciler::Reconcile(std::string key) {
  ReconcileResult result;
  const auto [ns, name] = SplitKey(key);
  ObjectPtr cron_job = context_.client.cache().Get(resources::kCronJobs, ns, name);
  if (!cron_job) {
    known_.erase(key);
    co_return result;
  }
  if (Known& known = known_[key]; known.uid != cron_job->uid()) known = Known{cron_job->uid(), {}};

  CronJobPlan plan = Plan(*cron_job);
  Tell(*cron_job, plan.notices, false);
  const bool acts = plan.start || !plan.replaced.empty();
  for (const CronJobPlan::Delete& job : plan.replaced) {
    Status deleted = co_await DeleteJob(cron_job, job);
    if (!deleted.ok()) {
      result.status = std::move(deleted);
      co_return result;
    }
  }
  if (plan.start) result.status = co_await Start(cron_job, *plan.start);
  std::vector<CronJobPlan::Delete> expired = std::move(plan.expired);

  if (acts) {
    // The new Job, and those that are gone, as they are now.
    const std::string uid = cron_job->uid();
    cron_job = context_.client.cache().Get(resources::kCronJobs, ns, name);
    if (!cron_job || cron_job->uid() != uid) co_return result;
    plan = Plan(*cron_job);
  }
  Status written = co_await WriteStatus(cron_job, plan.status);
  if (written.ok()) Tell(*cron_job, plan.notices, true);
  if (result.status.ok()) result.status = std::move(written);
  for (const CronJobPlan::Delete& job : expired) {
    Status deleted = co_await DeleteJob(cron_job, job);
    if (result.status.ok()) result.status = std::move(deleted);
  }
  if (plan.wake) result.requeue_after = std::max<Duration>(*plan.wake - context_.clock.Now(), Duration(1));
  co_return result;
}

CronJobPlan CronJobReconciler::Plan(const Object& object) {
  const CronJobView& cron_job = object.view<CronJobView>();
  CronJobInputs in;
  in.cron_job = &cron_job;
  in.now = context_.clock.Now();
  const std::vector<ObjectPtr> owned = context_.client.cache().ByIndex(kIndexOwnerUid, object.uid());
  for (const ObjectPtr& job : owned) {
    const OwnerRef* owner = job->view<MetaView>().controller();
    if (job->key().resource != resources::kJobs || job->ns() != object.ns()) continue;
    if (!owner || owner->uid != object.uid()) continue;
    const ChildView& child = job->view<ChildView>();
    in.children.push_back(
        {job->name(), job->uid(), job->revision(), &job->view<JobView>(), child.scheduled_for, child.by_hand});
  }
  Result<std::shared_ptr<const TimeZone>> zone = Zone(cron_job.time_zone);
  Result<CronSchedule> schedule = CronSchedule::Parse(cron_job.schedule);
  if (!zone.ok()) {
    in.trouble_reason = "UnknownTimeZone";
    in.trouble = "invalid timeZone: \"" + cron_job.time_zone + "\": " + zone.status().message();
  } else if (!schedule.ok()) {
    in.trouble_reason = "UnparseableSchedule";
    in.trouble = "unparseable schedule: \"" + cron_job.schedule + "\" : " + schedule.status().message();
  } else {
    in.schedule = &*schedule;
    if (*zone) in.offset = [rules = *zone](Time utc) { return rules->OffsetAt(utc); };
  }
  return PlanCronJob(in);
}

Result<std::shared_ptr<const TimeZone>> CronJobReconciler::Zone(const std::string& name) {
  if (name.empty() || name == "UTC") return std::shared_ptr<const TimeZone>();
  auto found = zones_.find(name);
  if (found != zones_.end()) return found->second;
  Result<TimeZone> loaded = TimeZone::Load(name);
  if (!loaded.ok()) return loaded.status();
  return zones_.emplace(name, std::make_shared<const TimeZone>(std::move(*loaded))).first->second;
}

void CronJobReconciler::Tell(const Object& cron_job, const std::vector<CronJobPlan::Notice>& notices, bool stored) {
  auto& told = known_[KeyOf(cron_job)].told;
  for (const CronJobPlan::Notice& notice : notices) {
    if (notice.once_for.empty() && !stored) continue;
    if (!notice.once_for.empty()) {
      std::string& last = told[notice.reason];
      if (last == notice.once_for) continue;
      last = notice.once_for;
    }
    if (notice.type == "Warning") {
      events_.Warning(cron_job, notice.reason, notice.message);
    } else {
      events_.Normal(cron_job, notice.reason, notice.message);
    }
  }
}

Task<Status> CronJobReconciler::Start(ObjectPtr cron_job, Time moment) {
  const JsonPtr document = cron_job->json();
  const Json& pattern = At(*document, "spec.jobTemplate");
  Result<std::shared_ptr<const TimeZone>> zone = Zone(cron_job->view<CronJobView>().time_zone);
  const Duration offset = zone.ok() && *zone ? (*zone)->OffsetAt(moment) : Duration(0);
  Json metadata = {{"name", CronJobChildName(cron_job->name(), moment)}, {"namespace", cron_job->ns()}};
  for (const char* field : {"labels", "annotations"}) {
    const Json& from = At(At(pattern, "metadata"), field);
    if (from.is_object()) metadata[field] = from;
  }
  metadata["annotations"][kScheduledTimestamp] = LocalTime(moment, offset);
  metadata["ownerReferences"] = Json::array({ControllerReference(*cron_job)});
  Json job = {{"metadata", std::move(metadata)}, {"spec", At(pattern, "spec")}};
  const std::string resource(resources::kJobs);
  Result<ObjectPtr> made = co_await context_.client.Create(resource, cron_job->ns(), std::move(job));
  if (made.ok()) {
    events_.Normal(*cron_job, "SuccessfulCreate", "Created job " + made.value()->name());
    co_return Status();
  }
  if (IsNamespaceTerminating(made.status())) co_return Status();
  events_.Warning(*cron_job, "FailedCreate", "Error creating job: " + made.status().message());
  // A stranger has this moment's name: nothing to try again before the next moment.
  if (made.status().reason() == Reason::kAlreadyExists) co_return Status();
  co_return made.status();
}

Task<Status> CronJobReconciler::DeleteJob(ObjectPtr cron_job, CronJobPlan::Delete job) {
  DeleteOptions options;
  options.uid_precondition = job.uid;
  options.propagation = Propagation::kBackground;
  const std::string resource(resources::kJobs);
  Result<ObjectPtr> gone = co_await context_.client.Delete(resource, cron_job->ns(), job.name, options);
  if (gone.ok()) {
    events_.Normal(*cron_job, "SuccessfulDelete", "Deleted job " + job.name);
    co_return Status();
  }
  const Reason reason = gone.status().reason();
  if (reason == Reason::kNotFound || reason == Reason::kConflict) co_return Status();
  events_.Warning(*cron_job, "FailedDelete", "Deleted job: " + gone.status().message());
  co_return gone.status();
}

Task<Status> CronJobReconciler::WriteStatus(ObjectPtr cron_job, CronJobStatus status) {
  if (status == cron_job->view<CronJobView>().status) co_return Status();
  Json document = *cron_job->json();
  document["status"] = status.ToJson(cron_job->ns());
  WriteOptions options;
  options.subresource = "status";
  Result<ObjectPtr> written = co_await context_.client.Update(cron_job->key().resource, std::move(document), options);
  co_return written.ok() || written.status().reason() == Reason::kNotFound ? Status() : written.status();
}

void CronJobReconciler::OnJob(const Event& event, WorkQueue& queue) {
  const JobView& job = event.object->view<JobView>();
  const OwnerRef* owner = event.object->view<MetaView>().controller();
  if (event.type == EventType::kModified && event.previous) {
    const JobView& before = event.previous->view<JobView>();
    const OwnerRef* before_owner = event.previous->view<MetaView>().controller();
    const bool same_owner = (owner ? owner->uid : "") == (before_owner ? before_owner->uid : "");
    if (same_owner && job.finished() == before.finished() && job.deleting == before.deleting) return;
    if (!same_owner && before_owner && IsCronJob(*before_owner)) {
      queue.Add(KeyOf(event.object->ns(), before_owner->name));
    }
  }
  if (owner && IsCronJob(*owner)) queue.Add(KeyOf(event.object->ns(), owner->name));
}

}  // namespace wherry
