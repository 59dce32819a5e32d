#include "core/controllers/job/job_backoff.h"

#include <algorithm>

namespace wherry {

void JobBackoff::Observe(const std::vector<Time>& succeeded, const std::vector<Time>& failed) {
  Time since{};
  if (!succeeded.empty()) {
    since = *std::max_element(succeeded.begin(), succeeded.end());
    if (last_failure <= since) *this = JobBackoff();
  }
  for (const Time at : failed) {
    if (at < since) continue;
    ++failures;
    last_failure = std::max(last_failure, at);
  }
}

Duration JobBackoff::Remaining(int64_t failures, Time last_failure, Time now) {
  if (failures <= 0) return Duration::zero();
  Duration delay = kBase;
  for (int64_t i = 1; i < failures && delay < kMax; ++i) delay *= 2;
  return std::max(Duration::zero(), last_failure + std::min(delay, kMax) - now);
}

}  // namespace wherry
