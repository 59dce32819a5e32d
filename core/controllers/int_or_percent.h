#pragma once

#include <cstdint>
#include <optional>

#include "store/json.h"

namespace wherry {

// An intstr.IntOrString that stands for a share of something: 3 or "30%". How budgets (maxUnavailable, maxSurge) are
// written.
struct IntOrPercent {
  int64_t value = 0;
  bool percent = false;

  // Absent when `json` is null, or neither a number nor a percentage. A string without % is read as a number.
  static std::optional<IntOrPercent> FromJson(const Json* json);

  // What it comes to of `total`; never negative. Absolute values are not capped.
  int64_t RoundedUpOf(int64_t total) const;
  int64_t RoundedDownOf(int64_t total) const;

  bool operator==(const IntOrPercent&) const = default;
};

}  // namespace wherry
