#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/agent/warden/confinement.h"

namespace wherry::warden {

// Keeps the limits that no control group keeps, by looking once a second: a program that grows faster is ended late.
// Times are monotonic microseconds.
class LimitsWatch {
 public:
  // A container beyond a limit.
  struct Excess {
    uint64_t serial = 0;
    bool out_of_memory = false;
    std::string pids;  // unless empty: beyond its number of processes, in words
  };

  // From now on, unless the control groups of the container keep what it is limited to.
  void Add(uint64_t serial, uint64_t tag, const Confinement& limits, const std::vector<std::string>& cgroups);
  void Remove(uint64_t serial);

  // When Look is due; INT64_MAX = never.
  int64_t due_us() const { return watched_.empty() ? INT64_MAX : due_us_; }
  std::vector<Excess> Look();

 private:
  struct Watched {
    uint64_t tag = 0;
    uint64_t memory = 0, pids = 0;  // 0 = not watched
  };
  bool PidsInDoubt();

  std::unordered_map<uint64_t, Watched> watched_;  // by serial
  int memories_ = 0, pids_ = 0;                    // how many are watched
  int64_t due_us_ = 0;
  uint64_t least_pids_ = 0;  // of those watched so far; never grows
  uint64_t calm_tasks_ = 0;  // while the machine has no more, nobody can be beyond its limit
  uint64_t last_tasks_ = 0;
  int64_t full_look_us_ = 0;  // when all processes are looked at in any case
};

}  // namespace wherry::warden
