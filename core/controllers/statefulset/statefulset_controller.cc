#include "core/controllers/statefulset/statefulset_controller.h"

#include <memory>
#include <string>
#include <utility>

#include "core/controllers/statefulset/statefulset_reconciler.h"
#include "core/kinds/resources.h"

namespace wherry {

ControllerSpec StatefulSetController(RuntimeContext context) {
  auto self = std::make_shared<StatefulSetReconciler>(context);
  auto on = [&self](void (StatefulSetReconciler::*handler)(const Event&, WorkQueue&)) {
    return [self, handler](const Event& event, WorkQueue& queue) { ((*self).*handler)(event, queue); };
  };
  ControllerSpec spec;
  spec.name = "statefulset-controller";
  spec.watches = {{std::string(resources::kStatefulSets), EnqueueSelf},
                  {std::string(resources::kPods), on(&StatefulSetReconciler::OnPod)},
                  {std::string(resources::kControllerRevisions), on(&StatefulSetReconciler::OnRevision)},
                  {std::string(resources::kPersistentVolumeClaims), on(&StatefulSetReconciler::OnClaim)}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
