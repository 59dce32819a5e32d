#include "core/kinds/time_zone.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>

#include "core/kinds/cron.h"

namespace wherry {
namespace {

constexpr size_t kMaxFile = 1 << 20;
constexpr size_t kHeader = 44;

Status Bad(const char* what) { return Status(Reason::kInvalid, std::string("malformed time zone: ") + what); }

int64_t BigEndian(std::string_view bytes) {
  uint64_t value = static_cast<unsigned char>(bytes[0]) & 0x80 ? ~uint64_t{0} : 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return static_cast<int64_t>(value);
}

struct Counts {
  size_t is_ut, is_std, leaps, times, types, chars;

  explicit Counts(std::string_view header) {
    size_t* const fields[] = {&is_ut, &is_std, &leaps, &times, &types, &chars};
    for (size_t i = 0; i < 6; ++i) *fields[i] = static_cast<size_t>(BigEndian(header.substr(20 + 4 * i, 4)));
  }
  bool sane() const { return std::max({is_ut, is_std, leaps, times, types, chars}) < kMaxFile; }
  size_t Size(size_t time_size) const {
    return times * (time_size + 1) + types * 6 + chars + leaps * (time_size + 4) + is_std + is_ut;
  }
};

int YearOf(int64_t seconds) {
  const auto day = std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds(std::chrono::seconds(seconds)));
  return static_cast<int>(std::chrono::year_month_day(day).year());
}

}  // namespace

// "CET-1CEST,M3.5.0,M10.5.0/3", piece by piece.
class PosixZoneParser {
 public:
  explicit PosixZoneParser(std::string_view text) : text_(text) {}

  std::optional<TimeZone::Rule> Run() {
    TimeZone::Rule rule;
    int64_t west = 0;
    if (!Name() || !Clock(24, &west)) return std::nullopt;
    rule.standard = -west;
    if (text_.empty()) return rule;
    if (!Name()) return std::nullopt;
    rule.has_daylight = true;
    rule.daylight = rule.standard + 3600;
    if (!text_.empty() && text_.front() != ',') {
      if (!Clock(24, &west)) return std::nullopt;
      rule.daylight = -west;
    }
    if (!ChangeOf(&rule.begin) || !ChangeOf(&rule.end) || !text_.empty()) return std::nullopt;
    return rule;
  }

 private:
  bool Take(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }

  bool Name() {
    if (Take('<')) {
      const size_t end = text_.find('>');
      if (end == std::string_view::npos) return false;
      text_.remove_prefix(end + 1);
      return end >= 3;
    }
    size_t length = 0;
    while (length < text_.size() && std::isalpha(static_cast<unsigned char>(text_[length]))) ++length;
    text_.remove_prefix(length);
    return length >= 3;
  }

  bool Number(int64_t max, int64_t* out) {
    size_t length = 0;
    *out = 0;
    while (length < text_.size() && length < 5 && std::isdigit(static_cast<unsigned char>(text_[length]))) {
      *out = *out * 10 + (text_[length++] - '0');
    }
    text_.remove_prefix(length);
    return length > 0 && *out <= max;
  }

  // [+-]hh[:mm[:ss]] in seconds.
  bool Clock(int64_t max_hours, int64_t* out) {
    const bool minus = Take('-');
    if (!minus) (void)Take('+');
    int64_t hours = 0, minutes = 0, seconds = 0;
    if (!Number(max_hours, &hours)) return false;
    if (Take(':') && !Number(59, &minutes)) return false;
    if (Take(':') && !Number(59, &seconds)) return false;
    *out = (hours * 60 + minutes) * 60 + seconds;
    if (minus) *out = -*out;
    return true;
  }

  bool ChangeOf(TimeZone::Change* out) {
    using Kind = TimeZone::Change::Kind;
    if (!Take(',')) return false;
    int64_t month = 1, week = 1, day = 0;
    if (Take('M')) {
      out->kind = Kind::kMonthWeekDay;
      if (!Number(12, &month) || !Take('.') || !Number(5, &week) || !Take('.') || !Number(6, &day)) return false;
      if (month == 0 || week == 0) return false;
    } else if (Take('J')) {
      out->kind = Kind::kJulianDay;
      if (!Number(365, &day) || day == 0) return false;
    } else {
      out->kind = Kind::kZeroDay;
      if (!Number(365, &day)) return false;
    }
    out->month = static_cast<int>(month);
    out->week = static_cast<int>(week);
    out->day = static_cast<int>(day);
    return !Take('/') || Clock(167, &out->second);
  }

  std::string_view text_;
};

