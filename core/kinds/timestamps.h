#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace wherry {

// The text forms of times as values of fields; the documents keep them canonical (UTC).
enum class TimePrecision : uint8_t { kSeconds, kMicros };

// RFC 3339 in any offset → UTC "2026-01-02T03:04:05Z" (or with six digits of fraction). False when it is no time.
bool CanonicalTime(std::string_view text, TimePrecision precision, std::string* out);
// The same from the Unix time. False when the year is not within 0…9999 or `nanos` not within a second.
bool TimeFromUnix(int64_t seconds, int64_t nanos, TimePrecision precision, std::string* out);
// Nanoseconds as Go writes a duration: "1h0m0s", "1.5s", "100ms".
std::string FormatGoDuration(int64_t nanos);

}  // namespace wherry
