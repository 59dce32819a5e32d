#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "store/object.h"

// Pods and nodes for the scheduler's tests: small documents with what matters here, and a merge patch for the rest.
namespace wherry::testing {

// A pod of namespace default: one container "c" of image "app:1" that asks for nothing. `patch` is a JSON merge patch.
inline Json PodJson(const std::string& name, const Json& patch = Json::object()) {
  Json pod = {
      {"apiVersion", "v1"},
      {"kind", "Pod"},
      {"metadata", {{"name", name}, {"namespace", "default"}, {"uid", "uid-" + name}}},
      {"spec",
       {{"schedulerName", "default-scheduler"}, {"containers", Json::array({{{"name", "c"}, {"image", "app:1"}}})}}},
      {"status", {{"phase", "Pending"}}}};
  pod.merge_patch(patch);
  return pod;
}

// A pod whose one container requests this much.
inline Json PodAsking(const std::string& name, const std::string& cpu, const std::string& memory,
                      const Json& patch = Json::object()) {
  Json pod = PodJson(name);
  pod["spec"]["containers"][0]["resources"]["requests"] = {{"cpu", cpu}, {"memory", memory}};
  pod.merge_patch(patch);
  return pod;
}

// A node with 4 cpus, 8Gi of memory and room for 110 pods.
inline Json NodeJson(const std::string& name, const Json& patch = Json::object()) {
  Json node = {{"apiVersion", "v1"},
               {"kind", "Node"},
               {"metadata", {{"name", name}, {"uid", "uid-" + name}, {"labels", {{"kubernetes.io/hostname", name}}}}},
               {"spec", Json::object()},
               {"status",
                {{"allocatable", {{"cpu", "4"}, {"memory", "8Gi"}, {"ephemeral-storage", "100Gi"}, {"pods", "110"}}}}}};
  node.merge_patch(patch);
  return node;
}

inline ObjectPtr Stored(const Json& document, uint64_t revision = 1) {
  static const std::map<std::string, std::string> kResources = {
      {"Pod", "pods"},
      {"Node", "nodes"},
      {"Namespace", "namespaces"},
      {"Service", "services"},
      {"ReplicaSet", "replicasets.apps"},
      {"PodDisruptionBudget", "poddisruptionbudgets.policy"},
  };
  const Json& metadata = document.at("metadata");
  return std::make_shared<Object>(ObjectKey{kResources.at(document.at("kind").get<std::string>()),
                                            metadata.value("namespace", ""), metadata.at("name").get<std::string>()},
                                  metadata.at("uid").get<std::string>(), revision, Draft(document).Finish(revision));
}

inline Json BoundTo(Json pod, const std::string& node) {
  pod["spec"]["nodeName"] = node;
  return pod;
}

}  // namespace wherry::testing
