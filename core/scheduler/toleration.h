#pragma once

#include <string>
#include <vector>

#include "store/json.h"

namespace wherry {

struct Taint {
  std::string key, value, effect;
  bool operator==(const Taint&) const = default;
};

struct Toleration {
  std::string key, op, value, effect;  // op "" = Equal
  bool operator==(const Toleration&) const = default;
  bool Tolerates(const Taint& taint) const {
    if (!effect.empty() && effect != taint.effect) return false;
    if (!key.empty() && key != taint.key) return false;
    if (op == "Exists") return true;
    return !key.empty() && value == taint.value;
  }
};

std::vector<Taint> ReadTaints(const Json& node);
std::vector<Toleration> ReadTolerations(const Json& pod_spec);

}  // namespace wherry
