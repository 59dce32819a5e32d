#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/agent/warden/confinement.h"
#include "core/agent/warden/fd.h"

namespace wherry::warden {

// In a container's child, in a mount namespace of its own: shows volumes at their mountPath.

// What could not be done, and why; error 0 = all went well.
struct Refusal {
  int error = 0;
  std::string what;
  explicit operator bool() const { return error != 0; }
};

// The mounts of a container as copies that hang nowhere yet: taken first, since what is put into place may cover them.
struct TakenMount {
  Mount mount;
  Fd tree;
  bool directory = false;
};
Refusal TakeMounts(const std::vector<Mount>& mounts, std::vector<TakenMount>* taken);

// Where a path leads on the host: the links of what exists are followed.
struct ResolvedPath {
  std::string existing;  // the longest part that exists
  std::string missing;   // the rest, "" = all of it exists
  bool closed = false;   // the missing part may exist, but this user may not look

  std::string whole() const {
    if (missing.empty()) return existing;
    return (existing == "/" ? "" : existing) + "/" + missing;
  }
};
ResolvedPath Resolve(const std::string& path);
// A directory comes over a directory and a file over a file, and nothing below a file.
Refusal CheckPlace(const TakenMount& mount, const ResolvedPath& where);

// In a new user namespace: makes `own_user` and `own_group` of the one around it known as `uid` and `gid`; nobody else
// exists in it.
Refusal MapUser(uid_t uid, gid_t gid, uid_t own_user, gid_t own_group);
// A mount namespace of our own, whose changes the host never sees; without root within a new user namespace, where we
// are who we are.
Refusal EnterMountNamespace();
// As EnterMountNamespace, when the namespace is there already.
Refusal KeepMountsPrivate();

// Shows the host with the mounts at their places. Places that the host does not have appear in a copy of the directory
// they belong to, seen by this container alone; nothing is made on the host.
//
// Such a copy is a tmpfs with everything of the directory bound into it, so that what is there is the real thing; in
// large directories of the system (more than 40 entries, owned by root) an overlay, whose cost does not grow with their
// size, and where what is written stays with the container. Devices that this user may not open are left out.
Refusal ShowMounts(std::vector<TakenMount> mounts);

// Attaches one mount at a path that exists or can be made: also within another mount.
Refusal Attach(const TakenMount& mount, const std::string& target);
// A copy of the tree of mounts at a path, which hangs nowhere; and hanging it somewhere.
Fd CloneTree(int directory, const char* path);
bool MoveTree(int tree, const std::string& path);
bool MakeReadOnly(int tree);
// Puts an overlay of `lower` over `target`, with `upper` and `work` (directories of one file system) below nothing
// else.
bool MountOverlay(const std::string& lower, const std::string& upper, const std::string& work,
                  const std::string& target);
// The mount points of this namespace, parents before what lies in them.
std::vector<std::string> MountPoints();
// mkdir -p, or an empty file.
Refusal MakePlace(const std::string& path, bool directory);

// Whether `path` is `directory` or lies in it.
bool IsWithin(const std::string& path, const std::string& directory);
// Makes `root`, a mount point, the root of this namespace, and the current directory.
Refusal ChangeRoot(const std::string& root);

}  // namespace wherry::warden
