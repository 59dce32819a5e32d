#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/json.h"

namespace wherry {

// Taints of nodes and the tolerations of pods, as the scheduler and the controllers read them.

enum class TaintEffect : uint8_t { kNoSchedule, kPreferNoSchedule, kNoExecute };

struct Taint {
  std::string key, value;
  TaintEffect effect = TaintEffect::kNoSchedule;
  std::string time_added = {};  // timeAdded as it is written, "" = absent

  bool operator==(const Taint&) const = default;
  bool SameKeyAndEffect(const Taint& other) const { return key == other.key && effect == other.effect; }
  // "gpu=true:NoSchedule", as kubectl writes it.
  std::string ToString() const;
};

struct Toleration {
  enum class Operator : uint8_t { kEqual, kExists, kGreater, kLess };
  std::string key;  // "" with kExists: every taint
  Operator op = Operator::kEqual;
  std::string value;
  bool any_effect = false;
  TaintEffect effect = TaintEffect::kNoSchedule;
  bool for_ever = true;  // else `seconds`, of NoExecute
  int64_t seconds = 0;

  bool operator==(const Toleration&) const = default;
  bool Tolerates(const Taint& taint) const;
};

// From spec.taints and spec.tolerations; unknown effects and operators are left out.
std::vector<Taint> ParseTaints(const Json& taints);
std::vector<Toleration> ParseTolerations(const Json& tolerations);
std::string_view TaintEffectName(TaintEffect effect);
Json ToJson(const Taint& taint);

// The first taint of one of `effects` that no toleration tolerates; null when all are.
const Taint* FindUntolerated(const std::vector<Taint>& taints, const std::vector<Toleration>& tolerations,
                             std::initializer_list<TaintEffect> effects);

// The whole of a text as a decimal integer, as Go's strconv.ParseInt reads it: what Gt and Lt compare.
std::optional<int64_t> LabelInteger(std::string_view text);

// Taints that the cluster itself gives to nodes.
inline constexpr char kTaintNotReady[] = "node.kubernetes.io/not-ready";
inline constexpr char kTaintUnreachable[] = "node.kubernetes.io/unreachable";
inline constexpr char kTaintUnschedulable[] = "node.kubernetes.io/unschedulable";
inline constexpr char kTaintMemoryPressure[] = "node.kubernetes.io/memory-pressure";
inline constexpr char kTaintDiskPressure[] = "node.kubernetes.io/disk-pressure";
inline constexpr char kTaintPidPressure[] = "node.kubernetes.io/pid-pressure";
inline constexpr char kTaintNetworkUnavailable[] = "node.kubernetes.io/network-unavailable";

}  // namespace wherry
