#include "core/agent/warden/limits_watch.h"

#include <algorithm>
#include <utility>

#include "core/agent/warden/cgroups.h"
#include "core/agent/warden/micros.h"
#include "core/agent/warden/usage.h"

namespace wherry::warden {
namespace {

constexpr int64_t kLookUs = 1'000'000;
// Between looks while one may be about to have too many processes.
constexpr int64_t kUrgentLookUs = 100'000;
constexpr uint64_t kManyNewTasks = 100;
constexpr int64_t kFullLookUs = 10'000'000;

}  // namespace

void LimitsWatch::Add(uint64_t serial, uint64_t tag, const Confinement& limits,
                      const std::vector<std::string>& cgroups) {
  Watched watched{tag, 0, 0};
  if (limits.memory_limit > 0 && !HasMemoryLimit(cgroups)) watched.memory = static_cast<uint64_t>(limits.memory_limit);
  if (limits.pids_limit > 0 && !HasPidsLimit(cgroups)) watched.pids = static_cast<uint64_t>(limits.pids_limit);
  if (watched.memory == 0 && watched.pids == 0) return;
  if (watched_.empty()) due_us_ = MonotonicMicros() + kLookUs;
  if (!watched_.emplace(serial, watched).second) return;
  if (watched.memory > 0) ++memories_;
  if (watched.pids == 0) return;
  ++pids_;
  least_pids_ = least_pids_ == 0 ? watched.pids : std::min(least_pids_, watched.pids);
  calm_tasks_ = 0;  // it may grow at once
}

void LimitsWatch::Remove(uint64_t serial) {
  const auto it = watched_.find(serial);
  if (it == watched_.end()) return;
  if (it->second.memory > 0) --memories_;
  if (it->second.pids > 0) --pids_;
  watched_.erase(it);
}

// A container cannot have more processes than the machine, nor have grown by more than the machine has: mostly one
// small file tells that all is well. Others may have gone meanwhile, so that all are counted now and then.
bool LimitsWatch::PidsInDoubt() {
  if (pids_ == 0) return false;
  const uint64_t tasks = TasksOfMachine(), before = std::exchange(last_tasks_, tasks);
  const int64_t now = MonotonicMicros();
  if (before != 0 && tasks > before + kManyNewTasks) due_us_ = now + kUrgentLookUs;
  if (tasks != 0 && tasks <= least_pids_) return false;
  if (tasks != 0 && tasks <= calm_tasks_ && now < full_look_us_) return false;
  full_look_us_ = now + kFullLookUs;
  return true;
}

std::vector<LimitsWatch::Excess> LimitsWatch::Look() {
  due_us_ = MonotonicMicros() + kLookUs;
  std::vector<Excess> out;
  if (!PidsInDoubt() && memories_ == 0) return out;
  uint64_t room = UINT64_MAX;  // of the one that is nearest to its limit
  auto used = LookAtTags();
  for (const auto& [serial, limit] : watched_) {
    const TaggedUsage& usage = used[limit.tag];
    if (limit.pids > 0 && usage.threads <= limit.pids) room = std::min(room, limit.pids - usage.threads);
    if (limit.pids > 0 && usage.threads > limit.pids) {
      out.push_back({serial, false,
                     "it had " + std::to_string(usage.threads) + " processes and threads, its limit is " +
                         std::to_string(limit.pids)});
      continue;
    }
    // Resident sets count what programs share as often as they share it.
    if (limit.memory == 0 || usage.memory_bytes <= limit.memory || ProportionalMemory(usage.pids) <= limit.memory)
      continue;
    out.push_back({serial, true, {}});
  }
  calm_tasks_ = room == UINT64_MAX ? 0 : last_tasks_ + room / 2;
  return out;
}

}  // namespace wherry::warden
