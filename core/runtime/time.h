#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace wherry {

using Duration = std::chrono::microseconds;
// A point of wall time, as in timestamps of the API: microseconds since the Unix epoch, UTC.
using Time = std::chrono::time_point<std::chrono::system_clock, Duration>;

// RFC 3339 as metav1.Time writes it, e.g. "2026-01-02T03:04:05Z".
std::string FormatTime(Time time);
// With six digits of fraction, as metav1.MicroTime, e.g. "2026-01-02T03:04:05.000006Z".
std::string FormatMicroTime(Time time);
// Parses RFC 3339 with any offset and fraction. False when it is not one.
bool ParseTime(std::string_view text, Time* out);

}  // namespace wherry
