#pragma once

#include <sys/types.h>

#include "core/agent/warden/confinement.h"
#include "core/agent/warden/mount_view.h"

namespace wherry::warden {

// The sandbox of a container: namespaces over a copy-on-write view of the host.
//
//   warden ── clone(NEWPID|NEWNS|NEWUTS|NEWIPC[|NEWUSER]) ──▶ init (pid 1 of the sandbox) ── fork ──▶ program
//
// Its init is the container's first process for everybody outside: it reaps, passes signals on, and ends with the
// program's exit code; with it the kernel ends whatever else is in the sandbox.
//
// A container that shares namespaces with others of its pod joins those, and one process more stays outside of its PID
// namespace, since nobody can move to another himself. One that is in another's PID namespace has no init of its own:
//
//   warden ── fork ──▶ outer: setns, unshare ── fork ──▶ init ── fork ──▶ program
//   warden ── fork ──▶ outer: setns ── fork ──▶ program

// For clone(2). Without root a user namespace is among them.
int SandboxFlags(const Confinement& confinement, bool root);

// In the new namespaces: the sandbox's file system, volumes included, becomes the root. One overlay for each top-level
// directory of the host, with what is written in one tmpfs that vanishes with the sandbox; /tmp, /run, /dev and
// /proc of its own; /sys read-only. `root`: we are the machine's root, not that of a user namespace.
Refusal EnterSandboxRoot(const Confinement& confinement, bool root);

// The rest of an init's life.
[[noreturn]] void BeInit(pid_t program);
// Signals wait from here on until BeInit takes them. Call before the program is forked.
void HoldSignals();

}  // namespace wherry::warden
