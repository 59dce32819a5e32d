#include "core/controllers/daemonset/daemonset_controller.h"

#include <memory>
#include <string>
#include <utility>

#include "core/controllers/daemonset/daemonset_reconciler.h"
#include "core/kinds/resources.h"

namespace wherry {

ControllerSpec DaemonSetController(RuntimeContext context) {
  auto self = std::make_shared<DaemonSetReconciler>(context);
  auto on = [&self](void (DaemonSetReconciler::*handler)(const Event&, WorkQueue&)) {
    return [self, handler](const Event& event, WorkQueue& queue) { ((*self).*handler)(event, queue); };
  };
  ControllerSpec spec;
  spec.name = "daemonset-controller";
  spec.watches = {{std::string(resources::kDaemonSets), on(&DaemonSetReconciler::OnSet)},
                  {std::string(resources::kPods), on(&DaemonSetReconciler::OnPod)},
                  {std::string(resources::kNodes), on(&DaemonSetReconciler::OnNode)},
                  {std::string(resources::kControllerRevisions), on(&DaemonSetReconciler::OnRevision)}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
