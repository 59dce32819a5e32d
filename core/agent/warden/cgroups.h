#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/agent/warden/confinement.h"

namespace wherry::warden {

// Limits by control groups, of version 2 or 1, where this user may make some: as root, or below a group that was
// delegated to it. A container with limits gets groups of its own, one for each hierarchy, named after its tag.
// Containers without limits get none and pay nothing.

// The directory below which groups with the controller ("memory", "cpu", "pids") can be made, "" when there is none.
// Found once.
const std::string& CgroupBase(const std::string& controller);

// Makes the groups that the limits need and puts `pid` there. Returns their directories: fewer than asked, or none,
// where they cannot be had.
std::vector<std::string> MakeCgroups(const Confinement& limits, uint64_t tag, pid_t pid);
bool HasMemoryLimit(const std::vector<std::string>& cgroups);
bool HasPidsLimit(const std::vector<std::string>& cgroups);
// Puts another process of the container there: an exec is not born in them.
void JoinCgroups(const std::vector<std::string>& cgroups, pid_t pid);
// How often the kernel killed for lack of memory in them.
int64_t OomKills(const std::vector<std::string>& cgroups);
// Bytes in use, without those of files that could be dropped; -1 = no such group.
int64_t MemoryInUse(const std::vector<std::string>& cgroups);
// Takes away those that are empty; false when some are left.
bool RemoveCgroups(const std::vector<std::string>& cgroups);

// Finds the directory of one controller from the texts of /proc/self/cgroup and /proc/self/mountinfo: the group this
// process is in. "" = not mounted. *version is 1 or 2.
std::string FindCgroup(const std::string& controller, const std::string& cgroups, const std::string& mounts,
                       int* version);

}  // namespace wherry::warden
