#include "core/controllers/deployment/new_replica_set.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/deployment/deployment_revision.h"
#include "core/controllers/deployment/deployment_view.h"
#include "core/controllers/pod_control.h"
#include "core/kinds/fields.h"

namespace wherry {

Json NewReplicaSet(const Object& deployment, const std::string& hash, int64_t revision, int64_t replicas) {
  const JsonPtr document = deployment.json();
  const DeploymentView& view = deployment.view<DeploymentView>();
  Json pod_template = At(*document, "spec.template");
  pod_template["metadata"]["labels"][kPodTemplateHash] = hash;
  Json selector = At(*document, "spec.selector");
  selector["matchLabels"][kPodTemplateHash] = hash;

  Json metadata = {{"name", deployment.name() + "-" + hash},
                   {"namespace", deployment.ns()},
                   {"labels", pod_template["metadata"]["labels"]},
                   {"ownerReferences", Json::array({ControllerReference(deployment)})}};
  Json set = {{"metadata", std::move(metadata)}};
  Json annotations = RevisedAnnotations(*document, set, revision);
  annotations[kDesiredReplicas] = std::to_string(view.replicas);
  annotations[kMaxReplicas] = std::to_string(view.replicas + view.Surge());
  set["metadata"]["annotations"] = std::move(annotations);
  set["spec"] = {{"replicas", replicas}, {"selector", std::move(selector)}, {"template", std::move(pod_template)}};
  if (view.min_ready_seconds != 0) set["spec"]["minReadySeconds"] = view.min_ready_seconds;
  return set;
}

}  // namespace wherry
