#include "core/controllers/storage/ephemeral_volumes.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/pod_control.h"
#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/kinds/storage_view.h"
#include "core/runtime/event_recorder.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

bool HasEphemeral(const Json& pod) {
  for (const Json& volume : ListAt(pod, "spec.volumes")) {
    if (Has(volume, "ephemeral")) return true;
  }
  return false;
}

class EphemeralVolumes {
 public:
  explicit EphemeralVolumes(RuntimeContext context) : context_(context), events_(context, "ephemeral_volume") {}

  Task<ReconcileResult> Reconcile(std::string key) {
    ReconcileResult result;
    const auto [ns, name] = SplitKey(key);
    const ObjectPtr pod = context_.client.cache().Get(resources::kPods, ns, name);
    if (!pod || pod->view<MetaView>().deleting()) co_return result;
    const JsonPtr document = pod->json();
    for (const Json& volume : ListAt(*document, "spec.volumes")) {
      if (!Has(volume, "ephemeral.volumeClaimTemplate")) continue;
      const Status made =
          co_await Ensure(pod, ClaimOfVolume(volume, name), At(volume, "ephemeral.volumeClaimTemplate"));
      if (!made.ok()) result.status = made;
    }
    co_return result;
  }

 private:
  Task<Status> Ensure(ObjectPtr pod, std::string name, Json claim_template) {
    const std::string claims(resources::kPersistentVolumeClaims);
    if (const ObjectPtr there = context_.client.cache().Get(claims, pod->ns(), name)) {
      const OwnerRef* owner = there->view<MetaView>().controller();
      if (owner == nullptr || owner->uid != pod->uid()) {
        events_.Warning(
            *pod, "ClaimNotOwned",
            "PVC " + pod->ns() + "/" + name + " was not created for pod " + KeyOf(*pod) + " (pod is not owner)");
      }
      co_return Status();
    }
    Json claim = std::move(claim_template);
    Json& metadata = claim["metadata"];
    if (!metadata.is_object()) metadata = Json::object();
    metadata["name"] = name;
    metadata["ownerReferences"] = Json::array({ControllerReference(*pod)});
    Result<ObjectPtr> made = co_await context_.client.Create(claims, pod->ns(), std::move(claim));
    if (made.ok() || made.status().reason() == Reason::kAlreadyExists || IsNamespaceTerminating(made.status()))
      co_return Status();
    events_.Warning(*pod, "FailedCreate", "Failed to create PVC " + name + ": " + made.status().message());
    co_return made.status();
  }

  RuntimeContext context_;
  EventRecorder events_;
};

}  // namespace

ControllerSpec EphemeralVolumeController(RuntimeContext context) {
  auto self = std::make_shared<EphemeralVolumes>(context);
  ControllerSpec spec;
  spec.name = "ephemeral-volume-controller";
  spec.watches = {{std::string(resources::kPods), [](const Event& event, WorkQueue& queue) {
                     if (event.type == EventType::kAdded && HasEphemeral(*event.object->json())) {
                       queue.Add(KeyOf(*event.object));
                     }
                   }}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
