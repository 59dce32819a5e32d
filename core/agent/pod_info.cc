// What the planner reads from a pod's document.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/agent/pod_plan.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

ContainerInfo InfoOf(const Json& container, ContainerRole role) {
  ContainerInfo info;
  info.name = StringAt(container, "name");
  info.image = StringAt(container, "image");
  const bool sidecar = role == ContainerRole::kInit && StringAt(container, "restartPolicy") == "Always";
  info.pre_stop = Has(container, "lifecycle.preStop");
  info.role = sidecar ? ContainerRole::kSidecar : role;
  return info;
}

void AddContainers(const Json& spec, const char* field, ContainerRole role, std::vector<ContainerInfo>& out) {
  const Json* containers = FindPath(spec, field);
  if (!containers || !containers->is_array()) return;
  for (const Json& container : *containers) out.push_back(InfoOf(container, role));
}

}  // namespace

PodInfo::PodInfo(const Json& pod)
    : ns(StringAt(pod, "metadata.namespace")),
      name(StringAt(pod, "metadata.name")),
      uid(StringAt(pod, "metadata.uid")) {
  static const Json empty = Json::object();
  const Json* found = FindPath(pod, "spec");
  const Json& spec = found ? *found : empty;
  const std::string policy = StringAt(spec, "restartPolicy", "Always");
  restart_policy = policy == "Never"       ? RestartPolicy::kNever
                   : policy == "OnFailure" ? RestartPolicy::kOnFailure
                                           : RestartPolicy::kAlways;
  AddContainers(spec, "initContainers", ContainerRole::kInit, containers);
  AddContainers(spec, "containers", ContainerRole::kMain, containers);
  TakeEphemeral(pod);
  if (const Json* gates = FindPath(spec, "readinessGates"); gates && gates->is_array()) {
    for (const Json& gate : *gates) readiness_gates.push_back(StringAt(gate, "conditionType"));
  }
  qos_class = StringAt(pod, "status.qosClass");
  if (qos_class.empty()) qos_class = QosClassOf(spec);
  grace = std::chrono::seconds(IntAt(spec, "terminationGracePeriodSeconds", 30));
  active_deadline = std::chrono::seconds(IntAt(spec, "activeDeadlineSeconds", 0));
}

bool PodInfo::TakeEphemeral(const Json& pod) {
  const size_t before = containers.size();
  const Json* found = FindPath(pod, "spec.ephemeralContainers");
  if (!found || !found->is_array()) return false;
  for (const Json& container : *found) {
    const std::string added = StringAt(container, "name");
    const bool known =
        std::any_of(containers.begin(), containers.end(), [&](const auto& info) { return info.name == added; });
    if (!known) containers.push_back(InfoOf(container, ContainerRole::kEphemeral));
  }
  return containers.size() > before;
}

std::string QosClassOf(const Json& spec) {
  bool any = false, guaranteed = true;
  for (const char* field : {"initContainers", "containers"}) {
    const Json* containers = FindPath(spec, field);
    if (!containers || !containers->is_array()) continue;
    for (const Json& container : *containers) {
      for (const char* resource : {"cpu", "memory"}) {
        const std::string suffix = std::string(".") + resource;
        const std::string limit = StringAt(container, "resources.limits" + suffix);
        const std::string request = StringAt(container, "resources.requests" + suffix, limit);
        any |= !limit.empty() || !request.empty();
        guaranteed &= !limit.empty() && request == limit;
      }
    }
  }
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

}  // namespace wherry
