#include "core/kinds/cron.h"

#include <catch2/catch.hpp>

namespace wherry {
namespace {

Time At(std::string_view text) {
  Time time;
  REQUIRE(ParseTime(text, &time));
  return time;
}

TEST_CASE("schedules name their next moment") {
  const struct {
    std::string_view schedule, after, next;
  } cases[] = {
      {"* * * * *", "2026-01-02T03:04:05Z", "2026-01-02T03:05:00Z"},
      {"* * * * *", "2026-01-02T03:04:00Z", "2026-01-02T03:05:00Z"},
      {"*/15 * * * *", "2026-01-02T03:46:00Z", "2026-01-02T04:00:00Z"},
      {"5/20 * * * *", "2026-01-02T03:26:00Z", "2026-01-02T03:45:00Z"},
      {"0 9-17/4 * * *", "2026-01-02T13:30:00Z", "2026-01-02T17:00:00Z"},
      {"30 8 1,15 * *", "2026-01-02T00:00:00Z", "2026-01-15T08:30:00Z"},
      {"0 0 29 feb *", "2026-01-02T00:00:00Z", "2028-02-29T00:00:00Z"},
      {"0 0 * * MON-fri", "2026-01-02T00:00:00Z", "2026-01-05T00:00:00Z"},
      {"0 0 13 * 5", "2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z"},  // a Friday or a 13th
      {"0 0 13 * ?", "2026-01-02T00:00:00Z", "2026-01-13T00:00:00Z"},
      {"0 0 */2 * 1", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"},  // a step restricts: odd days or Mondays
      {"@hourly", "2026-01-02T03:04:05Z", "2026-01-02T04:00:00Z"},
      {"@daily", "2026-01-02T03:04:05Z", "2026-01-03T00:00:00Z"},
      {"@midnight", "2026-12-31T03:04:05Z", "2027-01-01T00:00:00Z"},
      {"@weekly", "2026-01-02T03:04:05Z", "2026-01-04T00:00:00Z"},
      {"@monthly", "2026-01-02T03:04:05Z", "2026-02-01T00:00:00Z"},
      {"@yearly", "2026-01-02T03:04:05Z", "2027-01-01T00:00:00Z"},
      {"@every 1h30m", "2026-01-02T03:04:05.5Z", "2026-01-02T04:34:05Z"},
      {"@every 10ms", "2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z"},
  };
  for (const auto& c : cases) {
    INFO(c.schedule);
    const auto schedule = CronSchedule::Parse(c.schedule);
    REQUIRE(schedule.ok());
    const auto next = schedule->Next(At(c.after));
    REQUIRE(next);
    CHECK(FormatTime(*next) == c.next);
  }
  CHECK_FALSE(CronSchedule::Parse("0 0 30 2 *").value().Next(At("2026-01-02T00:00:00Z")));
}

TEST_CASE("local schedules follow the clock changes") {
  // Central European rules of 2026: +1, and +2 from 29 March 01:00Z to 25 October 01:00Z.
  const auto offset = [](Time t) -> Duration {
    const bool summer = t >= At("2026-03-29T01:00:00Z") && t < At("2026-10-25T01:00:00Z");
    return std::chrono::hours(summer ? 2 : 1);
  };
  const struct {
    std::string_view schedule, after, next;
  } cases[] = {
      {"0 8 * * *", "2026-03-28T08:00:00Z", "2026-03-29T06:00:00Z"},
      {"30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"},  // 02:30 does not exist on the 29th
      {"0 8 * * *", "2026-10-24T08:00:00Z", "2026-10-25T07:00:00Z"},
      {"30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},  // the first of two
  };
  for (const auto& c : cases) {
    INFO(c.schedule << " after " << c.after);
    const auto next = CronSchedule::Parse(c.schedule).value().Next(At(c.after), offset);
    REQUIRE(next);
    CHECK(FormatTime(*next) == c.next);
  }
}

TEST_CASE("malformed schedules are refused in upstream's words") {
  const struct {
    std::string_view schedule, message;
  } cases[] = {
      {"", "empty spec string"},
      {"* *", "expected exactly 5 fields, found 2: [* *]"},
      {"* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"},
      {"60 * * * *", "end of range (60) above maximum (59): 60"},
      {"* * 0 * *", "beginning of range (0) below minimum (1): 0"},
      {"* * * * 7", "end of range (7) above maximum (6): 7"},
      {"5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3"},
      {"*/0 * * * *", "step of range should be a positive number: */0"},
      {"1-2-3 * * * *", "too many hyphens: 1-2-3"},
      {"1/2/3 * * * *", "too many slashes: 1/2/3"},
      {"x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"},
      {"* * * foo *", "failed to parse int from foo: strconv.Atoi: parsing \"foo\": invalid syntax"},
      {"@never", "unrecognized descriptor: @never"},
      {"@every x", "failed to parse duration @every x: time: invalid duration \"x\""},
      {"*/99999999999999999999 * * * *",
       "failed to parse int from 99999999999999999999: strconv.Atoi: parsing \"99999999999999999999\": invalid syntax"},
  };
  for (const auto& c : cases) {
    INFO(c.schedule);
    const auto schedule = CronSchedule::Parse(c.schedule);
    REQUIRE_FALSE(schedule.ok());
    CHECK(schedule.status().message() == c.message);
  }
  CHECK(CronSchedule::Parse("*/9223372036854775807 * * * *").ok());
}

TEST_CASE("time zones are the host's") {
  CHECK(CheckTimeZone("UTC").empty());
  CHECK(CheckTimeZone("").find("non-empty") != std::string::npos);
  CHECK(CheckTimeZone("Local").starts_with("timeZone must be an explicit time zone"));
  CHECK(CheckTimeZone("../../../etc/passwd") == "unknown time zone ../../../etc/passwd");
  CHECK(CheckTimeZone("/etc/passwd") == "unknown time zone /etc/passwd");
  CHECK(CheckTimeZone("Mars/Olympus") == "unknown time zone Mars/Olympus");
}

}  // namespace
}  // namespace wherry
