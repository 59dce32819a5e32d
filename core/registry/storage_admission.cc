#include "core/registry/storage_admission.h"

#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"
#include "core/kinds/storage_view.h"
#include "core/registry/admission.h"

namespace wherry {

Status AssignDefaultStorageClass(AdmissionRequest& request, const WatchCache& cache) {
  if (request.op != AdmissionRequest::Op::kCreate || request.kind.resource != resources::kPersistentVolumeClaims)
    return {};
  if (ClaimView(*request.object).storage_class) return {};
  ObjectPtr found;
  cache.ForEach(resources::kStorageClasses, {}, [&](const ObjectPtr& candidate) {
    const ClassView& view = candidate->view<ClassView>();
    if (view.is_default && (!found || view.created > found->view<ClassView>().created)) found = candidate;
    return true;
  });
  if (found) (*request.object)["spec"]["storageClassName"] = found->name();
  return {};
}

Status CheckClaimResize(AdmissionRequest& request, const WatchCache& cache) {
  const bool applies = request.op == AdmissionRequest::Op::kUpdate && request.subresource.empty() &&
                       request.kind.resource == resources::kPersistentVolumeClaims;
  if (!applies) return {};
  const ClaimView before(*request.old), now(*request.object);
  if (now.requested.Compare(before.requested) <= 0) return {};
  if (before.phase != "Bound") {
    return Forbidden(request.kind, request.name, "Only bound persistent volume claims can be expanded");
  }
  const ObjectPtr storage_class = cache.Get(resources::kStorageClasses, "", now.class_name());
  if (storage_class && storage_class->view<ClassView>().expands) return {};
  return Forbidden(request.kind, request.name,
                   "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                   "support resize");
}

}  // namespace wherry
