#include "core/controllers/statefulset/statefulset_view.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/fields.h"

namespace wherry {

StatefulSetView::StatefulSetView(const Json& set) {
  ns = StringAt(set, "metadata.namespace");
  name = StringAt(set, "metadata.name");
  uid = StringAt(set, "metadata.uid");
  generation = IntAt(set, "metadata.generation");
  deleting = FindPath(set, "metadata.deletionTimestamp") != nullptr;
  if (const Json* found = FindPath(set, "spec.selector")) {
    Result<LabelSelector> parsed = LabelSelector::FromJson(*found);
    if (parsed.ok()) selector = std::move(*parsed);
  }
  replicas = std::max<int64_t>(0, IntAt(set, "spec.replicas", 1));
  start = std::max<int64_t>(0, IntAt(set, "spec.ordinals.start"));
  parallel = StringAt(set, "spec.podManagementPolicy") == "Parallel";
  on_delete = StringAt(set, "spec.updateStrategy.type") == "OnDelete";
  if (const Json* rolling = FindPath(set, "spec.updateStrategy.rollingUpdate")) {
    partition = std::max<int64_t>(0, IntAt(*rolling, "partition"));
    if (const auto most = IntOrPercent::FromJson(FindPath(*rolling, "maxUnavailable"))) max_unavailable = *most;
  }
  min_ready = std::chrono::seconds(IntAt(set, "spec.minReadySeconds"));
  revision_history_limit = IntAt(set, "spec.revisionHistoryLimit", 10);
  current_revision = StringAt(set, "status.currentRevision");
  for (const Json& claim : ListAt(set, "spec.volumeClaimTemplates")) claims.push_back(StringAt(claim, "metadata.name"));
  delete_claims_with_set = StringAt(set, "spec.persistentVolumeClaimRetentionPolicy.whenDeleted") == "Delete";
  delete_claims_when_scaled = StringAt(set, "spec.persistentVolumeClaimRetentionPolicy.whenScaled") == "Delete";
}

std::optional<int64_t> StatefulSetView::OrdinalOf(std::string_view pod) const {
  if (!pod.starts_with(name) || pod.size() < name.size() + 2 || pod[name.size()] != '-') return std::nullopt;
  const std::string_view digits = pod.substr(name.size() + 1);
  if (digits.size() > 1 && digits.front() == '0') return std::nullopt;  // "web-03" is nobody's name
  int64_t ordinal = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), ordinal);
  if (error != std::errc() || stop != digits.data() + digits.size() || ordinal < 0) return std::nullopt;
  return ordinal;
}

}  // namespace wherry
