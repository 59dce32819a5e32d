#include "core/controllers/cronjob/cronjob_controller.h"

#include <memory>
#include <string>
#include <utility>

#include "core/controllers/cronjob/cronjob_reconciler.h"
#include "core/kinds/resources.h"

namespace wherry {

ControllerSpec CronJobController(RuntimeContext context) {
  auto self = std::make_shared<CronJobReconciler>(context);
  ControllerSpec spec;
  spec.name = "cronjob-controller";
  spec.watches = {
      {std::string(resources::kCronJobs), EnqueueSelf},
      {std::string(resources::kJobs), [self](const Event& event, WorkQueue& queue) { self->OnJob(event, queue); }}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
