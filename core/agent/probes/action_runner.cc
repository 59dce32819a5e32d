#include "core/agent/probes/action_runner.h"

#include <nlohmann/json.hpp>

#include "core/agent/probes/exec_check.h"
#include "core/agent/simulation.h"

namespace wherry {
namespace {

// Connections of hooks, which have no limit of their own.
constexpr Duration kLongestConnection = std::chrono::seconds(30);

Task<CheckResult> Simulate(Clock& clock, Action action, ActionSubject subject, Duration timeout, std::string what) {
  CheckResult result;
  const Result<ActionSimulation> asked = ParseActionSimulation(*subject.simulation, what);
  if (!asked.ok()) {
    result.outcome = CheckResult::Outcome::kError;
    result.output = asked.status().message();
    co_return result;
  }
  const Duration latency = action.kind == Action::Kind::kSleep ? action.sleep : asked->latency;
  if (latency >= timeout) {
    co_await clock.Sleep(timeout);
    result = CheckFailed("context deadline exceeded (simulated)");
    co_return result;
  }
  if (latency > Duration::zero()) co_await clock.Sleep(latency);
  const Duration age = clock.Now() - subject.started_at;
  const bool afflicted = asked->fails && (asked->times < 0 || subject.attempt < asked->times);
  const Duration fails_until =
      asked->fail_for == Duration::max() ? Duration::max() : asked->fail_after + asked->fail_for;
  if (afflicted && age >= asked->fail_after && age < fails_until) {
    result = CheckFailed(asked->message);
    result.steady = fails_until == Duration::max();
  } else {
    result.steady = !afflicted || age >= fails_until;
  }
  co_return result;
}

}  // namespace

Task<CheckResult> PerformAction(asio::any_io_executor executor, Clock& clock, ContainerRuntime& runtime, Action action,
                                ActionSubject subject, Duration timeout, std::string what) {
  CheckResult result;
  if (subject.simulation) co_return co_await Simulate(clock, action, subject, timeout, what);
  CheckTarget target = subject.target;
  if (!action.host.empty()) target = CheckTarget{action.host, 0};
  const Duration limit = std::min(timeout, kLongestConnection);
  switch (action.kind) {
    case Action::Kind::kExec:
      result = co_await CheckExec(executor, clock, runtime, action, subject.container_id, timeout);
      break;
    case Action::Kind::kHttpGet:
      result = co_await CheckHttp(executor, clock, action, target, limit);
      break;
    case Action::Kind::kTcpSocket:
      result = co_await CheckTcp(executor, clock, action, target, limit);
      break;
    case Action::Kind::kGrpc:
      result = co_await CheckGrpc(executor, clock, action, target, limit);
      break;
    case Action::Kind::kSleep:
      co_await clock.Sleep(std::min(action.sleep, timeout));
      break;
    case Action::Kind::kNone:
      result.outcome = CheckResult::Outcome::kError;
      result.output = "missing probe handler";
      break;
  }
  co_return result;
}

}  // namespace wherry
