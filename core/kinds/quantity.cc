#include "core/kinds/quantity.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace wherry {
namespace {

__extension__ using Int128 = __int128;

constexpr Int128 kNano = 1'000'000'000;
// Upstream caps every quantity at 2^63-1 units.
constexpr Int128 kMaxNano = Int128{std::numeric_limits<int64_t>::max()} * kNano;

struct Suffix {
  std::string_view text;
  int exponent;  // of ten, or of two when binary
};
constexpr std::array<Suffix, 10> kDecimal = {
    {{"n", -9}, {"u", -6}, {"m", -3}, {"", 0}, {"k", 3}, {"M", 6}, {"G", 9}, {"T", 12}, {"P", 15}, {"E", 18}}};
constexpr std::array<Suffix, 6> kBinary = {{{"Ki", 10}, {"Mi", 20}, {"Gi", 30}, {"Ti", 40}, {"Pi", 50}, {"Ei", 60}}};

Status Bad(std::string message) { return Status(Reason::kInvalid, std::move(message)); }

Status BadFormat() {
  return Bad("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Multiplies a non-negative number, stopping at the cap.
Int128 MultiplyCapped(Int128 value, int64_t factor) { return value > kMaxNano / factor ? kMaxNano : value * factor; }

// digits * 10^exponent (or * 2^shift), in nano units, rounded up and capped.
Int128 ScaleDigits(std::string_view digits, int exponent, int shift) {
  while (!digits.empty() && digits.front() == '0') digits.remove_prefix(1);
  if (digits.empty()) return 0;
  exponent += 9;
  const Int128 full = (Int128{1} << (122 - shift)) / 10;  // what can still take a digit and the shift
  Int128 value = 0;
  bool dropped = false;
  for (const char c : digits) {
    if (value >= full) {
      dropped |= c != '0';
      ++exponent;
      continue;
    }
    value = value * 10 + (c - '0');
  }
  value <<= shift;
  for (; exponent < 0 && value != 0; ++exponent) {
    dropped |= value % 10 != 0;
    value /= 10;
  }
  if (exponent < 0) dropped = true;
  value = std::min(value, kMaxNano);
  for (; exponent > 0 && value < kMaxNano && value != 0; --exponent) value = MultiplyCapped(value, 10);
  if (dropped && value < kMaxNano) value += 1;
  return value;
}

Int128 DivideAwayFromZero(Int128 value, Int128 by) {
  const Int128 rest = value % by;
  return value / by + (rest > 0 ? 1 : rest < 0 ? -1 : 0);
}

int64_t Saturate(Int128 value) {
  return static_cast<int64_t>(
      std::clamp<Int128>(value, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()));
}

std::string Digits(Int128 value) {
  if (value == 0) return "0";
  const bool negative = value < 0;
  std::string out;
  for (; value != 0; value /= 10) {
    const int digit = static_cast<int>(value % 10);
    out += static_cast<char>('0' + (digit < 0 ? -digit : digit));
  }
  if (negative) out += '-';
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace

Result<Quantity> Quantity::Parse(std::string_view text) {
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest.front() == '-' || rest.front() == '+')) {
    negative = rest.front() == '-';
    rest.remove_prefix(1);
  }
  std::string digits;
  int fraction = 0;
  bool point = false;
  for (; !rest.empty() && (IsDigit(rest.front()) || rest.front() == '.'); rest.remove_prefix(1)) {
    if (rest.front() == '.') {
      if (point) return BadFormat();
      point = true;
      continue;
    }
    digits += rest.front();
    if (point) ++fraction;
  }
  if (digits.empty() || digits.size() > 1000) return BadFormat();

  Quantity q;
  int exponent = 0, shift = 0;
  const auto is_rest = [&](const Suffix& s) { return s.text == rest; };
  if (const auto* d = std::find_if(kDecimal.begin(), kDecimal.end(), is_rest); d != kDecimal.end()) {
    exponent = d->exponent;
  } else if (const auto* b = std::find_if(kBinary.begin(), kBinary.end(), is_rest); b != kBinary.end()) {
    shift = b->exponent;
    q.format_ = Format::kBinarySi;
  } else if (rest.front() == 'e' || rest.front() == 'E') {
    rest.remove_prefix(1);
    if (!rest.empty() && rest.front() == '+') rest.remove_prefix(1);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), exponent);
    if (error == std::errc::invalid_argument || end != rest.data() + rest.size()) {
      return Bad("unable to parse quantity's suffix");
    }
    if (error == std::errc::result_out_of_range) return Bad("unable to parse quantity's suffix");
    exponent = std::clamp(exponent, -2000, 2000);
    q.format_ = Format::kDecimalExponent;
  } else {
    const bool known_letters = rest.find_first_not_of("eEinumkKMGTP+-0123456789") == std::string_view::npos;
    return known_letters ? Bad("unable to parse quantity's suffix") : BadFormat();
  }
  const Int128 magnitude = ScaleDigits(digits, exponent - fraction, shift);
  q.nano_ = negative ? -magnitude : magnitude;
  return q;
}

Quantity Quantity::FromMilli(int64_t milli) {
  Quantity q;
  q.nano_ = Int128{milli} * 1'000'000;
  return q;
}

Quantity Quantity::FromValue(int64_t value, bool binary_suffix) {
  Quantity q;
  q.nano_ = Int128{value} * kNano;
  if (binary_suffix) q.format_ = Format::kBinarySi;
  return q;
}

int64_t Quantity::milli() const { return Saturate(DivideAwayFromZero(nano_, 1'000'000)); }

int64_t Quantity::value() const { return Saturate(DivideAwayFromZero(nano_, kNano)); }

std::string Quantity::ToString() const {
  if (nano_ == 0) return "0";
  if (format_ == Format::kBinarySi && (nano_ >= 1024 * kNano || nano_ <= -1024 * kNano)) {
    Int128 units = DivideAwayFromZero(nano_, kNano);
    size_t power = 0;
    for (; power < kBinary.size() && units % 1024 == 0; ++power) units /= 1024;
    return Digits(units) + (power == 0 ? "" : std::string(kBinary[power - 1].text));
  }
  Int128 mantissa = nano_;
  int exponent = -9;
  for (; exponent < 18 && mantissa % 1000 == 0; exponent += 3) mantissa /= 1000;
  if (format_ == Format::kDecimalExponent) {
    return Digits(mantissa) + (exponent == 0 ? "" : "e" + std::to_string(exponent));
  }
  return Digits(mantissa) + std::string(kDecimal[static_cast<size_t>(exponent / 3 + 3)].text);
}

int Quantity::Compare(const Quantity& other) const { return nano_ < other.nano_ ? -1 : nano_ > other.nano_ ? 1 : 0; }

Quantity& Quantity::operator+=(const Quantity& other) {
  if (nano_ == 0) format_ = other.format_;
  nano_ = std::clamp(nano_ + other.nano_, -kMaxNano, kMaxNano);
  return *this;
}

Quantity& Quantity::operator-=(const Quantity& other) {
  if (nano_ == 0) format_ = other.format_;
  nano_ = std::clamp(nano_ - other.nano_, -kMaxNano, kMaxNano);
  return *this;
}

}  // namespace wherry
