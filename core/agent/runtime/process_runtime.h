#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/agent/container_runtime.h"

namespace asio {
class io_context;
}

namespace wherry {

class Clock;

struct ProcessRuntimeOptions {
  std::string data_dir;
  // The program, and what goes before "warden --data-dir D", that is started when no warden runs; empty = the one
  // carried within this program (see StartWarden).
  std::vector<std::string> warden_command;
};

// Containers as real processes, behind the warden of a data directory. Connects to the warden that runs there or starts
// one; when the connection breaks it does so again, repeats the calls that had no answer, and reports the exits it
// missed. A server that starts anew learns of everything through List(). Control thread only; the io_context and clock
// outlive it.
class ProcessRuntime : public ContainerRuntime {
 public:
  ProcessRuntime(asio::io_context& io, Clock& clock, ProcessRuntimeOptions options);
  // Lets go of the warden; the containers run on. Calls still waiting end with an error.
  ~ProcessRuntime() override;

  std::string name() const override { return "process"; }
  Task<Result<ContainerState>> Start(ContainerSpec spec) override;
  Task<Status> Signal(std::string id, int signal) override;
  Task<Status> Remove(std::string id) override;
  Task<Result<ExecResult>> Exec(ExecSpec spec) override;
  Task<Status> StopExec(std::string exec_id) override;
  Task<Result<UniqueFd>> Attach(AttachSpec spec) override;
  Task<Status> CloseStdin(std::string container_id) override;
  Task<std::vector<ContainerState>> List() override;
  Task<std::vector<ContainerReading>> Usage() override;
  // Also called for ended containers found on connecting that this object has not reported yet.
  void set_on_exit(std::function<void(const ContainerState&)> on_exit) override;
  void set_on_note(std::function<void(const ContainerState&)> on_note) override;

  // Kills all containers and ends the warden. Afterwards the runtime does not connect again.
  Task<Status> StopWarden();
  // The warden's process, 0 while not connected.
  int warden_pid() const;

 private:
  class Link;
  std::shared_ptr<Link> link_;
};

}  // namespace wherry
