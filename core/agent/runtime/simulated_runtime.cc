#include "core/agent/runtime/simulated_runtime.h"

#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/runtime/await.h"

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
  EndExecsOf(id);
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
  EndExecsOf(id);
  containers_.erase(it);
  co_return Status();
}

Task<Result<ExecResult>> SimulatedRuntime::Exec(ExecSpec spec) {
  const auto it = containers_.find(spec.container_id);
  if (it == containers_.end() || !it->second.state.running) {
    co_return StartFailure("ContainerNotRunning", "container \"" + spec.container_id + "\" is not running");
  }
  execs_.push_back(spec.argv);
  if (!exec_handler_) co_return ExecResult{};
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  using Ended = std::shared_ptr<Result<ExecResult>>;
  auto start = [this, executor, spec = std::move(spec)](std::function<void(Ended)> done) mutable {
    running_execs_[spec.exec_id] =
        RunningExec{spec.container_id, [executor, done = std::move(done)](Result<ExecResult> result) {
                      auto shared = std::make_shared<Result<ExecResult>>(std::move(result));
                      asio::post(executor, [done, shared] { done(shared); });
                    }};
    Spawn(executor, "simulated exec", RunExec(exec_handler_, std::move(spec)));
  };
  const Ended ended = co_await AwaitCallback<Ended>(std::move(start));
  co_return std::move(*ended);
}

Task<> SimulatedRuntime::RunExec(ExecHandler handler, ExecSpec spec) {
  const std::weak_ptr<bool> alive = alive_;
  Result<ExecResult> result = co_await handler(spec.container_id, spec.argv);
  if (!alive.expired()) EndExec(spec.exec_id, std::move(result));
}

void SimulatedRuntime::EndExec(const std::string& exec_id, Result<ExecResult> result) {
  const auto it = running_execs_.find(exec_id);
  if (it == running_execs_.end()) return;
  const auto end = std::move(it->second.end);
  running_execs_.erase(it);
  end(std::move(result));
}

void SimulatedRuntime::EndExecsOf(const std::string& container_id) {
  std::vector<std::string> ended;
  for (const auto& [exec_id, exec] : running_execs_) {
    if (exec.container_id == container_id) ended.push_back(exec_id);
  }
  for (const std::string& exec_id : ended) EndExec(exec_id, ExecResult{137, SIGKILL});
}

Task<Status> SimulatedRuntime::StopExec(std::string exec_id) {
  EndExec(exec_id, ExecResult{137, SIGKILL});
  co_return Status();
}

Task<std::vector<ContainerReading>> SimulatedRuntime::Usage() {
  std::vector<ContainerReading> usages;
  const Time now = clock_.Now();
  for (const auto& [id, entry] : containers_) {
    if (!entry.state.running) continue;
    const Duration ran = now - entry.state.started_at;
    usages.push_back({id, entry.state.started_at, Duration(ran.count() / 1000 * entry.behaviour.cpu_milli),
                      entry.behaviour.memory_bytes, 1});
  }
  co_return usages;
}

Task<std::vector<ContainerState>> SimulatedRuntime::List() {
  std::vector<ContainerState> out;
  out.reserve(containers_.size());
  for (const auto& [id, entry] : containers_) out.push_back(entry.state);
  co_return out;
}

}  // namespace wherry
