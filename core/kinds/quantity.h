#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "store/status.h"

namespace wherry {

// A resource.Quantity: an exact decimal with the suffix family it was written in. Sub-nano parts are rounded up, as
// upstream.
class Quantity {
 public:
  Quantity() = default;
  static Result<Quantity> Parse(std::string_view text);  // kInvalid: "quantities must match the regular expression …"
  static Quantity FromMilli(int64_t milli);
  static Quantity FromValue(int64_t value, bool binary_suffix = false);

  int64_t milli() const;         // rounded up, saturating
  int64_t value() const;         // rounded up to units, saturating
  std::string ToString() const;  // canonical: 1000m → 1, 1024Mi → 1Gi, 0.5 → 500m
  bool is_zero() const { return nano_ == 0; }
  int Compare(const Quantity& other) const;
  Quantity& operator+=(const Quantity& other);
  Quantity& operator-=(const Quantity& other);

 private:
  enum class Format : uint8_t { kDecimalSi, kBinarySi, kDecimalExponent };
  __extension__ __int128 nano_ = 0;
  Format format_ = Format::kDecimalSi;
};

}  // namespace wherry