int64_t TimeZone::Change::At(int in_year) const {
  using std::chrono::days;
  const std::chrono::year year(in_year);
  std::chrono::sys_days date;
  if (kind == Kind::kMonthWeekDay) {
    const auto in_month = year / std::chrono::month(static_cast<unsigned>(month));
    const std::chrono::weekday weekday(static_cast<unsigned>(day));
    date = week == 5 ? std::chrono::sys_days(in_month / weekday[std::chrono::last])
                     : std::chrono::sys_days(in_month / weekday[static_cast<unsigned>(week)]);
  } else {
    // 29 February is no Julian day.
    const bool skips = kind == Kind::kJulianDay && year.is_leap() && day >= 60;
    date = std::chrono::sys_days(year / std::chrono::January / 1) +
           days(kind == Kind::kJulianDay ? day - 1 + (skips ? 1 : 0) : day);
  }
  return std::chrono::seconds(date.time_since_epoch()).count() + second;
}

int64_t TimeZone::ByRule(int64_t at) const {
  const Rule& rule = *rule_;
  if (!rule.has_daylight) return rule.standard;
  const int year = YearOf(at + rule.standard);
  // Each change is told in the local time that holds before it.
  const int64_t begin = rule.begin.At(year) - rule.standard, end = rule.end.At(year) - rule.daylight;
  const bool daylight = begin < end ? at >= begin && at < end : at >= begin || at < end;
  return daylight ? rule.daylight : rule.standard;
}

Duration TimeZone::OffsetAt(Time utc) const {
  const int64_t at = std::chrono::floor<std::chrono::seconds>(utc).time_since_epoch().count();
  int64_t offset = first_offset_;
  if (rule_ && (transitions_.empty() || at >= transitions_.back().at)) {
    offset = ByRule(at);
  } else {
    auto next = std::upper_bound(transitions_.begin(), transitions_.end(), at,
                                 [](int64_t wanted, const Transition& t) { return wanted < t.at; });
    if (next != transitions_.begin()) offset = std::prev(next)->offset;
  }
  return std::chrono::seconds(offset);
}

Result<TimeZone> TimeZone::FromPosix(std::string_view text) {
  TimeZone zone;
  zone.rule_ = PosixZoneParser(text).Run();
  if (!zone.rule_) return Bad("not a POSIX TZ string");
  return zone;
}

Result<TimeZone> TimeZone::Parse(std::string_view bytes) {
  if (bytes.size() < kHeader || !bytes.starts_with("TZif")) return Bad("not a TZif file");
  if (bytes[4] < '2') return Bad("too old a version");
  const Counts old(bytes);
  if (!old.sane() || bytes.size() < 2 * kHeader + old.Size(4)) return Bad("truncated");
  bytes.remove_prefix(kHeader + old.Size(4));
  if (!bytes.starts_with("TZif")) return Bad("no second header");
  const Counts counts(bytes);
  if (!counts.sane() || counts.types == 0 || bytes.size() < kHeader + counts.Size(8)) return Bad("truncated");
  bytes.remove_prefix(kHeader);

  const std::string_view times = bytes.substr(0, counts.times * 8);
  const std::string_view indexes = bytes.substr(counts.times * 8, counts.times);
  const std::string_view types = bytes.substr(counts.times * 9, counts.types * 6);
  auto offset_of = [&](size_t type) { return BigEndian(types.substr(type * 6, 4)); };
  TimeZone zone;
  zone.first_offset_ = offset_of(0);
  for (size_t i = 0; i < counts.times; ++i) {
    const size_t type = static_cast<unsigned char>(indexes[i]);
    if (type >= counts.types) return Bad("no such type");
    const int64_t at = BigEndian(times.substr(i * 8, 8));
    if (!zone.transitions_.empty() && at <= zone.transitions_.back().at) return Bad("transitions out of order");
    zone.transitions_.push_back({at, offset_of(type)});
  }
  std::string_view footer = bytes.substr(counts.Size(8));
  if (footer.size() >= 2 && footer.front() == '\n') {
    footer = footer.substr(1, footer.find('\n', 1) - 1);
    if (!footer.empty()) {
      zone.rule_ = PosixZoneParser(footer).Run();
      if (!zone.rule_) return Bad("its footer is not a POSIX TZ string");
    }
  }
  return zone;
}

Result<TimeZone> TimeZone::Load(const std::string& name) {
  if (name == "UTC") return TimeZone();
  const std::string wrong = CheckTimeZone(name);
  if (!wrong.empty()) return Status(Reason::kInvalid, wrong);
  std::ifstream file("/usr/share/zoneinfo/" + name, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  if (!file || bytes.size() > kMaxFile) return Status(Reason::kInvalid, "unknown time zone " + name);
  return Parse(bytes);
}

}  // namespace wherry
