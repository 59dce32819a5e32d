#include "core/agent/runtime/simulated_runtime.h"

#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>

namespace wherry {
namespace {

Status StartFailure(std::string reason, std::string message) {
  StatusDetails details;
  details.causes.push_back({std::move(reason), message, ""});
  return Status(Reason::kInvalid, std::move(message), std::move(details));
}

// The attempt at the end of "<uid>/<name>/<attempt>".
int AttemptOf(const std::string& id) { return std::atoi(id.c_str() + id.rfind('/') + 1); }

}  // namespace

SimulatedRuntime::~SimulatedRuntime() {
  for (const auto& [id, entry] : containers_) clock_.Cancel(entry.timer);
}

Task<Result<ContainerState>> SimulatedRuntime::Start(ContainerSpec spec) {
  Entry entry;
  for (const auto& [name, value] : spec.env) {
    if (name != kSimulateVariable) continue;
    Result<ContainerSimulation> parsed = ParseSimulation(Json::parse(value, nullptr, false));
    if (!parsed.ok()) co_return StartFailure("CreateContainerError", parsed.status().message());
    entry.behaviour = *parsed;
  }
  const ContainerSimulation behaviour = entry.behaviour;
  if (behaviour.start_latency > Duration::zero()) co_await clock_.Sleep(behaviour.start_latency);
  const bool afflicted = behaviour.times < 0 || AttemptOf(spec.id) < behaviour.times;
  if (afflicted && !behaviour.start_error.empty()) co_return StartFailure(behaviour.start_error_reason, behaviour.start_error);

  entry.state.id = spec.id;
  entry.state.running = true;
  entry.state.pid = next_pid_++;
  entry.state.started_at = clock_.Now();
  const ContainerState state = entry.state;
  const auto [it, fresh] = containers_.emplace(spec.id, std::move(entry));
  if (!fresh) co_return StartFailure("CreateContainerError", "container " + spec.id + " was started before");
  ++running_;
  ++starts_;
  if (afflicted && behaviour.exit_code) ExitAfter(spec.id, behaviour.exit_after, *behaviour.exit_code, 0);
  co_return state;
}

void SimulatedRuntime::ExitAfter(const std::string& id, Duration delay, int exit_code, int signal) {
  Entry& entry = containers_.at(id);
  clock_.Cancel(entry.timer);
  entry.timer = clock_.After(delay, [this, id, exit_code, signal] { Exit(id, exit_code, signal); });
}

bool SimulatedRuntime::Exit(const std::string& id, int exit_code, int signal) {
  auto it = containers_.find(id);
  if (it == containers_.end() || !it->second.state.running) return false;
  clock_.Cancel(std::exchange(it->second.timer, 0));
  ContainerState& state = it->second.state;
  state.running = false;
  state.finished_at = clock_.Now();
  state.exit_code = exit_code;
  state.signal = signal;
  --running_;
  if (on_exit_) on_exit_(ContainerState(state));
  return true;
}

Task<Status> SimulatedRuntime::Signal(std::string id, int signal) {
  auto it = containers_.find(id);
  if (it == containers_.end() || !it->second.state.running) co_return Status();
  const ContainerSimulation& behaviour = it->second.behaviour;
  if (signal == SIGKILL) {
    ExitAfter(id, Duration::zero(), 137, SIGKILL);
  } else if (signal == SIGTERM && !behaviour.ignores_term) {
    ExitAfter(id, behaviour.stop_latency, behaviour.stop_exit_code, 0);
  }
  co_return Status();
}

Task<Status> SimulatedRuntime::Remove(std::string id) {
  auto it = containers_.find(id);
  if (it == containers_.end()) co_return Status();
  clock_.Cancel(it->second.timer);
  if (it->second.state.running) --running_;
  containers_.erase(it);
  co_return Status();
}

Task<std::vector<ContainerState>> SimulatedRuntime::List() {
  std::vector<ContainerState> out;
  out.reserve(containers_.size());
  for (const auto& [id, entry] : containers_) out.push_back(entry.state);
  co_return out;
}

}  // namespace wherry
