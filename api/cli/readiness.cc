#include "api/cli/readiness.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace wherry::cli {
namespace {

Json At(const Json& object, const char* pointer) {
  const Json::json_pointer path(pointer);
  return object.contains(path) ? object.at(path) : Json();
}

int64_t Number(const Json& object, const char* pointer, int64_t absent = 0) {
  const Json value = At(object, pointer);
  return value.is_number() ? value.get<int64_t>() : absent;
}

bool HasCondition(const Json& object, const char* type) {
  const Json conditions = At(object, "/status/conditions");
  return std::any_of(conditions.begin(), conditions.end(), [type](const Json& condition) {
    return condition.is_object() && condition.value("type", "") == type && condition.value("status", "") == "True";
  });
}

// `updated` and `ready` of `wanted` replicas, once the controller has seen the newest spec.
Readiness Replicas(const Json& object, int64_t wanted, int64_t updated, int64_t ready) {
  if (Number(object, "/status/observedGeneration") < Number(object, "/metadata/generation")) {
    return {false, false, "not yet seen by its controller"};
  }
  if (updated < wanted) return {false, false, std::to_string(updated) + " of " + std::to_string(wanted) + " updated"};
  return {ready >= wanted, false, std::to_string(std::min(ready, wanted)) + " of " + std::to_string(wanted) + " ready"};
}

Readiness DaemonSet(const Json& object) {
  const int64_t wanted = Number(object, "/status/desiredNumberScheduled");
  const Json strategy = At(object, "/spec/updateStrategy/type");
  const int64_t updated = strategy == "OnDelete" ? wanted : Number(object, "/status/updatedNumberScheduled");
  return Replicas(object, wanted, updated, Number(object, "/status/numberReady"));
}

Readiness Deployment(const Json& object) {
  const int64_t wanted = Number(object, "/spec/replicas", 1);
  Readiness out =
      Replicas(object, wanted, Number(object, "/status/updatedReplicas"), Number(object, "/status/availableReplicas"));
  const int64_t old = Number(object, "/status/replicas") - Number(object, "/status/updatedReplicas");
  if (out.ready && old > 0) return {false, false, std::to_string(old) + " old replicas to end"};
  return out;
}

Readiness StatefulSet(const Json& object) {
  const int64_t wanted = Number(object, "/spec/replicas", 1);
  const bool rolls = At(object, "/spec/updateStrategy/type") != "OnDelete" &&
                     Number(object, "/spec/updateStrategy/rollingUpdate/partition") == 0;
  return Replicas(object, wanted, rolls ? Number(object, "/status/updatedReplicas") : wanted,
                  Number(object, "/status/readyReplicas"));
}

Readiness ReplicaSet(const Json& object) {
  const int64_t wanted = Number(object, "/spec/replicas", 1);
  return Replicas(object, wanted, wanted, Number(object, "/status/readyReplicas"));
}

Readiness Pod(const Json& object) {
  const Json phase = At(object, "/status/phase");
  const std::string text = phase.is_string() ? phase.get<std::string>() : "Pending";
  if (text == "Failed") return {false, true, "Failed"};
  if (text == "Succeeded") return {true, false, "Succeeded"};
  if (HasCondition(object, "Ready")) return {true, false, "Ready"};
  const Json containers = At(object, "/status/containerStatuses");
  for (const Json& container : containers) {
    const Json reason = At(container, "/state/waiting/reason");
    if (reason.is_string()) return {false, false, reason.get<std::string>()};
  }
  return {false, false, text == "Running" ? "running, not ready" : text};
}

Readiness Job(const Json& object) {
  if (HasCondition(object, "Failed")) return {false, true, "Failed"};
  if (HasCondition(object, "Complete")) return {true, false, "Complete"};
  return {false, false,
          std::to_string(Number(object, "/status/succeeded")) + " of " +
              std::to_string(Number(object, "/spec/completions", 1)) + " completed"};
}

struct Row {
  std::string_view api_version, kind;
  Readiness (*read)(const Json&);
};
constexpr Row kKinds[] = {
    {"apps/v1", "DaemonSet", DaemonSet},
    {"apps/v1", "Deployment", Deployment},
    {"apps/v1", "StatefulSet", StatefulSet},
    {"apps/v1", "ReplicaSet", ReplicaSet},
    {"v1", "Pod", Pod},
    {"batch/v1", "Job", Job},
};

}  // namespace

Readiness ReadinessOf(const Json& object) {
  const Json version = At(object, "/apiVersion");
  const Json kind = At(object, "/kind");
  for (const Row& row : kKinds) {
    if (version == row.api_version && kind == row.kind) return row.read(object);
  }
  return {};
}

}  // namespace wherry::cli
