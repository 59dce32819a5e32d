#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/agent/warden/confinement.h"
#include "core/agent/warden/fd.h"
#include "core/runtime/task.h"
#include "core/runtime/time.h"
#include "store/status.h"

namespace wherry {

using UniqueFd = warden::Fd;

// One container to run, fully resolved: no references left to objects of the cluster.
struct ContainerSpec {
  // Names the run for ever: "<pod uid>/<container name>/<attempt>". Starting an id twice is an error, so nothing runs
  // twice.
  std::string id;
  std::vector<std::string> argv;                         // argv[0] is looked up in env's PATH when it has no slash
  std::vector<std::pair<std::string, std::string>> env;  // exactly this environment
  std::string working_directory;                         // exists
  // stdout and stderr go here in the CRI log format ("<RFC3339Nano> stdout F text"), rotated at the size.
  std::string log_path;
  int64_t log_max_bytes = 10 << 20;
  int log_max_files = 5;  // including the current one
  // The pod's own loopback address: binds to a wildcard address are steered to it (DESIGN, decision 8). "" = host
  // network.
  std::string bind_address;
  // Added to ports below 1024 that this user may not bind (0 = refuse them as the kernel does).
  int privileged_port_offset = 0;
  int64_t run_as_user = -1, run_as_group = -1;  // -1 = ours
  warden::Confinement confinement;              // volumes at their places, the sandbox, limits; plain = a plain process
  bool open_stdin = false;                      // stdin is a pipe that Attach gives the other end of, not /dev/null
  bool tty = false;  // stdin, stdout and stderr are a terminal, whose output is logged as stdout
};

// What became of a container that was once started.
struct ContainerState {
  std::string id;
  bool running = false;
  int pid = 0;  // of the container's first process
  Time started_at{};
  Time finished_at{};       // when not running
  int exit_code = 0;        // when not running: the status, or 128+signal
  int signal = 0;           // that ended it, or 0
  bool lost = false;        // the exit status could not be learnt (reboot, warden gone): treat as failed, exit_code 255
  bool oom_killed = false;  // it was ended because it used more memory than its limit
  std::string killed_for;   // why the runtime ended it, besides memory: more processes than its limit; "" = it did not
  std::string steered_note;  // e.g. "port 80 is served on port 8080: …"; "" = nothing to say
};

// A program to run inside a container that runs (exec, exec probes, hooks), with its environment, directory, user and
// namespaces.
struct ExecSpec {
  std::string container_id;       // ContainerSpec::id
  std::string exec_id;            // unique among the server's execs: names it for StopExec
  std::vector<std::string> argv;  // as ContainerSpec::argv
  bool tty = false;               // stdio[0] is the terminal's far end: becomes its controlling terminal
  std::array<UniqueFd, 3> stdio;  // the program's ends of stdin, stdout, stderr; invalid = /dev/null
};

struct ExecResult {
  int exit_code = 0;  // the status, or 128+signal
  int signal = 0;     // that ended it, or 0
};

// What a running container takes.
struct ContainerReading {
  std::string id;
  Time started_at{};
  Duration cpu{};             // since its start, of the processes that live and those they waited for
  uint64_t memory_bytes = 0;  // in use: what could be dropped is not counted, where the kernel tells
  uint32_t processes = 0;
};

// Somebody who wants to see what a running container writes from now on.
struct AttachSpec {
  std::string container_id;
  // Write ends of pipes for copies of its output; invalid = not wanted. Closed when the container has ended. A reader
  // that is slow holds the container up, one that does not read for ten seconds is cut off.
  UniqueFd out, err;
};

// Runs containers for one or many node agents: real processes behind the warden, or simulated ones on the clock.
// Control thread only.
class ContainerRuntime {
 public:
  virtual ~ContainerRuntime() = default;

  // "process" or "simulated", for Node.status.nodeInfo.containerRuntimeVersion and messages.
  virtual std::string name() const = 0;
  // Starts a container. Errors carry the reason of the container's waiting state in details().causes[0].reason
  // (RunContainerError, CreateContainerError) and a message that names the program and why it did not start.
  virtual Task<Result<ContainerState>> Start(ContainerSpec spec) = 0;
  // Sends a signal to the container: SIGTERM goes to its first process's group, SIGKILL to everything in its session
  // and all descendants. Ok when it has ended already.
  virtual Task<Status> Signal(std::string id, int signal) = 0;
  // Forgets an ended container, after killing what it may have left behind. Ok when unknown.
  virtual Task<Status> Remove(std::string id) = 0;
  // Resolves when the program has ended, by itself or with its container; what it left running in the container runs
  // on. Errors: the container does not run, the program is not found or not executable (reason as for Start), or the
  // connection to what runs it broke, which kills it.
  virtual Task<Result<ExecResult>> Exec(ExecSpec spec) = 0;
  // Kills the exec's process and its group; Exec then resolves. Ok when unknown.
  virtual Task<Status> StopExec(std::string exec_id) = 0;
  // Attaches. The result is the other end of the container's stdin, or the near end of its terminal; invalid when it
  // has neither. Errors: the container does not run.
  virtual Task<Result<UniqueFd>> Attach(AttachSpec spec) {
    (void)spec;
    co_return Status(Reason::kMethodNotAllowed, "containers of the " + name() + " runtime have no output to attach to");
  }
  // No more input for the container: it sees the end once everybody has closed what Attach gave them. Ok when unknown.
  virtual Task<Status> CloseStdin(std::string container_id) {
    (void)container_id;
    co_return Status();
  }
  // Every container that was started and not removed, also by an earlier server over the same data directory.
  virtual Task<std::vector<ContainerState>> List() = 0;
  // What the running containers take at this moment. It costs a look at every process: keep the answer for a while.
  virtual Task<std::vector<ContainerReading>> Usage() = 0;
  // Called on each exit.
  virtual void set_on_exit(std::function<void(const ContainerState&)> on_exit) = 0;
  // Called when a running container's steered_note has changed. Runtimes that have no such notes need not care.
  virtual void set_on_note(std::function<void(const ContainerState&)> on_note) { (void)on_note; }
};

}  // namespace wherry
