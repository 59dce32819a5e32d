#include "core/kinds/cron.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace wherry {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::sys_days;

struct Bounds {
  uint64_t min, max;
  std::vector<std::string_view> names;  // of min, min + 1, …
};

const std::array<Bounds, 5>& FieldBounds() {
  static const std::array<Bounds, 5> bounds = {{
      {0, 59, {}},
      {0, 23, {}},
      {1, 31, {}},
      {1, 12, {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
      {0, 6, {"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
  }};
  return bounds;
}

struct Descriptor {
  std::string_view name, fields;
};
constexpr Descriptor kDescriptors[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
    {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"},
};

std::vector<std::string_view> Split(std::string_view text, std::string_view separators, bool skip_empty) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find_first_of(separators);
    const std::string_view part = text.substr(0, at);
    if (!part.empty() || !skip_empty) parts.push_back(part);
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

// A duration as Go writes them ("1h30m", "1.5s"); false when it is none.
bool ParseGoDuration(std::string_view text, Duration* out) {
  static constexpr std::pair<std::string_view, double> kUnits[] = {{"ns", 1e-3}, {"us", 1},   {"µs", 1},    {"ms", 1e3},
                                                                   {"s", 1e6},   {"m", 60e6}, {"h", 3600e6}};
  double total = 0;
  if (text.empty()) return false;
  while (!text.empty()) {
    const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
    if (error != std::errc() || end != text.data() + digits) return false;
    text.remove_prefix(digits);
    const size_t length = std::min(text.find_first_of("0123456789."), text.size());
    const auto* unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                    [&](const auto& u) { return u.first == text.substr(0, length); });
    if (unit == std::end(kUnits)) return false;
    total += value * unit->second;
    text.remove_prefix(length);
  }
  if (total > 9e18 / 1000) return false;  // Go's durations end at 292 years
  *out = Duration(static_cast<int64_t>(total));
  return true;
}

}  // namespace

class CronParser {
 public:
  static Result<CronSchedule> Run(std::string_view text) {
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return Bad("empty spec string");
    if (text.starts_with("@every ")) return Every(text);
    if (text.starts_with('@')) {
      for (const Descriptor& d : kDescriptors) {
        if (d.name == text) return Run(d.fields);
      }
      return Bad("unrecognized descriptor: " + std::string(text));
    }
    const std::vector<std::string_view> fields = Split(text, " \t\r\n", true);
    if (fields.size() != 5) {
      std::string list;
      for (const std::string_view f : fields) list.append(list.empty() ? "" : " ").append(f);
      return Bad("expected exactly 5 fields, found " + std::to_string(fields.size()) + ": [" + list + "]");
    }
    CronParser parser;
    CronSchedule s;
    bool ignored = false;
    s.minutes_ = parser.Field(fields[0], 0, &ignored);
    s.hours_ = parser.Field(fields[1], 1, &ignored);
    s.days_ = parser.Field(fields[2], 2, &s.any_day_);
    s.months_ = parser.Field(fields[3], 3, &ignored);
    s.weekdays_ = parser.Field(fields[4], 4, &s.any_weekday_);
    if (!parser.error_.empty()) return Bad(parser.error_);
    return s;
  }

 private:
  static Status Bad(std::string message) { return Status(Reason::kInvalid, std::move(message)); }

  static Result<CronSchedule> Every(std::string_view text) {
    CronSchedule s;
    if (!ParseGoDuration(text.substr(7), &s.every_)) {
      return Bad("failed to parse duration " + std::string(text) + ": time: invalid duration \"" +
                 std::string(text.substr(7)) + "\"");
    }
    s.every_ = std::max<Duration>(std::chrono::floor<std::chrono::seconds>(s.every_), std::chrono::seconds(1));
    return s;
  }

  void Fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
  }

  uint64_t Number(std::string_view text) {
    int64_t value = 0;
    const bool plus = text.starts_with('+');
    const auto [end, error] = std::from_chars(text.data() + (plus ? 1 : 0), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
      Fail("failed to parse int from " + std::string(text) + ": strconv.Atoi: parsing \"" + std::string(text) +
           "\": invalid syntax");
      return 0;
    }
    if (value < 0) Fail("negative number (" + std::to_string(value) + ") not allowed: " + std::string(text));
    return static_cast<uint64_t>(std::max<int64_t>(value, 0));
  }

  uint64_t NumberOrName(std::string_view text, const Bounds& bounds) {
    const auto name = std::find(bounds.names.begin(), bounds.names.end(), Lower(text));
    if (name != bounds.names.end()) return bounds.min + static_cast<uint64_t>(name - bounds.names.begin());
    return Number(text);
  }

  // "a", "a-b", "a/s", "a-b/s", "*", "*/s": the bits of one range. `any` rises for an unrestricted one.
  uint64_t Range(std::string_view text, const Bounds& bounds, bool* any) {
    const std::vector<std::string_view> steps = Split(text, "/", false);
    const std::vector<std::string_view> ends = Split(steps[0], "-", false);
    uint64_t low = 0, high = 0, step = 1;
    bool star = false;
    if (ends[0] == "*" || ends[0] == "?") {
      low = bounds.min;
      high = bounds.max;
      star = true;
    } else {
      low = NumberOrName(ends[0], bounds);
      high = ends.size() > 1 ? NumberOrName(ends[1], bounds) : low;
    }
    const std::string whole(text);
    if (ends.size() > 2) Fail("too many hyphens: " + whole);
    if (steps.size() > 2) Fail("too many slashes: " + whole);
    if (steps.size() == 2) {
      step = Number(steps[1]);
      if (ends.size() == 1) high = bounds.max;
      if (step > 1) star = false;
    }
    const auto n = [](uint64_t value) { return "(" + std::to_string(value) + ")"; };
    if (low < bounds.min) Fail("beginning of range " + n(low) + " below minimum " + n(bounds.min) + ": " + whole);
    if (high > bounds.max) Fail("end of range " + n(high) + " above maximum " + n(bounds.max) + ": " + whole);
    if (low > high) Fail("beginning of range " + n(low) + " beyond end of range " + n(high) + ": " + whole);
    if (step == 0) Fail("step of range should be a positive number: " + whole);
    if (!error_.empty()) return 0;
    uint64_t bits = 0;
    for (uint64_t i = low; i <= high; i += step) {
      bits |= uint64_t{1} << i;
      if (step > bounds.max) break;
    }
    *any |= star;
    return bits;
  }

  uint64_t Field(std::string_view text, size_t field, bool* any) {
    uint64_t bits = 0;
    for (const std::string_view range : Split(text, ",", true)) bits |= Range(range, FieldBounds().at(field), any);
    return bits;
  }

  std::string error_;
};

Result<CronSchedule> CronSchedule::Parse(std::string_view text) { return CronParser::Run(text); }

bool CronSchedule::MatchesDay(sys_days day) const {
  const std::chrono::year_month_day date(day);
  if ((months_ >> unsigned{date.month()} & 1) == 0) return false;
  const bool by_date = (days_ >> unsigned{date.day()} & 1) != 0;
  const bool by_weekday = (weekdays_ >> std::chrono::weekday(day).c_encoding() & 1) != 0;
  return any_day_ || any_weekday_ ? by_date && by_weekday : by_date || by_weekday;
}

std::optional<Time> CronSchedule::NextLocal(Time after) const {
  const auto start = std::chrono::floor<minutes>(after) + minutes(1);
  const auto first = std::chrono::floor<days>(start);
  for (sys_days day = first; day <= first + days(5 * 366); day += days(1)) {
    if (!MatchesDay(day)) continue;
    for (int h = 0; h < 24; ++h) {
      if ((hours_ >> h & 1) == 0) continue;
      for (int m = 0; m < 60; ++m) {
        const auto at = day + hours(h) + minutes(m);
        if ((minutes_ >> m & 1) != 0 && at >= start) return Time(at);
      }
    }
  }
  return std::nullopt;
}

std::optional<Time> CronSchedule::Next(Time after, const UtcOffset& offset) const {
  if (every_ > Duration(0)) return std::chrono::floor<std::chrono::seconds>(after) + every_;
  if (!offset) return NextLocal(after);
  Time local = after + offset(after);
  while (const std::optional<Time> next = NextLocal(local)) {
    local = *next;
    // The offset then may differ from the offset now: try both sides of a clock change, the earlier first.
    for (const Duration guess : {offset(local - offset(after)), offset(after)}) {
      const Time utc = local - guess;
      if (utc > after && utc + offset(utc) == local) return utc;
    }
  }
  return std::nullopt;
}

std::string CheckTimeZone(const std::string& name) {
  if (name.empty()) return "timeZone must be nil or non-empty string";
  if (Lower(name) == "local") {
    return "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
  }
  if (name == "UTC") return {};
  const bool plain =
      name.front() != '/' && name.find("..") == std::string::npos && name.find('\0') == std::string::npos;
  struct stat file {};
  const std::string path = "/usr/share/zoneinfo/" + name;
  if (plain && ::stat(path.c_str(), &file) == 0 && S_ISREG(file.st_mode)) return {};
  return "unknown time zone " + name;
}

}  // namespace wherry
