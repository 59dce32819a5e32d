#include "core/controllers/job/job_controller.h"

#include <memory>
#include <string>
#include <utility>

#include "core/controllers/job/job_reconciler.h"
#include "core/kinds/resources.h"

namespace wherry {

ControllerSpec JobController(RuntimeContext context) {
  auto self = std::make_shared<JobReconciler>(context);
  ControllerSpec spec;
  spec.name = "job-controller";
  spec.watches = {
      {std::string(resources::kJobs), [self](const Event& event, WorkQueue& queue) { self->OnJob(event, queue); }},
      {std::string(resources::kPods), [self](const Event& event, WorkQueue& queue) { self->OnPod(event, queue); }}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
