#include "core/controllers/statefulset/stateful_pod.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/pod_control.h"
#include "core/controllers/pod_view.h"
#include "core/controllers/statefulset/stateful_pod_view.h"
#include "core/controllers/statefulset/statefulset_view.h"
#include "core/kinds/fields.h"

namespace wherry {

Json StatefulPodFor(const Object& set, const Object& revision, int64_t ordinal) {
  const StatefulSetView& view = set.view<StatefulSetView>();
  const JsonPtr document = set.json(), kept = revision.json();
  Json pod = PodFromTemplate(At(*kept, "data.spec.template"), set.name() + "-");
  Json& metadata = pod["metadata"];
  metadata["name"] = view.PodName(ordinal);
  metadata["namespace"] = set.ns();
  metadata["ownerReferences"] = Json::array({ControllerReference(set)});
  if (!metadata["labels"].is_object()) metadata["labels"] = Json::object();
  metadata["labels"][kRevisionHashLabel] = revision.name();
  LabelStatefulPod(pod, ordinal);

  Json& spec = pod["spec"];
  spec["hostname"] = view.PodName(ordinal);
  if (const std::string& service = StringAt(*document, "spec.serviceName"); !service.empty()) {
    spec["subdomain"] = service;
  }
  if (view.claims.empty()) return pod;
  // A claim stands in for a volume of its name.
  Json volumes = Json::array();
  for (const std::string& claim : view.claims) {
    volumes.push_back({{"name", claim}, {"persistentVolumeClaim", {{"claimName", view.ClaimName(claim, ordinal)}}}});
  }
  for (const Json& volume : ListAt(spec, "volumes")) {
    const std::string& name = StringAt(volume, "name");
    if (std::find(view.claims.begin(), view.claims.end(), name) == view.claims.end()) volumes.push_back(volume);
  }
  spec["volumes"] = std::move(volumes);
  return pod;
}

void LabelStatefulPod(Json& pod, int64_t ordinal) {
  pod["metadata"]["labels"][kPodNameLabel] = StringAt(pod, "metadata.name");
  pod["metadata"]["labels"][kPodIndexLabel] = std::to_string(ordinal);
}

std::vector<Json> ClaimsFor(const Object& set, int64_t ordinal) {
  const StatefulSetView& view = set.view<StatefulSetView>();
  const JsonPtr document = set.json();
  std::vector<Json> out;
  for (const Json& from : ListAt(*document, "spec.volumeClaimTemplates")) {
    Json claim = {{"metadata", Json::object()}, {"spec", At(from, "spec")}};
    for (const char* field : {"labels", "annotations", "finalizers"}) {
      if (const Json& value = At(At(from, "metadata"), field); !value.is_null()) claim["metadata"][field] = value;
    }
    for (const auto& [key, value] : MapAt(*document, "spec.selector.matchLabels")) {
      claim["metadata"]["labels"][key] = value;
    }
    claim["metadata"]["name"] = view.ClaimName(StringAt(from, "metadata.name"), ordinal);
    claim["metadata"]["namespace"] = set.ns();
    out.push_back(std::move(claim));
  }
  return out;
}

}  // namespace wherry
