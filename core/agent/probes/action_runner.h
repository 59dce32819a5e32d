#pragma once

#include <asio/any_io_executor.hpp>
#include <optional>
#include <string>

#include "core/agent/container_runtime.h"
#include "core/agent/probes/action.h"
#include "core/agent/probes/network_checks.h"
#include "core/runtime/clock.h"
#include "core/runtime/task.h"

namespace wherry {

// The container that a probe or hook concerns.
struct ActionSubject {
  std::string container_id;  // ContainerSpec::id
  int attempt = 0;
  Time started_at{};
  CheckTarget target;              // for actions that name no host
  std::optional<Json> simulation;  // its behaviour, when it is a simulated one: nothing real happens then
};

// Carries out an action and tells how it went, within `timeout`; Duration::max() = without limit. `what` is
// "readiness", "liveness", "startup", "postStart" or "preStop". Control thread only.
Task<CheckResult> PerformAction(asio::any_io_executor executor, Clock& clock, ContainerRuntime& runtime, Action action,
                                ActionSubject subject, Duration timeout, std::string what);

}  // namespace wherry
