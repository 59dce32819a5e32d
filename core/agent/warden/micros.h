#pragma once

#include <cstdint>
#include <ctime>

namespace wherry::warden {

inline int64_t MicrosOf(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}
// Never set back.
inline int64_t MonotonicMicros() { return MicrosOf(CLOCK_MONOTONIC); }
// Since 1970.
inline int64_t WallMicros() { return MicrosOf(CLOCK_REALTIME); }

}  // namespace wherry::warden
