#include "core/controllers/statefulset/stateful_pod.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/pod_control.h"
#include "core/controllers/pod_view.h"
#include "core/controllers/statefulset/stateful_pod_view.h"
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

namespace {

bool IsPodOfOrdinal(const StatefulSetView& set, int64_t ordinal, const Json& owner) {
  return StringAt(owner, "kind") == "Pod" && StringAt(owner, "apiVersion") == "v1" &&
         StringAt(owner, "name") == set.PodName(ordinal);
}
bool IsSet(const StatefulSetView& set, const Json& owner) {
  return StringAt(owner, "kind") == "StatefulSet" && StringAt(owner, "apiVersion").starts_with("apps/") &&
         StringAt(owner, "name") == set.name;
}

Json Owner(const char* api_version, const char* kind, const std::string& name, const std::string& uid) {
  return {{"apiVersion", api_version}, {"kind", kind}, {"name", name}, {"uid", uid}, {"controller", true},
          {"blockOwnerDeletion", true}};
}

}  // namespace

Json ClaimOwners(const StatefulSetView& set, int64_t ordinal, const ClaimPod& pod, const Json& owners) {
  const bool leaving = !set.InRange(ordinal);
  const bool by_pod = set.delete_claims_when_scaled && leaving && !pod.uid.empty();
  const bool by_set = set.delete_claims_with_set && !(set.delete_claims_when_scaled && leaving);
  Json out = Json::array();
  bool has_pod = false, has_set = false;
  if (owners.is_array()) {
    for (const Json& owner : owners) {
      if (IsPodOfOrdinal(set, ordinal, owner)) {
        if (!by_pod || has_pod || StringAt(owner, "uid") != pod.uid) continue;
        has_pod = true;
      } else if (IsSet(set, owner)) {
        if (!by_set || has_set || StringAt(owner, "uid") != set.uid) continue;
        has_set = true;
      }
      out.push_back(owner);
    }
  }
  if (by_pod && !has_pod) out.push_back(Owner("v1", "Pod", pod.name, pod.uid));
  if (by_set && !has_set) out.push_back(Owner("apps/v1", "StatefulSet", set.name, set.uid));
  return out;
}

bool ClaimIsLeaving(const StatefulSetView& set, int64_t ordinal, const std::string& pod_uid, const Json& owners) {
  if (!owners.is_array()) return false;
  return std::any_of(owners.begin(), owners.end(), [&](const Json& owner) {
    return IsPodOfOrdinal(set, ordinal, owner) && StringAt(owner, "uid") != pod_uid;
  });
}

bool ClaimHasOtherController(const StatefulSetView& set, int64_t ordinal, const Json& owners) {
  if (!owners.is_array()) return false;
  return std::any_of(owners.begin(), owners.end(), [&](const Json& owner) {
    return BoolAt(owner, "controller") && !IsPodOfOrdinal(set, ordinal, owner) && !IsSet(set, owner);
  });
}

}  // namespace wherry
