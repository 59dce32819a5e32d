#include "core/agent/probes/hooks.h"

#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"

namespace wherry {

std::optional<Result<Action>> HookOf(const Json& container, const std::string& which) {
  const Json* hook = FindPath(container, "lifecycle." + which);
  if (!hook || !hook->is_object()) return std::nullopt;
  Result<Action> action = ParseAction(*hook, container);
  if (action.ok()) {
    action->any_status = true;
    action->user_agent = "kube-lifecycle/1.32";
  }
  return action;
}

std::string HookFailure(const Action& hook, const PodInfo& pod, const std::string& container, const std::string& why) {
  std::string what = "Lifecycle hook";
  if (hook.kind == Action::Kind::kExec) {
    what = "Exec lifecycle hook ([";
    for (const std::string& word : hook.command) what += (what.back() == '[' ? "" : " ") + word;
    what += "])";
  } else if (hook.kind == Action::Kind::kHttpGet) {
    what = "HTTP lifecycle hook (" + hook.path + ")";
  }
  return what + " for Container \"" + container + "\" in Pod \"" + pod.name + "_" + pod.ns + "(" + pod.uid +
         ")\" failed - error: " + why;
}

}  // namespace wherry
