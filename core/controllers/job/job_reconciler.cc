#include "core/controllers/job/job_reconciler.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "core/controllers/job/job_pod.h"
#include "core/controllers/ownership.h"
#include "core/controllers/slow_start.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr char kOrphanPrefix[] = "pod|";
constexpr size_t kWritesAtOnce = 64;

bool IsJob(const OwnerRef& owner) { return owner.kind == "Job" && owner.api_version.starts_with("batch/"); }

// The job that manages a pod, if it is there and that very one.
ObjectPtr JobOf(const WatchCache& cache, const Object& pod, const OwnerRef* owner) {
  if (!owner || !IsJob(*owner)) return nullptr;
  ObjectPtr job = cache.Get(resources::kJobs, pod.ns(), owner->name);
  return job && job->uid() == owner->uid ? job : nullptr;
}

}  // namespace

JobReconciler::JobReconciler(RuntimeContext context)
    : context_(context), events_(context, "job-controller"), pod_control_(context, events_) {}

Task<ReconcileResult> JobReconciler::Reconcile(std::string key) {
  ReconcileResult result;
  if (key.starts_with(kOrphanPrefix)) {
    result.status = co_await ReleaseOrphan(key.substr(sizeof kOrphanPrefix - 1));
    co_return result;
  }
  const auto [ns, name] = SplitKey(key);
  ObjectPtr job = context_.client.cache().Get(resources::kJobs, ns, name);
  if (!job || job->view<JobView>().finished() || job->view<JobView>().foreign) {
    known_.erase(key);
    co_return result;
  }
  if (Known& known = known_[key]; known.uid != job->uid()) known = Known{job->uid(), 0, std::nullopt};

  const std::string pods_resource(resources::kPods), finalizer(kJobTrackingFinalizer);
  const ClaimFilter every;
  const JobView& view = job->view<JobView>();
  Result<std::vector<ObjectPtr>> pods =
      co_await ClaimObjects(context_.client, pods_resource, job, view.selector, view.deleting, every, finalizer);
  if (!pods.ok()) {
    result.status = pods.status();
    co_return result;
  }
  known_[key].pods = pods->size();

  // Decide on what is there now: whoever waited for a write above was not alone.
  auto still_ours = [this, &job] {
    ObjectPtr latest = context_.client.cache().Get(job->key());
    if (!latest || latest->uid() != job->uid() || latest->view<JobView>().finished()) return false;
    job = std::move(latest);
    return true;
  };
  if (!still_ours()) co_return result;
  Snapshot now = Take(job, OwnPods(*job));
  JobPlan plan = PlanJob(now.inputs);
  if (!plan.creates.empty() || !plan.deletes.empty()) {
    Status acted = co_await Act(job, std::move(plan));
    if (!IsNamespaceTerminating(acted)) result.status = std::move(acted);
    if (!still_ours()) co_return result;
    now = Take(job, OwnPods(*job));
    plan = PlanJob(now.inputs);
  }
  result.requeue_after = plan.requeue_after;

  std::vector<ObjectPtr> release;
  const std::unordered_set<std::string_view> uids(plan.release.begin(), plan.release.end());
  for (const ObjectPtr& pod : now.pods) {
    if (uids.contains(pod->uid())) release.push_back(pod);
  }
  // What the status does not hold must not lose its finalizer.
  Status written = co_await WriteStatus(job, std::move(plan));
  if (written.ok()) written = co_await Release(std::move(release));
  if (result.status.ok()) result.status = std::move(written);
  co_return result;
}

JobReconciler::Snapshot JobReconciler::Take(ObjectPtr job, std::vector<ObjectPtr> pods) {
  Snapshot out;
  out.job = std::move(job);
  out.pods = std::move(pods);
  out.inputs.job = &out.job->view<JobView>();
  out.inputs.pods.reserve(out.pods.size());
  for (const ObjectPtr& pod : out.pods) out.inputs.pods.push_back({pod->name(), pod->uid(), &pod->view<JobPodView>()});
  out.inputs.backoff = known_[KeyOf(*out.job)].backoff;
  out.inputs.now = context_.clock.Now();
  return out;
}

std::vector<ObjectPtr> JobReconciler::OwnPods(const Object& job) const {
  const JobView& view = job.view<JobView>();
  return SortClaims(context_.client.cache(), resources::kPods, job, view.selector, view.deleting).ours;
}

Task<Status> JobReconciler::Act(ObjectPtr job, JobPlan plan) {
  auto shared = std::make_shared<const JobPlan>(std::move(plan));
  BatchStep remove = [this, job, shared](size_t i) { return DeleteOne(job, shared->deletes[i]); };
  Status status = co_await RunInGroups(shared->deletes.size(), kWritesAtOnce, remove);
  if (shared->creates.empty()) co_return status;
  const JsonPtr pod_template = std::make_shared<const Json>(JobPodTemplate(*job));
  BatchStep create = [this, job, shared, pod_template](size_t i) {
    return CreateOne(job, pod_template, shared->creates[i]);
  };
  Status created = co_await SlowStart(shared->creates.size(), 1, create);
  if (status.ok()) status = std::move(created);
  co_return status;
}

Task<Status> JobReconciler::CreateOne(ObjectPtr job, JsonPtr pod_template, JobPlan::Create create) {
  Json pod = JobPodFor(*pod_template, job->view<JobView>(), create);
  Status status = co_await pod_control_.Create(job, std::move(pod));
  co_return status;
}

