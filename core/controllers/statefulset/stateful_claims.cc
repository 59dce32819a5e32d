#include "core/controllers/statefulset/stateful_claims.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/pod_control.h"
#include "core/controllers/statefulset/stateful_pod.h"
#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {

Task<Status> StatefulClaims::MakeMissing(ObjectPtr set, int64_t ordinal) {
  const StatefulSetView& view = set->view<StatefulSetView>();
  const std::string pod = view.PodName(ordinal);
  const std::string resource(resources::kPersistentVolumeClaims);
  for (Json& claim : ClaimsFor(*set, ordinal)) {
    const std::string name = StringAt(claim, "metadata.name");
    if (const ObjectPtr there = client_.cache().Get(resource, set->ns(), name)) {
      if (!there->view<MetaView>().deleting()) continue;
      co_return Status(Reason::kConflict, "pvc " + name + " is being deleted");
    }
    const ClaimPod none;
    Json owners = ClaimOwners(view, ordinal, none, Json());
    if (!owners.empty()) claim["metadata"]["ownerReferences"] = std::move(owners);
    Result<ObjectPtr> made = co_await client_.Create(resource, set->ns(), std::move(claim));
    if (made.ok()) {
      events_.Normal(*set, "SuccessfulCreate",
                     "create Claim " + name + " Pod " + pod + " in StatefulSet " + view.name + " success");
    } else if (made.status().reason() != Reason::kAlreadyExists) {
      if (!IsNamespaceTerminating(made.status())) {
        events_.Warning(*set, "FailedCreate",
                        "create Claim " + name + " for Pod " + pod + " in StatefulSet " + view.name +
                            " failed error: " + made.status().message());
      }
      co_return made.status();
    }
  }
  co_return Status();
}

Task<Status> StatefulClaims::KeepOwners(ObjectPtr set, int64_t ordinal, ClaimPod pod) {
  const StatefulSetView& view = set->view<StatefulSetView>();
  Status first;
  for (const std::string& claim : view.claims) {
    const std::string name = view.ClaimName(claim, ordinal);
    const ObjectPtr there = client_.cache().Get(resources::kPersistentVolumeClaims, set->ns(), name);
    if (!there || there->view<MetaView>().deleting()) continue;
    const JsonPtr document = there->json();
    const Json& owners = At(*document, "metadata.ownerReferences");
    if (ClaimHasOtherController(view, ordinal, owners)) {
      if (view.delete_claims_when_scaled || view.delete_claims_with_set) {
        events_.Warning(*there, "UnexpectedController",
                        "PersistentVolumeClaim " + name +
                            " has a conflicting OwnerReference that acts as a managing controller, the retention "
                            "policy is ignored for this claim");
      }
      continue;
    }
    Json wanted = ClaimOwners(view, ordinal, pod, owners);
    if (wanted == owners || (wanted.empty() && owners.is_null())) continue;
    Json changed = *document;
    if (wanted.empty()) {
      changed["metadata"].erase("ownerReferences");
    } else {
      changed["metadata"]["ownerReferences"] = std::move(wanted);
    }
    Result<ObjectPtr> updated = co_await client_.Update(there->key().resource, std::move(changed));
    if (!updated.ok() && updated.status().reason() != Reason::kNotFound && first.ok()) first = updated.status();
  }
  co_return first;
}

bool StatefulClaims::Leaving(const Object& set, int64_t ordinal) const {
  const StatefulSetView& view = set.view<StatefulSetView>();
  for (const std::string& claim : view.claims) {
    const ObjectPtr there =
        client_.cache().Get(resources::kPersistentVolumeClaims, set.ns(), view.ClaimName(claim, ordinal));
    if (!there) continue;
    if (there->view<MetaView>().deleting()) return true;
    const JsonPtr document = there->json();
    if (ClaimIsLeaving(view, ordinal, "", At(*document, "metadata.ownerReferences"))) return true;
  }
  return false;
}

}  // namespace wherry
