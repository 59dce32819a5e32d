#include "core/controllers/deployment/deployment_view.h"

#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/node_view.h"
#include "core/kinds/fields.h"

namespace wherry {
namespace {

std::optional<int64_t> AnnotatedNumber(const Json& object, const char* key) {
  const auto& annotations = MapAt(object, "metadata.annotations");
  const auto it = annotations.find(key);
  if (it == annotations.end() || !it->second.is_string()) return std::nullopt;
  const std::string& text = it->second.get_ref<const std::string&>();
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A number that means "never" when it is absent or the largest.
std::optional<int64_t> Limit(const Json& object, const char* path) {
  const Json& value = At(object, path);
  if (!value.is_number_integer() || value.get<int64_t>() >= INT32_MAX) return std::nullopt;
  return value.get<int64_t>();
}

DeploymentCondition ReadCondition(const Json& condition) {
  DeploymentCondition out{StringAt(condition, "type"), StringAt(condition, "status"), StringAt(condition, "reason"),
                          StringAt(condition, "message")};
  ParseTime(StringAt(condition, "lastTransitionTime"), &out.transitioned);
  ParseTime(StringAt(condition, "lastUpdateTime"), &out.updated);
  return out;
}

}  // namespace

Json PlainTemplate(const Json& pod_template) {
  Json plain = pod_template;
  if (At(plain, "metadata.labels").is_object()) plain["metadata"]["labels"].erase(kPodTemplateHash);
  return plain;
}

DeploymentView::DeploymentView(const Json& deployment) {
  name = StringAt(deployment, "metadata.name");
  generation = IntAt(deployment, "metadata.generation");
  deleting = FindPath(deployment, "metadata.deletionTimestamp") != nullptr;
  replicas = IntAt(deployment, "spec.replicas", 1);
  paused = BoolAt(deployment, "spec.paused");
  recreate = StringAt(deployment, "spec.strategy.type") == "Recreate";
  const std::string rolling = "spec.strategy.rollingUpdate";
  if (auto amount = IntOrPercent::FromJson(FindPath(deployment, rolling + ".maxUnavailable")))
    max_unavailable = *amount;
  if (auto amount = IntOrPercent::FromJson(FindPath(deployment, rolling + ".maxSurge"))) max_surge = *amount;
  min_ready_seconds = IntAt(deployment, "spec.minReadySeconds");
  progress_deadline = Limit(deployment, "spec.progressDeadlineSeconds");
  history_limit = Limit(deployment, "spec.revisionHistoryLimit");
  if (const Json* found = FindPath(deployment, "spec.selector")) {
    Result<LabelSelector> parsed = LabelSelector::FromJson(*found);
    if (parsed.ok()) selector = std::move(*parsed);
    selects_all = selector.empty();
  }
  template_digest = Fnv1a64(PlainTemplate(At(deployment, "spec.template")).dump());
  const auto& annotations = MapAt(deployment, "metadata.annotations");
  if (auto it = annotations.find(kRevision); it != annotations.end() && it->second.is_string()) revision = it->second;

  const Json& status = At(deployment, "status");
  if (const Json& count = At(status, "collisionCount"); count.is_number_integer()) collision_count = count;
  counters = {
      IntAt(status, "replicas"),          IntAt(status, "updatedReplicas"),     IntAt(status, "readyReplicas"),
      IntAt(status, "availableReplicas"), IntAt(status, "unavailableReplicas"), IntAt(status, "terminatingReplicas")};
  for (const Json& condition : ListAt(status, "conditions")) conditions.push_back(ReadCondition(condition));
}

int64_t DeploymentView::Surge() const { return recreate ? 0 : max_surge.RoundedUpOf(replicas); }

int64_t DeploymentView::Unavailable() const {
  if (recreate || replicas == 0) return 0;
  const int64_t amount = max_unavailable.RoundedDownOf(replicas);
  return amount == 0 && Surge() == 0 ? 1 : std::min(amount, replicas);
}

const DeploymentCondition* DeploymentView::Condition(std::string_view type) const {
  for (const DeploymentCondition& condition : conditions) {
    if (condition.type == type) return &condition;
  }
  return nullptr;
}

RolloutSetView::RolloutSetView(const Json& set) {
  ParseTime(StringAt(set, "metadata.creationTimestamp"), &created);
  deleting = FindPath(set, "metadata.deletionTimestamp") != nullptr;
  replicas = IntAt(set, "spec.replicas", 1);
  min_ready_seconds = IntAt(set, "spec.minReadySeconds");
  template_digest = Fnv1a64(PlainTemplate(At(set, "spec.template")).dump());
  revision = AnnotatedNumber(set, kRevision).value_or(0);
  desired = AnnotatedNumber(set, kDesiredReplicas);
  max_replicas = AnnotatedNumber(set, kMaxReplicas);
  const Json& status = At(set, "status");
  observed = IntAt(status, "observedGeneration") >= IntAt(set, "metadata.generation");
  actual = IntAt(status, "replicas");
  ready = IntAt(status, "readyReplicas");
  available = IntAt(status, "availableReplicas");
  terminating = IntAt(status, "terminatingReplicas");
  for (const Json& condition : ListAt(status, "conditions")) {
    if (StringAt(condition, "type") == "ReplicaFailure") failure = ReadCondition(condition);
  }
}

}  // namespace wherry
