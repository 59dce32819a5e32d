#pragma once

#include "core/agent/warden/mount_view.h"
#include "core/agent/warden/protocol.h"

namespace wherry::warden {

// In a container's child: its user, groups and capabilities, as root. What an ordinary user asks for is either what it
// is already, or mapped by the sandbox's user namespace.
//
// Capabilities beyond the container's are taken from the bounding set, so that no program gets them back.
Refusal LimitCapabilities(const Confinement& confinement);
Refusal ChangeUser(const SpawnRequest& request);

// seccompProfile RuntimeDefault: calls that change the machine, open ways around namespaces or were trouble before fail
// with EPERM (clone3 with ENOSYS, so that programs fall back to clone, whose flags can be seen). Built once, before
// children are forked; returns an errno.
int PrepareDefaultFilter();
// In the child, with no_new_privs set.
Refusal InstallDefaultFilter();

}  // namespace wherry::warden
