#include "core/runtime/time.h"

namespace wherry {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kSecondsPerDay = 86'400;

struct Fields {
  int64_t year;
  unsigned month, day, hour, minute, second, micro;
};

// chrono's calendar is exact and knows no locale or time zone, unlike gmtime and strftime.
Fields Split(Time time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  auto rest = static_cast<uint64_t>((time - day).count());
  Fields f{};
  f.year = int{date.year()};
  f.month = unsigned{date.month()};
  f.day = unsigned{date.day()};
  f.micro = static_cast<unsigned>(rest % kMicrosPerSecond);
  rest /= kMicrosPerSecond;
  f.second = static_cast<unsigned>(rest % 60);
  f.minute = static_cast<unsigned>(rest / 60 % 60);
  f.hour = static_cast<unsigned>(rest / 3600);
  return f;
}

void Append(std::string& out, uint64_t value, int width) {
  const size_t end = out.size() + static_cast<size_t>(width);
  out.resize(end);
  for (int i = 1; i <= width; ++i, value /= 10) out[end - static_cast<size_t>(i)] = static_cast<char>('0' + value % 10);
}

std::string Format(const Fields& f, bool micros) {
  std::string out;
  out.reserve(27);
  Append(out, static_cast<uint64_t>(f.year < 0 ? 0 : f.year), 4);
  out += '-';
  Append(out, f.month, 2);
  out += '-';
  Append(out, f.day, 2);
  out += 'T';
  Append(out, f.hour, 2);
  out += ':';
  Append(out, f.minute, 2);
  out += ':';
  Append(out, f.second, 2);
  if (micros) {
    out += '.';
    Append(out, f.micro, 6);
  }
  out += 'Z';
  return out;
}

// Reads fixed-width fields from the front of a text; `ok` falls once and stays false.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  unsigned Digits(size_t width) {
    unsigned value = 0;
    for (size_t i = 0; i < width; ++i) value = value * 10 + Digit();
    return value;
  }
  void Literal(char c) {
    if (Peek() != c) ok_ = false;
    if (ok_) text_.remove_prefix(1);
  }
  // The fraction after its point, as microseconds; what is finer is dropped.
  unsigned Fraction() {
    unsigned value = 0, digits = 0;
    for (; ok_ && IsDigit(Peek()); ++digits) {
      const unsigned d = Digit();
      if (digits < 6) value = value * 10 + d;
    }
    if (digits == 0) ok_ = false;
    for (; digits < 6; ++digits) value *= 10;
    return value;
  }
  char Peek() const { return text_.empty() ? '\0' : text_.front(); }
  bool ok() const { return ok_; }
  bool at_end() const { return text_.empty(); }

 private:
  static bool IsDigit(char c) { return c >= '0' && c <= '9'; }
  unsigned Digit() {
    if (!IsDigit(Peek())) {
      ok_ = false;
      return 0;
    }
    const auto d = static_cast<unsigned>(text_.front() - '0');
    text_.remove_prefix(1);
    return d;
  }

  std::string_view text_;
  bool ok_ = true;
};

}  // namespace

std::string FormatTime(Time time) { return Format(Split(time), false); }

std::string FormatMicroTime(Time time) { return Format(Split(time), true); }

bool ParseTime(std::string_view text, Time* out) {
  Reader in(text);
  const unsigned year = in.Digits(4);
  in.Literal('-');
  const unsigned month = in.Digits(2);
  in.Literal('-');
  const unsigned day = in.Digits(2);
  in.Literal('T');
  const unsigned hour = in.Digits(2);
  in.Literal(':');
  const unsigned minute = in.Digits(2);
  in.Literal(':');
  const unsigned second = in.Digits(2);
  unsigned micro = 0;
  if (in.Peek() == '.') {
    in.Literal('.');
    micro = in.Fraction();
  }
  int64_t offset = 0;
  if (in.Peek() == 'Z') {
    in.Literal('Z');
  } else {
    const bool east = in.Peek() == '+';
    in.Literal(east ? '+' : '-');
    const unsigned h = in.Digits(2);
    in.Literal(':');
    const unsigned m = in.Digits(2);
    if (h > 23 || m > 59) return false;
    offset = static_cast<int64_t>(h * 60 + m) * (east ? 60 : -60);
  }
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(year)), std::chrono::month(month),
                                         std::chrono::day(day));
  if (!in.ok() || !in.at_end() || !date.ok() || hour > 23 || minute > 59 || second > 59) return false;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const int64_t seconds = days * kSecondsPerDay + hour * 3600 + minute * 60 + second - offset;
  *out = Time(Duration(seconds * kMicrosPerSecond + micro));
  return true;
}

}  // namespace wherry
