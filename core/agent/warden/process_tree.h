#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace wherry::warden {

// Which processes belong to a container, and how to be rid of them, without cgroups and without root.
//
// Every container carries a tag: a random number set as the limit RLIMIT_LOCKS of its first process. Linux enforces no
// such limit since 2.4.25, yet every fork and exec inherits it and anybody may read it; it survives setsid, double
// forks, cleared environments and our own death. A process counts as a member by its tag, or by having a member as its
// ancestor.

// A new tag; never 0. Not above our own hard limit, so that a wherry can run in a container of another.
uint64_t NewTag();
// Tags the calling process for good. False with errno.
bool TagSelf(uint64_t tag);
// The tag of a process (the limit's value), or 0 when it is gone.
uint64_t TagOf(pid_t pid);

// Field 22 of /proc/<pid>/stat, in clock ticks since boot; 0 when it is gone or a zombie. With the boot id it names a
// process for ever.
uint64_t StartTimeOf(pid_t pid);
std::string BootId();

// Our own children, zombies included. False when the kernel cannot tell (CONFIG_PROC_CHILDREN).
bool OwnChildren(std::vector<pid_t>* children);
// All live members of the container, found by looking at every process of the machine.
std::vector<pid_t> FindMembers(uint64_t tag);
// Kills `roots` and all that descends from them: first stops them, round after round, until no new ones turn up, so
// that a program that forks fast does not outrun us. Returns how many live ones it found.
int KillMembers(const std::vector<pid_t>& roots);

}  // namespace wherry::warden
