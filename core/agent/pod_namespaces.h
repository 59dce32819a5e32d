#pragma once

#include <string>
#include <string_view>

#include "core/agent/container_builder.h"
#include "core/agent/pod_plan.h"
#include "store/json.h"
#include "store/status.h"

namespace wherry {

// What the containers of a sandboxed pod have together: IPC and UTS namespaces, the PID namespace when the pod says
// shareProcessNamespace, and the target's for an ephemeral container that has one. Pure.
//
// The namespaces of a pod are held by a process of its own, its pause, so that they outlive each container: one run of
// the runtime among the others ("<uid>/.pause/<attempt>"), adopted and ended like them. A pod with a single container
// has none: who joins it later, for debugging, joins that container.
inline constexpr std::string_view kPauseName = ".pause";  // no container can be called so

// Whether a pod of the sandbox needs a pause.
bool WantsPause(const Json& pod);
bool IsPause(const std::string& run_id);
ContainerSpec PauseSpec(const Json& pod, const PodSite& site, int attempt);

// Says in `confinement` whom the next run of `container` shares with. `pause` is the run id of the pod's, "" = none.
// A refusal when its target cannot be joined.
Status ShareNamespaces(const Json& pod, const PodInfo& info, const PodRecord& record, size_t container,
                       const std::string& pause, warden::Confinement& confinement);

}  // namespace wherry