Task<Status> JobReconciler::DeleteOne(ObjectPtr job, JobPlan::Delete pod) {
  if (pod.given_up) {
    const ObjectPtr object = context_.client.cache().Get(resources::kPods, job->ns(), pod.name);
    if (!object || object->uid() != pod.uid) co_return Status();
    // It may have ended since: then it is to be counted, not to be given up.
    if (!object->view<JobPodView>().active()) co_return Status();
    const std::string finalizer(kJobTrackingFinalizer);
    Status released = co_await RemoveFinalizer(context_.client, object, finalizer);
    if (!released.ok()) co_return released;
  }
  Status deleted = co_await pod_control_.Delete(job, pod.name, pod.uid);
  co_return deleted;
}

Task<Status> JobReconciler::WriteStatus(ObjectPtr job, JobPlan plan) {
  if (plan.status != job->view<JobView>().status) {
    Json document = *job->json();
    document["status"] = plan.status.ToJson();
    WriteOptions options;
    options.subresource = "status";
    Result<ObjectPtr> written = co_await context_.client.Update(job->key().resource, std::move(document), options);
    if (!written.ok()) co_return written.status();
  }
  for (const JobPlan::Notice& notice : plan.notices) {
    if (notice.type == "Warning") {
      events_.Warning(*job, notice.reason, notice.message);
    } else {
      events_.Normal(*job, notice.reason, notice.message);
    }
  }
  if (auto it = known_.find(KeyOf(*job)); it != known_.end() && it->second.uid == job->uid()) {
    it->second.backoff = plan.backoff;
  }
  co_return Status();
}

Task<Status> JobReconciler::Release(std::vector<ObjectPtr> pods) {
  auto shared = std::make_shared<const std::vector<ObjectPtr>>(std::move(pods));
  BatchStep step = [this, shared](size_t i) {
    return RemoveFinalizer(context_.client, (*shared)[i], kJobTrackingFinalizer);
  };
  Status status = co_await RunInGroups(shared->size(), kWritesAtOnce, step);
  co_return status;
}

Task<Status> JobReconciler::ReleaseOrphan(std::string key) {
  const auto [ns, name] = SplitKey(key);
  const ObjectPtr pod = context_.client.cache().Get(resources::kPods, ns, name);
  if (!pod || !pod->view<JobPodView>().tracked) co_return Status();
  const ObjectPtr job = JobOf(context_.client.cache(), *pod, pod->view<MetaView>().controller());
  if (job && (job->view<JobView>().foreign || !job->view<JobView>().finished())) co_return Status();
  const std::string finalizer(kJobTrackingFinalizer);
  Status status = co_await RemoveFinalizer(context_.client, pod, finalizer);
  co_return status;
}

Duration JobReconciler::Patience(const std::string& key) const {
  auto it = known_.find(key);
  if (it == known_.end() || it->second.pods < 100) return Duration(0);
  return std::min<Duration>(std::chrono::milliseconds(50), std::chrono::microseconds(10) * it->second.pods);
}

void JobReconciler::EnqueueOwner(const Object& pod, const OwnerRef& owner, WorkQueue& queue) const {
  std::string key = KeyOf(pod.ns(), owner.name);
  const Duration patience = Patience(key);
  queue.AddAfter(std::move(key), patience);
}

void JobReconciler::OnJob(const Event& event, WorkQueue& queue) {
  const Object& job = *event.object;
  queue.Add(KeyOf(job));
  if (event.type != EventType::kDeleted) return;
  for (const ObjectPtr& pod : context_.client.cache().ByIndex(kIndexOwnerUid, job.uid())) {
    if (pod->key().resource == resources::kPods) queue.Add(kOrphanPrefix + KeyOf(*pod));
  }
}

void JobReconciler::OnPod(const Event& event, WorkQueue& queue) {
  const Object& pod = *event.object;
  const MetaView& meta = pod.view<MetaView>();
  const OwnerRef* owner = meta.controller();
  const bool modified = event.type == EventType::kModified && event.previous;
  const OwnerRef* before_owner = modified ? event.previous->view<MetaView>().controller() : nullptr;
  // Most pods are other controllers': nothing more is read of them.
  const bool tracked =
      std::find(meta.finalizers.begin(), meta.finalizers.end(), kJobTrackingFinalizer) != meta.finalizers.end();
  if (owner && !IsJob(*owner) && !tracked && !(before_owner && IsJob(*before_owner))) return;

  const JobPodView& view = pod.view<JobPodView>();
  if (modified) {
    const MetaView& before = event.previous->view<MetaView>();
    const bool same_owner = (owner ? owner->uid : "") == (before_owner ? before_owner->uid : "");
    if (same_owner && meta.labels == before.labels && view == event.previous->view<JobPodView>()) return;
    if (!same_owner && before_owner && IsJob(*before_owner)) EnqueueOwner(pod, *before_owner, queue);
  }
  if (event.type != EventType::kDeleted && view.tracked && !JobOf(context_.client.cache(), pod, owner)) {
    queue.Add(kOrphanPrefix + KeyOf(pod));
  }
  if (owner) {
    if (IsJob(*owner)) EnqueueOwner(pod, *owner, queue);
    return;
  }
  // An orphan: whoever selects it may adopt it.
  if (event.type == EventType::kDeleted) return;
  context_.client.cache().ForEach(resources::kJobs, pod.ns(), [&](const ObjectPtr& job) {
    if (!job->view<JobView>().finished() && job->view<JobView>().selector.Matches(*meta.labels)) queue.Add(KeyOf(*job));
    return true;
  });
}

}  // namespace wherry
