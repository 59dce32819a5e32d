#include "core/kinds/timestamps.h"

#include <array>
#include <chrono>
#include <cstdio>

namespace wherry {
namespace {

// Exactly `count` digits from the front.
bool Digits(std::string_view& text, int count, int& out) {
  if (text.size() < static_cast<size_t>(count)) return false;
  out = 0;
  for (int i = 0; i < count; ++i) {
    if (text[static_cast<size_t>(i)] < '0' || text[static_cast<size_t>(i)] > '9') return false;
    out = out * 10 + (text[static_cast<size_t>(i)] - '0');
  }
  text.remove_prefix(static_cast<size_t>(count));
  return true;
}

bool Take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

bool TimeFromUnix(int64_t seconds, int64_t nanos, TimePrecision precision, std::string* out) {
  constexpr int64_t kYear0 = -62167219200;
  constexpr int64_t kYear10000 = 253402300800;
  if (seconds < kYear0 || seconds >= kYear10000 || nanos < 0 || nanos > 999'999'999) return false;
  const std::chrono::sys_seconds when{std::chrono::seconds{seconds}};
  const auto day = std::chrono::floor<std::chrono::days>(when);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{when - day};
  std::array<char, 48> buffer;
  int length = std::snprintf(buffer.data(), buffer.size(), "%04d-%02u-%02uT%02d:%02d:%02d",
                             static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                             static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()),
                             static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()));
  out->assign(buffer.data(), static_cast<size_t>(length));
  if (precision == TimePrecision::kMicros) {
    length = std::snprintf(buffer.data(), buffer.size(), ".%06d", static_cast<int>(nanos / 1000));
    out->append(buffer.data(), static_cast<size_t>(length));
  }
  out->push_back('Z');
  return true;
}

bool CanonicalTime(std::string_view text, TimePrecision precision, std::string* out) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!Digits(text, 4, year) || !Take(text, '-') || !Digits(text, 2, month) || !Take(text, '-') ||
      !Digits(text, 2, day) || !Take(text, 'T') || !Digits(text, 2, hour) || !Take(text, ':') ||
      !Digits(text, 2, minute) || !Take(text, ':') || !Digits(text, 2, second)) {
    return false;
  }
  int64_t nanos = 0;
  if (Take(text, '.')) {
    int64_t unit = 100'000'000;
    if (text.empty() || text.front() < '0' || text.front() > '9') return false;
    for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), unit /= 10) {
      nanos += (text.front() - '0') * unit;
    }
  }
  int64_t offset = 0;
  if (!Take(text, 'Z')) {
    const bool west = !text.empty() && text.front() == '-';
    if (!west && (text.empty() || text.front() != '+')) return false;
    text.remove_prefix(1);
    int hours = 0, minutes = 0;
    if (!Digits(text, 2, hours) || !Take(text, ':') || !Digits(text, 2, minutes) || hours > 23 || minutes > 59)
      return false;
    offset = (hours * 60 + minutes) * 60 * (west ? -1 : 1);
  }
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!text.empty() || !date.ok() || hour > 23 || minute > 59 || second > 59) return false;
  const int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
  return TimeFromUnix(days * 86400 + hour * 3600 + minute * 60 + second - offset, nanos, precision, out);
}

std::string FormatGoDuration(int64_t nanos) {
  if (nanos == 0) return "0s";
  uint64_t rest = nanos < 0 ? uint64_t{0} - static_cast<uint64_t>(nanos) : static_cast<uint64_t>(nanos);
  std::string text = nanos < 0 ? "-" : "";
  // A number of `unit`s with up to nine decimals, without trailing zeros.
  const auto decimal = [](uint64_t value, uint64_t unit) {
    std::string out = std::to_string(value / unit);
    uint64_t fraction = value % unit;
    if (fraction == 0) return out;
    out.push_back('.');
    for (uint64_t place = unit / 10; fraction != 0; place /= 10) {
      out.push_back(static_cast<char>('0' + fraction / place));
      fraction %= place;
    }
    return out;
  };
  if (rest < 1'000) return text + std::to_string(rest) + "ns";
  if (rest < 1'000'000) return text + decimal(rest, 1'000) + "µs";
  if (rest < 1'000'000'000) return text + decimal(rest, 1'000'000) + "ms";
  constexpr uint64_t kMinute = 60'000'000'000, kHour = 60 * kMinute;
  const bool hours = rest >= kHour;
  if (hours) text += std::to_string(rest / kHour) + "h";
  if (rest >= kMinute) text += std::to_string(rest % kHour / kMinute) + "m";
  return text + decimal(rest % kMinute, 1'000'000'000) + "s";
}

}  // namespace wherry
