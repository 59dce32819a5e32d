#include "core/kinds/storage_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/node_match.h"

namespace wherry {
namespace {

constexpr std::string_view kBetaClass = "volume.beta.kubernetes.io/storage-class";
constexpr std::string_view kBetaDefaultClass = "storageclass.beta.kubernetes.io/is-default-class";

std::string Annotation(const Json& object, std::string_view key) {
  const auto& annotations = MapAt(object, "metadata.annotations");
  const auto it = annotations.find(key);
  return it != annotations.end() && it->second.is_string() ? it->second.get<std::string>() : std::string();
}

bool HasAnnotation(const Json& object, std::string_view key) {
  return MapAt(object, "metadata.annotations").contains(key);
}

bool HasFinalizer(const Json& object, std::string_view finalizer) {
  const auto& finalizers = ListAt(object, "metadata.finalizers");
  return std::find(finalizers.begin(), finalizers.end(), finalizer) != finalizers.end();
}

Quantity QuantityAt(const Json& object, std::string_view path) {
  const Result<Quantity> parsed = Quantity::Parse(StringAt(object, path, "0"));
  return parsed.ok() ? *parsed : Quantity();
}

std::vector<std::string> StringsAt(const Json& object, std::string_view path) {
  std::vector<std::string> strings;
  for (const Json& item : ListAt(object, path)) {
    if (item.is_string()) strings.push_back(item.get<std::string>());
  }
  return strings;
}

// A volume without a mode is a file system.
std::string ModeAt(const Json& object) { return StringAt(object, "spec.volumeMode", "Filesystem"); }

}  // namespace

ClassView::ClassView(const Json& object)
    : name(StringAt(object, "metadata.name")),
      provisioner(StringAt(object, "provisioner")),
      reclaim_policy(StringAt(object, "reclaimPolicy", "Delete")),
      waits_for_consumer(StringAt(object, "volumeBindingMode") == "WaitForFirstConsumer"),
      expands(BoolAt(object, "allowVolumeExpansion")),
      is_default(Annotation(object, storage::kDefaultClass) == "true" ||
                 Annotation(object, kBetaDefaultClass) == "true") {
  ParseTime(StringAt(object, "metadata.creationTimestamp"), &created);
  const auto& terms = ListAt(object, "allowedTopologies");
  if (terms.empty()) return;
  topologies = {{"nodeSelectorTerms", Json::array()}};
  for (const Json& term : terms) {
    Json expressions = Json::array();
    for (const Json& e : ListAt(term, "matchLabelExpressions")) {
      expressions.push_back({{"key", StringAt(e, "key")}, {"operator", "In"}, {"values", At(e, "values")}});
    }
    topologies["nodeSelectorTerms"].push_back({{"matchExpressions", std::move(expressions)}});
  }
}

bool ClassView::AllowsNode(const Json& node) const {
  return topologies.is_null() || MatchesNodeSelector(topologies, node);
}

ClaimView::ClaimView(const Json& claim)
    : ns(StringAt(claim, "metadata.namespace")),
      name(StringAt(claim, "metadata.name")),
      uid(StringAt(claim, "metadata.uid")),
      access_modes(StringsAt(claim, "spec.accessModes")),
      requested(QuantityAt(claim, "spec.resources.requests.storage")),
      capacity(QuantityAt(claim, "status.capacity.storage")),
      volume_name(StringAt(claim, "spec.volumeName")),
      volume_mode(ModeAt(claim)),
      phase(StringAt(claim, "status.phase")),
      selected_node(Annotation(claim, storage::kSelectedNode)),
      provisioner(Annotation(claim, storage::kProvisioner)),
      bind_completed(HasAnnotation(claim, storage::kBindCompleted)),
      bound_by_controller(HasAnnotation(claim, storage::kBoundByController)),
      deleting(Has(claim, "metadata.deletionTimestamp")),
      from_source(Has(claim, "spec.dataSource") || Has(claim, "spec.dataSourceRef")) {
  if (Has(claim, "spec.storageClassName")) storage_class = StringAt(claim, "spec.storageClassName");
  if (HasAnnotation(claim, kBetaClass)) storage_class = Annotation(claim, kBetaClass);
  if (Has(claim, "spec.selector")) {
    const Result<LabelSelector> parsed = LabelSelector::FromJson(At(claim, "spec.selector"));
    selector = parsed.ok() ? *parsed : LabelSelector::Nothing();
  }
}

VolumeView::VolumeView(const Json& volume)
    : name(StringAt(volume, "metadata.name")),
      uid(StringAt(volume, "metadata.uid")),
      capacity(QuantityAt(volume, "spec.capacity.storage")),
      access_modes(StringsAt(volume, "spec.accessModes")),
      storage_class(StringAt(volume, "spec.storageClassName")),
      volume_mode(ModeAt(volume)),
      reclaim_policy(StringAt(volume, "spec.persistentVolumeReclaimPolicy", "Retain")),
      node_selector(At(volume, "spec.nodeAffinity.required")),
      claimed(Has(volume, "spec.claimRef")),
      claim_ns(StringAt(volume, "spec.claimRef.namespace")),
      claim_name(StringAt(volume, "spec.claimRef.name")),
      claim_uid(StringAt(volume, "spec.claimRef.uid")),
      phase(StringAt(volume, "status.phase")),
      provisioned_by(Annotation(volume, storage::kProvisionedBy)),
      path(Has(volume, "spec.local") ? StringAt(volume, "spec.local.path") : StringAt(volume, "spec.hostPath.path")),
      host_path_type(StringAt(volume, "spec.hostPath.type")),
      bound_by_controller(HasAnnotation(volume, storage::kBoundByController)),
      deleting(Has(volume, "metadata.deletionTimestamp")),
      protected_in_use(HasFinalizer(volume, storage::kPvProtection)),
      has_directory(HasFinalizer(volume, storage::kDirectoryFinalizer)) {
  if (HasAnnotation(volume, kBetaClass)) storage_class = Annotation(volume, kBetaClass);
  for (const auto& [key, value] : MapAt(volume, "metadata.labels")) {
    if (value.is_string()) labels.emplace_back(key, value.get<std::string>());
  }
}

bool VolumeView::IsFor(const ClaimView& claim) const {
  return claimed && claim_name == claim.name && claim_ns == claim.ns && (claim_uid.empty() || claim_uid == claim.uid);
}

bool VolumeView::ReachableFrom(const Json& node) const {
  return node_selector.is_null() || MatchesNodeSelector(node_selector, node);
}

std::string Mismatch(const ClaimView& claim, const VolumeView& volume) {
  if (volume.capacity.Compare(claim.requested) < 0) return "requested PV is too small";
  if (volume.storage_class != claim.class_name()) return "storageClassName does not match";
  if (volume.volume_mode != claim.volume_mode) return "incompatible volumeMode";
  for (const std::string& mode : claim.access_modes) {
    if (std::find(volume.access_modes.begin(), volume.access_modes.end(), mode) == volume.access_modes.end()) {
      return "incompatible accessMode";
    }
  }
  return "";
}

const VolumeView* BestMatch(const ClaimView& claim, std::span<const VolumeView* const> volumes, const Json* node,
                            bool only_reserved, const std::function<bool(const VolumeView&)>& taken) {
  const VolumeView* best = nullptr;
  for (const VolumeView* volume : volumes) {
    if (volume->deleting || (volume->claimed && !volume->IsFor(claim))) continue;
    if (taken && taken(*volume)) continue;
    if (volume->capacity.Compare(claim.requested) < 0 || volume->volume_mode != claim.volume_mode) continue;
    const bool reachable = node == nullptr || volume->ReachableFrom(*node);
    if (volume->claimed) return reachable ? volume : nullptr;  // reserved for it: this one or none
    if (only_reserved || volume->phase != "Available" || !reachable || !Mismatch(claim, *volume).empty()) continue;
    if (claim.selector && !claim.selector->Matches(volume->labels)) continue;
    const int order = best == nullptr ? -1 : volume->capacity.Compare(best->capacity);
    if (order < 0 || (order == 0 && volume->name < best->name)) best = volume;
  }
  return best;
}

Json ReservedFor(Json volume, const Json& claim) {
  Json& spec = volume["spec"];
  if (!Has(spec, "claimRef")) volume["metadata"]["annotations"][std::string(storage::kBoundByController)] = "yes";
  spec["claimRef"] = {{"apiVersion", "v1"},
                      {"kind", "PersistentVolumeClaim"},
                      {"namespace", StringAt(claim, "metadata.namespace")},
                      {"name", StringAt(claim, "metadata.name")},
                      {"uid", StringAt(claim, "metadata.uid")},
                      {"resourceVersion", StringAt(claim, "metadata.resourceVersion")}};
  return volume;
}

std::string ClaimOfVolume(const Json& volume, std::string_view pod_name) {
  if (Has(volume, "persistentVolumeClaim")) return StringAt(volume, "persistentVolumeClaim.claimName");
  if (!Has(volume, "ephemeral")) return "";
  return std::string(pod_name) + "-" + StringAt(volume, "name");
}

std::vector<std::string> ClaimsOfPod(const Json& pod) {
  std::vector<std::string> claims;
  for (const Json& volume : ListAt(pod, "spec.volumes")) {
    std::string claim = ClaimOfVolume(volume, StringAt(pod, "metadata.name"));
    if (!claim.empty() && std::find(claims.begin(), claims.end(), claim) == claims.end()) {
      claims.push_back(std::move(claim));
    }
  }
  return claims;
}

}  // namespace wherry
