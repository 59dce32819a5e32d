#include "core/controllers/replicaset/replicaset_controller.h"

#include <memory>
#include <string>
#include <utility>

#include "core/controllers/replicaset/replicaset_reconciler.h"
#include "core/kinds/resources.h"

namespace wherry {

const ReplicaKind kReplicaSetKind = {
    "replicaset-controller", "ReplicaSet", resources::kReplicaSets,
    [](const Object& object) -> const ReplicaSetView& { return object.view<ReplicaSetView>(); }, true};
const ReplicaKind kReplicationControllerKind = {
    "replication-controller", "ReplicationController", resources::kReplicationControllers,
    [](const Object& object) -> const ReplicaSetView& { return object.view<ReplicationControllerView>(); }, false};

namespace {

ControllerSpec Make(RuntimeContext context, const ReplicaKind& kind) {
  auto self = std::make_shared<ReplicaSetReconciler>(std::move(context), kind);
  auto on = [&self](void (ReplicaSetReconciler::*handler)(const Event&, WorkQueue&)) {
    return [self, handler](const Event& event, WorkQueue& queue) { ((*self).*handler)(event, queue); };
  };
  ControllerSpec spec;
  spec.name = kind.controller;
  spec.watches = {{std::string(kind.resource), on(&ReplicaSetReconciler::OnSet)},
                  {std::string(resources::kPods), on(&ReplicaSetReconciler::OnPod)}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace

ControllerSpec ReplicaSetController(RuntimeContext context) { return Make(std::move(context), kReplicaSetKind); }

ControllerSpec ReplicationControllerController(RuntimeContext context) {
  return Make(std::move(context), kReplicationControllerKind);
}

}  // namespace wherry
