#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/runtime/time.h"
#include "store/status.h"

namespace wherry {

// A CronJob's schedule: five fields (minute hour day-of-month month day-of-week) with names, lists, ranges and steps,
// or
// @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, @every <duration>. When both day fields are
// restricted, either of them suffices (POSIX crontab). A value.
class CronSchedule {
 public:
  // kInvalid with the text users know from upstream: `expected exactly 5 fields, found 2: [a b]`.
  static Result<CronSchedule> Parse(std::string_view text);

  // How far local time is ahead of UTC at a moment.
  using UtcOffset = std::function<Duration(Time)>;
  // The first moment strictly after `after`; none when the next five years hold none (30 February). Fields are local
  // time by `offset`, UTC without one. A local time that a clock change skips is passed over; one that comes twice
  // counts once.
  std::optional<Time> Next(Time after, const UtcOffset& offset = {}) const;
  // Of @every: the distance of two moments, which then hang on where one begins to count; else zero.
  Duration every() const { return every_; }

 private:
  friend class CronParser;
  bool MatchesDay(std::chrono::sys_days day) const;
  std::optional<Time> NextLocal(Time after) const;

  // Bit n is set when value n matches.
  uint64_t minutes_ = 0, hours_ = 0, days_ = 0, months_ = 0, weekdays_ = 0;
  bool any_day_ = false, any_weekday_ = false;
  Duration every_{0};  // of @every; then the fields are unused
};

// "" or why `name` is no time zone this host knows: `unknown time zone x`.
std::string CheckTimeZone(const std::string& name);

}  // namespace wherry
