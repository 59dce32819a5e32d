#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "core/agent/warden/fd.h"
#include "core/agent/warden/protocol.h"

namespace wherry::warden {

// What the warden changed about itself and a program shall find as it was.
struct Inheritance {
  uint64_t nofile_soft = 0;
  bool restore_oom_score = false;
  std::string oom_score;
};

// A child that has been forked and waits for Go(): nothing of the program has run yet.
struct Birth {
  pid_t pid = -1;
  Fd status;  // SOCK_SEQPACKET to the child; closed by its exec
  Fd log[2];  // read ends of stdout and stderr, non-blocking
  uint64_t log_pipe[2] = {0, 0};
  Fd input;  // the other end of its stdin, or of its terminal, non-blocking; only when the request asks for one
};

// Containers whose namespaces a new one is in. Descriptors, so that nobody else can be meant.
struct Neighbours {
  Fd process;  // the first process of the one that it shares with
  Fd pids;     // the PID namespace that it is in
};

// A program that joins a container instead of being its first.
struct Joining {
  Fd stdio[3];  // invalid = /dev/null
  bool tty = false;
  pid_t container = -1;  // its first process
};

// Forks. Returns an errno. `neighbours`: those of Confinement::shares and shares_pids, when it names any.
int Fork(const SpawnRequest& request, uint64_t tag, const Inheritance& inheritance, const Neighbours& neighbours,
         Birth* birth);
// The same for a program that joins a container with that tag: it has no log, and dies with the warden.
int ForkInto(const SpawnRequest& request, uint64_t tag, const Inheritance& inheritance, const Joining& joining,
             Birth* birth);
// Lets the child go on to its program.
void Go(const Birth& birth);

// What the child says on its way to the program.
struct BirthNews {
  enum Kind { kNothingYet, kListener, kNotSteered, kFailed, kRunning } kind = kNothingYet;
  Fd listener;            // kListener: of its bind filter
  int error = 0;          // kNotSteered
  std::string message;    // kFailed: why, as in: exec: "nginxx": executable file not found in $PATH
  bool not_made = false;  // kFailed: what it should run in could not be made; the program was not tried
};
// Reads one piece of news without blocking. kRunning (the program runs) and kFailed are the last.
BirthNews ReadNews(const Birth& birth, const SpawnRequest& request);

// Opens, to read, the pipe with inode number `pipe` that process `member` holds open; invalid when it does not. So logs
// go on after the warden was killed.
Fd ReopenPipe(pid_t member, uint64_t pipe);

}  // namespace wherry::warden
