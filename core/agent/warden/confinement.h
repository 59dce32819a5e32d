#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace wherry::warden {

// A directory or file shown to a container at a place of its file system.
struct Mount {
  std::string source;  // exists; absolute
  std::string target;  // absolute; made when it is missing, but never on the host
  bool read_only = false;
};

// How far a container is kept apart from its machine and what it may use. The default is a plain process. Plain data,
// so that the server's ContainerSpec and the warden's SpawnRequest share it.
struct Confinement {
  std::vector<Mount> mounts;  // parents before what lies in them

  // Namespaces of its own over a copy-on-write view of the host, instead of a plain process.
  bool sandbox = false;
  std::string hostname;         // in the sandbox; "" = the machine's
  bool read_only_root = false;  // of the sandbox, volumes apart
  bool host_pid = false, host_ipc = false;
  uint64_t scratch_bytes = 0;       // what it may write besides its volumes; 0 = half of the memory, as tmpfs
  std::vector<std::string> hidden;  // directories that are empty in the sandbox, mounts within apart

  std::vector<int64_t> groups;        // supplementary; only root can give them
  bool limit_capabilities = false;    // to the mask below
  uint64_t capabilities = 0;          // 1 << CAP_…
  bool default_system_calls = false;  // seccompProfile RuntimeDefault

  int64_t memory_limit = 0;  // bytes; 0 = none
  int64_t cpu_limit = 0;     // thousandths of a CPU; 0 = none
  int64_t pids_limit = 0;    // processes and threads; 0 = none

  // What the containers of one pod have together, in the sandbox; since kPodVersion. Ids of containers that run.
  bool pause = false;       // no program: holds namespaces for others, the first process of those it makes
  std::string shares;       // whose IPC, UTS and (without root) user namespace this one is in; "" = its own
  std::string shares_pids;  // whose processes it sees and is seen by; "" = its own

  bool joins() const { return !shares.empty() || !shares_pids.empty(); }
  bool with_others() const { return pause || joins(); }
  // What only a warden that knows of confinements can do. The number of processes is limited for everybody, so that an
  // older one is not refused for it.
  bool plain() const {
    return mounts.empty() && !sandbox && groups.empty() && !limit_capabilities && !default_system_calls &&
           memory_limit == 0 && cpu_limit == 0;
  }
};

std::string Encode(const Confinement& confinement);
bool Decode(std::string_view bytes, Confinement* confinement);

// What the kernel lets this user do; asked once, by a child that tries it.
struct Facilities {
  std::string no_mounts;  // why volumes cannot be at their mountPath; "" = they can
};
const Facilities& HostFacilities();

}  // namespace wherry::warden
