#pragma once

#include <sys/types.h>

#include "core/agent/warden/mount_view.h"
#include "core/agent/warden/protocol.h"
#include "core/agent/warden/spawn.h"

namespace wherry::warden {

// In a child of the warden, on its way to the program: what the kernel holds of a container besides its processes.
// Both return in the process that becomes the program, which may be a child of the one that called: then the caller
// lives on and ends as the program does.

// Who the warden is, outside of all namespaces.
struct Parent {
  uid_t user;
  gid_t group;
};

// Makes the container's namespaces, mounts and root.
Refusal Confine(const SpawnRequest& request, Parent parent, const Neighbours& neighbours);
// The namespaces are there, and `parent` made them: holds them until it is killed, and reaps in them. Takes no signal.
Refusal BePause(const SpawnRequest& request, Parent parent, int status);
// The file that stands for the PID namespace in which the program of a container is.
std::string PidNamespaceOf(pid_t first, const Confinement& confinement);
// Joins those of the container whose first process is `first`: for execs. A plain process has none.
Refusal EnterContainer(pid_t first, const Confinement& confinement);
// Without root a sandbox knows one user, and where containers share a user namespace it may be another than this
// program's: then it gets one of its own within, where it is who it should be.
Refusal BeKnownAs(const SpawnRequest& request);

}  // namespace wherry::warden
