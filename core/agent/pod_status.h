#pragma once

#include <string>

#include "core/agent/pod_plan.h"
#include "store/json.h"

namespace wherry {

// The addresses a pod's status tells; empty until the sandbox is ready.
struct PodAddresses {
  std::string host_ip;
  std::string pod_ip;
};

// The pod's status as API conventions and the kubelet write it: phase, conditions with their transition times,
// container states. `previous` is the stored status; conditions of others (PodScheduled, readiness gates,
// DisruptionTarget) and fields that are not the agent's are kept from it. Pure.
Json RenderPodStatus(const PodInfo& pod, const PodRecord& record, const PodPlan& plan, const PodAddresses& addresses,
                     const Json& previous, Time now);

// The reverse, for an agent that starts over a store with history: the record a stored status implies. Runs that the
// status says are running are returned as running; the caller knows from the runtime what became of them.
PodRecord RecordFromStatus(const PodInfo& pod, const Json& status);

// "wherry://<uid>/<name>/<attempt>".
std::string ContainerId(const PodInfo& pod, size_t container, int attempt);

}  // namespace wherry
