#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/agent/warden/bind_steering.h"
#include "core/agent/warden/journal.h"
#include "core/agent/warden/limits_watch.h"
#include "core/agent/warden/log_writer.h"
#include "core/agent/warden/poller.h"
#include "core/agent/warden/protocol.h"
#include "core/agent/warden/spawn.h"
#include "core/agent/warden/taps.h"

namespace wherry::warden {

// All containers of a warden: starts them, reads their logs, answers their binds, learns their ends, kills what they
// leave behind, and keeps what became of them until they are removed. Every change is in the journal before it is told.
//
//   birth ──program runs──▶ running ──first process ended──▶ draining ──nothing of it lives──▶ ended ──Remove──▶
//   forgotten
//     └──could not start──▶ forgotten
class Containers {
 public:
  // Told to whoever listens; may be called from within any method.
  struct Events {
    std::function<void(const ProcessState&)> exited;
    std::function<void(const std::string& id, const std::string& note)> note;
    std::function<void(const std::string& id, int listener)> listener;
    std::function<void(const std::string& id, int input)> input;  // of one that has just been started
    // A child ended that is no container's first process.
    std::function<void(pid_t pid, int exit_code, int signal)> other_child;
  };
  using SpawnDone = std::function<void(const SpawnReply&)>;
  using Done = std::function<void(const std::string& error)>;

  Containers(Poller& poller, Inheritance inheritance, Events events);
  ~Containers();

  // Reads the journal of the directory and adopts what still runs. Returns an errno.
  int Open(int directory);

  // `done` is called once: when the program runs or could not be started. `client` asks; another client that asks for
  // the same start while it is under way gets its result instead (a server that had to connect anew).
  void Spawn(SpawnRequest request, uint64_t client, SpawnDone done);
  // Returns an error or "".
  std::string Signal(const std::string& id, int signal);
  // `done` is called when nothing of the container lives and it is forgotten.
  void Remove(const std::string& id, Done done);
  void KillAll();
  std::vector<ProcessState> List() const;
  // What the running ones take now: a look at every process of the machine.
  std::vector<ProcessUsage> Usage() const;

  // Copies its output to these pipes from now on. `*input` becomes another descriptor of its stdin or terminal; invalid
  // when it has none. Returns an error or "".
  std::string Attach(const std::string& id, Fd out, Fd err, Fd* input);
  // Lets go of our end of its stdin; a terminal stays.
  void CloseStdin(const std::string& id);

  // The descriptors a server has to keep, and gives back after a crash of the warden.
  void ForEachListener(const std::function<void(const std::string& id, int listener)>& fn) const;
  void ForEachInput(const std::function<void(const std::string& id, int input)>& fn) const;
  void ReturnListener(const std::string& id, Fd listener);
  void ReturnInput(const std::string& id, Fd input);

  // For execs: what is known of a container whose program runs, else nullptr; and one of its binds that waits at
  // another listener than its first process's.
  const Record* FindRunning(const std::string& id) const;
  void AnswerBind(const std::string& id, int listener);

  void Handle(const Poller::Event& event);
  // Takes all ended children; call after SIGCHLD.
  void Reap();
  // Looks again after what refused to die. Call when TimeoutMs has passed.
  void Tick();
  int TimeoutMs() const;  // -1 = nothing to do

  size_t alive() const { return alive_; }  // containers that have not ended

 private:
  enum class Phase { kBirth, kRunning, kDraining, kEnded };
  struct Container;

  Container* Find(uint64_t serial);
  Container* Find(const std::string& id);
  Container& Insert(Record record);
  void Adopt(Record record);
  void Close(Fd& watched);
  void SetUpSteering(Container& c);
  void WatchListener(Container& c, Fd listener);
  void ReadBirth(Container& c);
  void FailBirth(Container& c, const BirthNews& news);
  void ReadLog(Container& c, Stream stream, bool to_the_end);
  void WatchLog(Container& c, int stream, Fd pipe);
  void ResumeLogs(uint64_t serial);
  void AddNote(Container& c, const std::string& note);
  void MainEnded(Container& c, int exit_code, int signal, bool lost);
  void CheckDraining();
  void CheckLimits();
  std::string FindNeighbours(const Confinement& confinement, Neighbours* neighbours);
  void LetGoOfLimits(Container& c);
  void DropStaleCgroups();
  void Finish(Container& c);
  void Forget(Container& c);
  void Save(const Container& c);
  void CompactJournal();

  Poller& poller_;
  const Inheritance inheritance_;
  const Events events_;
  Journal journal_;
  std::string boot_id_;
  uint64_t next_serial_ = 1;
  std::map<std::string, std::unique_ptr<Container>> by_id_;
  std::unordered_map<uint64_t, Container*> by_serial_;
  std::unordered_map<pid_t, Container*> by_pid_;  // first processes that are our children and not yet reaped
  Taps taps_;
  std::vector<uint64_t> draining_;
  int64_t next_look_us_ = 0;  // monotonic, when draining_ is not empty
  LimitsWatch limits_watch_;
  std::vector<std::string> stale_cgroups_;  // of ended containers, not yet empty
  size_t alive_ = 0;
};

}  // namespace wherry::warden
