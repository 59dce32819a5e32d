#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "core/runtime/time.h"

namespace wherry {

// How long a job waits before it replaces failed pods: 10 s after the first failure, doubling to 10 min; a success
// begins anew. A value.
struct JobBackoff {
  static constexpr Duration kBase = std::chrono::seconds(10);
  static constexpr Duration kMax = std::chrono::minutes(10);

  int64_t failures = 0;  // since the last success
  Time last_failure{};

  // Takes in pods that have ended, by the moments of their ends.
  void Observe(const std::vector<Time>& succeeded, const std::vector<Time>& failed);
  Duration Remaining(Time now) const { return Remaining(failures, last_failure, now); }
  static Duration Remaining(int64_t failures, Time last_failure, Time now);

  bool operator==(const JobBackoff&) const = default;
};

}  // namespace wherry
