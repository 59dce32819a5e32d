#pragma once

#include <string>
#include <vector>

#include "core/agent/container_builder.h"
#include "core/agent/pod_volumes.h"
#include "store/json.h"
#include "store/status.h"
#include "store/watch_cache.h"

namespace wherry {

// How a pod's containers are kept apart from their machine: what its RuntimeClass, volumeMounts and securityContexts
// come to in a ContainerSpec. Pure but for the files of /etc.

// The isolation level that a pod's RuntimeClass names: "host" (also without one) or "sandbox". A refusal when its
// handler is neither, or the class is gone.
Result<bool> WantsSandbox(const WatchCache& cache, const Json& pod);

// The mounts of a container in the order to attach them. `places` are ContainerMounts' pairs.
std::vector<warden::Mount> PlanMounts(const Json& pod, const Json& container, const MountMap& places);

// Who the node agents are: what can be given to a container depends on it.
struct AgentUser {
  int64_t uid = 0, gid = 0;
  bool root() const { return uid == 0; }
};

// Users, groups, capabilities and system calls. `image_user` counts when the pod names none; notes tell what a plain
// process cannot get. In the sandbox what cannot be given is a refusal (CreateContainerError).
Status PlanSecurity(const Json& pod, const Json& container, AgentUser agent, int64_t image_user, int64_t image_group,
                    ContainerSpec& spec, std::vector<std::string>& notes);

// On a Pod: how many processes and threads each of its containers may have, instead of the server's --pod-max-pids; -1
// or 0: any number.
inline constexpr std::string_view kMaxPidsKey = "wherry.dev/max-pids";

// cpu, memory and process limits of a container, and what it may write. `max_pids`: of containers that say nothing of
// it, 0 = any number. CreateContainerConfigError when the annotation is no number.
Status PlanLimits(const Json& pod, const Json& container, int64_t max_pids, warden::Confinement& confinement);

}  // namespace wherry
