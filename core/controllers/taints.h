#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

struct NodeTaint {
  std::string key, value, effect;
  std::optional<Time> time_added;

  // "gpu=true:NoSchedule", as kubectl writes it.
  std::string ToString() const;
  bool SameKeyAndEffect(const NodeTaint& other) const { return key == other.key && effect == other.effect; }
  bool operator==(const NodeTaint&) const = default;
};

struct PodToleration {
  std::string key, op, value, effect;  // op "" is Equal; an empty key with Exists tolerates everything
  std::optional<int64_t> seconds;      // of a NoExecute taint; absent = for ever
  bool Tolerates(const NodeTaint& taint) const;
  bool operator==(const PodToleration&) const = default;
};

std::vector<NodeTaint> ReadTaints(const Json& node);
std::vector<PodToleration> ReadTolerations(const Json& pod_spec);
Json ToJson(const NodeTaint& taint);

// The first taint that passes `counts` and that nothing tolerates; null when there is none.
template <typename Counts>
const NodeTaint* FindUntolerated(const std::vector<NodeTaint>& taints, const std::vector<PodToleration>& tolerations,
                                 Counts counts) {
  for (const NodeTaint& taint : taints) {
    if (!counts(taint)) continue;
    bool tolerated = false;
    for (const PodToleration& toleration : tolerations) tolerated = tolerated || toleration.Tolerates(taint);
    if (!tolerated) return &taint;
  }
  return nullptr;
}

inline constexpr char kNoSchedule[] = "NoSchedule";
inline constexpr char kNoExecute[] = "NoExecute";
inline constexpr char kTaintNotReady[] = "node.kubernetes.io/not-ready";
inline constexpr char kTaintUnreachable[] = "node.kubernetes.io/unreachable";
inline constexpr char kTaintUnschedulable[] = "node.kubernetes.io/unschedulable";
inline constexpr char kTaintMemoryPressure[] = "node.kubernetes.io/memory-pressure";
inline constexpr char kTaintDiskPressure[] = "node.kubernetes.io/disk-pressure";
inline constexpr char kTaintPidPressure[] = "node.kubernetes.io/pid-pressure";
inline constexpr char kTaintNetworkUnavailable[] = "node.kubernetes.io/network-unavailable";

}  // namespace wherry
