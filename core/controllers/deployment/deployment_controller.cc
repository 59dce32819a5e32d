#include "core/controllers/deployment/deployment_controller.h"

#include <memory>
#include <string>
#include <utility>

#include "core/controllers/deployment/deployment_reconciler.h"
#include "core/kinds/resources.h"

namespace wherry {

ControllerSpec DeploymentController(RuntimeContext context) {
  auto self = std::make_shared<DeploymentReconciler>(std::move(context));
  auto on = [&self](void (DeploymentReconciler::*handler)(const Event&, WorkQueue&)) {
    return [self, handler](const Event& event, WorkQueue& queue) { ((*self).*handler)(event, queue); };
  };
  ControllerSpec spec;
  spec.name = "deployment-controller";
  spec.watches = {{std::string(resources::kDeployments), EnqueueSelf},
                  {std::string(resources::kReplicaSets), on(&DeploymentReconciler::OnReplicaSet)},
                  {std::string(resources::kPods), on(&DeploymentReconciler::OnPod)}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
