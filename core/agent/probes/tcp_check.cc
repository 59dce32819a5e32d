#include "core/agent/probes/network_checks.h"

namespace wherry {

Task<CheckResult> CheckTcp(asio::any_io_executor executor, Clock& clock, Action action, CheckTarget target,
                           Duration timeout) {
  ProbeSocket socket(executor, clock, timeout);
  const std::error_code error = co_await socket.Connect(target, action.port);
  const bool late = socket.timed_out();
  socket.Close();
  CheckResult result;
  if (error) {
    result = CheckFailed("dial tcp " + target.address + ":" + std::to_string(action.port) + ": " +
                         (late ? "i/o timeout" : "connect: " + GoError(error)));
  }
  co_return result;
}

}  // namespace wherry
