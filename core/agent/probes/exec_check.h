#pragma once

#include <asio/any_io_executor.hpp>
#include <string>

#include "core/agent/container_runtime.h"
#include "core/agent/probes/action.h"
#include "core/runtime/clock.h"
#include "core/runtime/task.h"

namespace wherry {

// Runs the action's command inside a container. Good when it exits with 0; output is what it said, 10 KiB of it at
// most. After `timeout` (Duration::max() = never) it is killed. Control thread only.
Task<CheckResult> CheckExec(asio::any_io_executor executor, Clock& clock, ContainerRuntime& runtime, Action action,
                            std::string container_id, Duration timeout);

}  // namespace wherry
