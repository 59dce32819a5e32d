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

// Whether this attempt is one of those that err or exit by themselves.
bool Afflicted(const ContainerSimulation& behaviour, const std::string& id) {
  return behaviour.times < 0 || AttemptOf(id) < behaviour.times;
}

}  // namespace

SimulatedRuntime::~SimulatedRuntime() {
  for (const auto& [id, entry] : containers_) clock_.Cancel(entry.timer);
}

Status SimulatedRuntime::ReadBehaviour(const ContainerSpec& spec, Entry& entry) const {
  entry.state.id = spec.id;
  for (const auto& [name, value] : spec.env) {
    if (name != kSimulateVariable) continue;
    Result<ContainerSimulation> parsed = ParseSimulation(Json::parse(value, nullptr, false));
    if (!parsed.ok()) return parsed.status();
    entry.behaviour = *parsed;
  }
  return {};
}

Task<Result<ContainerState>> SimulatedRuntime::Start(ContainerSpec spec) {
  Entry entry;
  const Status read = ReadBehaviour(spec, entry);
  if (!read.ok()) co_return StartFailure("CreateContainerError", read.message());
  const ContainerSimulation behaviour = entry.behaviour;
  if (behaviour.start_latency > Duration::zero()) co_await clock_.Sleep(behaviour.start_latency);
  if (Afflicted(behaviour, spec.id) && !behaviour.start_error.empty()) {
    co_return StartFailure(behaviour.start_error_reason, behaviour.start_error);
  }
  if (containers_.contains(spec.id))
    co_return StartFailure("CreateContainerError", "container " + spec.id + " was started before");
  ++starts_;
  co_return Begin(std::move(entry), clock_.Now());
}

bool SimulatedRuntime::Restore(const ContainerSpec& spec, Time started_at) {
  Entry entry;
  if (containers_.contains(spec.id) || !ReadBehaviour(spec, entry).ok()) return false;
  Begin(std::move(entry), started_at);
  return true;
}

ContainerState SimulatedRuntime::Begin(Entry entry, Time started_at) {
  entry.state.running = true;
  entry.state.pid = next_pid_++;
  entry.state.started_at = started_at;
  const ContainerState state = entry.state;
  const ContainerSimulation behaviour = entry.behaviour;
  containers_.emplace(state.id, std::move(entry));
  ++running_;
  if (Afflicted(behaviour, state.id) && behaviour.exit_code) {
    ExitAfter(state.id, started_at + behaviour.exit_after - clock_.Now(), *behaviour.exit_code, 0);
  }
  return state;
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
  } else if (!behaviour.ignores_term) {
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
