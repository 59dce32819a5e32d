#pragma once

#include <asio/any_io_executor.hpp>

#include "core/agent/probes/action.h"
#include "core/agent/probes/probe_socket.h"
#include "core/runtime/clock.h"
#include "core/runtime/task.h"

namespace wherry {

// Checks over the network, in the kubelet's ways and words. None blocks; each ends within `timeout`.

// Good when a connection can be made.
Task<CheckResult> CheckTcp(asio::any_io_executor executor, Clock& clock, Action action, CheckTarget target,
                           Duration timeout);
// Good when the answer is 2xx or 3xx. Redirections to the same host are followed, those to another are a warning. No
// more than 10 KiB of the body are read.
Task<CheckResult> CheckHttp(asio::any_io_executor executor, Clock& clock, Action action, CheckTarget target,
                            Duration timeout);
// Good when grpc.health.v1.Health/Check answers SERVING; without TLS, as upstream.
Task<CheckResult> CheckGrpc(asio::any_io_executor executor, Clock& clock, Action action, CheckTarget target,
                            Duration timeout);

// "1s", "1m30s".
std::string ShowTimeout(Duration timeout);

}  // namespace wherry
