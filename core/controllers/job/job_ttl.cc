#include <memory>
#include <string>
#include <utility>

#include "core/controllers/job/job_controller.h"
#include "core/controllers/job/job_view.h"
#include "core/kinds/resources.h"

namespace wherry {
namespace {

bool Expires(const JobView& job) { return job.ttl && job.finished() && !job.deleting; }

Task<ReconcileResult> DeleteWhenExpired(RuntimeContext context, std::string key) {
  ReconcileResult result;
  const auto [ns, name] = SplitKey(key);
  const ObjectPtr job = context.client.cache().Get(resources::kJobs, ns, name);
  if (!job || !Expires(job->view<JobView>())) co_return result;
  const JobView& view = job->view<JobView>();
  const Duration left = view.finished_at() + *view.ttl - context.clock.Now();
  if (left > Duration::zero()) {
    result.requeue_after = left;
    co_return result;
  }
  DeleteOptions options;
  options.uid_precondition = job->uid();
  options.revision_precondition = job->revision();  // the ttl may just have been changed
  options.propagation = Propagation::kForeground;
  Result<ObjectPtr> gone = co_await context.client.Delete(job->key().resource, ns, name, options);
  if (!gone.ok() && gone.status().reason() != Reason::kNotFound) result.status = gone.status();
  co_return result;
}

}  // namespace

ControllerSpec JobTtlController(RuntimeContext context) {
  ControllerSpec spec;
  spec.name = "ttl-after-finished-controller";
  spec.watches = {{std::string(resources::kJobs), [](const Event& event, WorkQueue& queue) {
                     if (event.type != EventType::kDeleted && Expires(event.object->view<JobView>())) {
                       queue.Add(KeyOf(*event.object));
                     }
                   }}};
  spec.reconcile = [context](std::string key) { return DeleteWhenExpired(context, std::move(key)); };
  return spec;
}

}  // namespace wherry
