#pragma once

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/kinds/hooks.h"

namespace wherry {

inline KindHooks Hooks(std::string_view kind) {
  for (const auto& [group, names] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"",
            {"Pod", "Node", "Namespace", "ConfigMap", "Secret", "Service", "Endpoints", "Event", "PersistentVolume",
             "PersistentVolumeClaim", "ResourceQuota", "LimitRange"}},
           {"apps", {"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet", "ControllerRevision"}},
           {"batch", {"Job", "CronJob"}},
           {"autoscaling", {"HorizontalPodAutoscaler"}},
           {"policy", {"PodDisruptionBudget"}},
           {"storage.k8s.io", {"StorageClass"}},
           {"scheduling.k8s.io", {"PriorityClass"}},
           {"coordination.k8s.io", {"Lease"}},
           {"discovery.k8s.io", {"EndpointSlice"}},
           {"wherry.dev", {"Image"}}}) {
    for (const std::string& name : names) {
      if (name == kind) return HooksFor({group, group == "autoscaling" ? "v2" : "v1", name});
    }
  }
  FAIL("no such kind");
  return {};
}

// A change of a document: the JSON value at a pointer, or its removal when the text is "".
struct Edit {
  const char* pointer;
  const char* json;
};

inline Json Edited(Json document, const std::vector<Edit>& edits) {
  for (const auto& [pointer, json] : edits) {
    const Json::json_pointer at(pointer);
    if (*json != '\0') {
      document[at] = Json::parse(json);
    } else if (document.contains(at)) {
      document[at.parent_pointer()].erase(at.back());
    }
  }
  return document;
}

// What the kind's hook refuses: "field: message" each, in order.
inline std::vector<std::string> Refused(std::string_view kind, const Json& object, const Json* old = nullptr) {
  FieldErrors errors;
  Hooks(kind).validate(object, old, errors);
  std::vector<std::string> out;
  for (const FieldError& e : errors) out.push_back(e.field + ": " + e.message);
  return out;
}

using Lines = std::vector<std::string>;

}  // namespace wherry
