#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/runtime/time.h"
#include "store/status.h"

namespace wherry {

// The rules of one IANA time zone, read from the host's TZif files (RFC 8536). The library's std::chrono::tzdb is not
// in the compiler we build with. Immutable.
class TimeZone {
 public:
  // By name: "Europe/Berlin", "UTC". kInvalid `unknown time zone x`. Reads a small file.
  static Result<TimeZone> Load(const std::string& name);
  // From the bytes of a TZif file of version 2 or later. kInvalid when they are none.
  static Result<TimeZone> Parse(std::string_view bytes);
  // From a POSIX TZ string with its extensions, "CET-1CEST,M3.5.0,M10.5.0/3". kInvalid when it is none.
  static Result<TimeZone> FromPosix(std::string_view text);

  // How far local time is ahead of UTC at a moment.
  Duration OffsetAt(Time utc) const;

 private:
  struct Transition {
    int64_t at;      // seconds since the epoch
    int64_t offset;  // seconds, from then on
  };
  // The day of a year and the second on it when a clock changes.
  struct Change {
    enum class Kind : uint8_t { kMonthWeekDay, kJulianDay, kZeroDay } kind = Kind::kMonthWeekDay;
    int month = 1, week = 1, day = 0;
    int64_t second = 7200;
    int64_t At(int year) const;  // local seconds since the epoch
  };
  // What holds after the last transition.
  struct Rule {
    int64_t standard = 0, daylight = 0;
    bool has_daylight = false;
    Change begin, end;  // of daylight time
  };
  friend class PosixZoneParser;
  int64_t ByRule(int64_t at) const;

  int64_t first_offset_ = 0;  // before the first transition
  std::vector<Transition> transitions_;
  std::optional<Rule> rule_;
};

}  // namespace wherry
