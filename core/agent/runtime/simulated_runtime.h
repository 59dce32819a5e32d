#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/agent/container_runtime.h"
#include "core/agent/simulation.h"
#include "core/runtime/clock.h"

namespace wherry {

// Containers that exist only in memory and on the clock: thousands of nodes for scale tests, and deterministic pods for
// other people's integration tests (DESIGN, decision 10). How a container behaves is in its WHERRY_SIMULATE variable.
// Nothing survives the process. Control thread only; the clock outlives it.
class SimulatedRuntime : public ContainerRuntime {
 public:
  explicit SimulatedRuntime(Clock& clock) : clock_(clock) {}
  ~SimulatedRuntime() override;

  std::string name() const override { return "simulated"; }
  Task<Result<ContainerState>> Start(ContainerSpec spec) override;
  Task<Status> Signal(std::string id, int signal) override;
  Task<Status> Remove(std::string id) override;
  Task<Result<ExecResult>> Exec(ExecSpec spec) override;
  Task<Status> StopExec(std::string exec_id) override;
  Task<std::vector<ContainerState>> List() override;
  // What their behaviour says: "cpu" all the time, and "memory".
  Task<std::vector<ContainerReading>> Usage() override;
  void set_on_exit(std::function<void(const ContainerState&)> on_exit) override { on_exit_ = std::move(on_exit); }

  // What execs answer; by default exit code 0 at once. The handler may sleep on the clock; StopExec resolves the exec
  // with SIGKILL's status meanwhile, and so does the end of its container.
  using ExecHandler = std::function<Task<Result<ExecResult>>(std::string container_id, std::vector<std::string> argv)>;
  void set_exec_handler(ExecHandler handler) { exec_handler_ = std::move(handler); }
  // The commands of all execs so far.
  const std::vector<std::vector<std::string>>& execs() const { return execs_; }

  // Puts a container back that ran before this process began: nothing is started. False when it is there already, or
  // when its behaviour cannot be read.
  bool Restore(const ContainerSpec& spec, Time started_at);
  // Ends a running container as if by itself: for tests. False when it does not run.
  bool Exit(const std::string& id, int exit_code, int signal = 0);
  size_t running() const { return running_; }
  // Every start there ever was.
  size_t starts() const { return starts_; }

 private:
  struct Entry {
    ContainerState state;
    ContainerSimulation behaviour;
    Clock::TimerId timer = 0;
  };
  struct RunningExec {
    std::string container_id;
    std::function<void(Result<ExecResult>)> end;
  };
  Status ReadBehaviour(const ContainerSpec& spec, Entry& entry) const;
  ContainerState Begin(Entry entry, Time started_at);
  Task<> RunExec(ExecHandler handler, ExecSpec spec);
  void EndExec(const std::string& exec_id, Result<ExecResult> result);
  void EndExecsOf(const std::string& container_id);
  void ExitAfter(const std::string& id, Duration delay, int exit_code, int signal);

  Clock& clock_;
  std::unordered_map<std::string, Entry> containers_;
  std::function<void(const ContainerState&)> on_exit_;
  std::unordered_map<std::string, RunningExec> running_execs_;
  ExecHandler exec_handler_;
  std::vector<std::vector<std::string>> execs_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for coroutines of exec handlers that outlive us
  size_t running_ = 0;
  size_t starts_ = 0;
  int next_pid_ = 100'000;
};

}  // namespace wherry
