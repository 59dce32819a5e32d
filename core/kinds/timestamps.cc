#include "core/kinds/timestamps.h"

#include "core/runtime/time.h"

namespace wherry {

bool TimeFromUnix(int64_t seconds, int64_t nanos, TimePrecision precision, std::string* out) {
  constexpr int64_t kYear0 = -62167219200;
  constexpr int64_t kYear10000 = 253402300800;
  if (seconds < kYear0 || seconds >= kYear10000 || nanos < 0 || nanos > 999'999'999) return false;
  const Time time{Duration{seconds * 1'000'000 + nanos / 1'000}};
  *out = precision == TimePrecision::kSeconds ? FormatTime(time) : FormatMicroTime(time);
  return true;
}

bool CanonicalTime(std::string_view text, TimePrecision precision, std::string* out) {
  Time time;
  if (!ParseTime(text, &time)) return false;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return TimeFromUnix(seconds.time_since_epoch().count(), (time - seconds).count() * 1'000, precision, out);
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
