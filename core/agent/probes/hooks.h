#pragma once

#include <optional>
#include <string>

#include "core/agent/pod_plan.h"
#include "core/agent/probes/action.h"

namespace wherry {

// A container's hook, `which` = "postStart" or "preStop". Nothing when it has none; kInvalid when it cannot be carried
// out.
std::optional<Result<Action>> HookOf(const Json& container, const std::string& which);

// What is said of a hook that failed, in upstream's words.
std::string HookFailure(const Action& hook, const PodInfo& pod, const std::string& container, const std::string& why);

}  // namespace wherry
