#pragma once

#include <cstdint>
#include <string>

#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// DaemonSetStatus as observed. A node counts once, by its first pod (going ones last; then scheduled, ready, oldest).
struct DaemonSetStatus {
  int64_t desired = 0;       // nodes that should run the daemon
  int64_t current = 0;       // of those, with a pod
  int64_t misscheduled = 0;  // nodes with a pod that should not run it
  int64_t ready = 0, updated = 0, available = 0;

  // Beyond upstream (conditions wherry.dev/NodesUnavailable and wherry.dev/NodesExcluded): which nodes lack an
  // available pod, or are passed over, and why. "" = none. Bounded.
  int64_t excluded = 0;
  std::string why_unavailable;
  std::string why_excluded;

  int64_t unavailable() const { return desired - available; }
  bool operator==(const DaemonSetStatus&) const = default;
};

inline constexpr char kNodesUnavailable[] = "wherry.dev/NodesUnavailable";
inline constexpr char kNodesExcluded[] = "wherry.dev/NodesExcluded";

// The new status document: `status` over what `old` (may be null) holds, keeping collisionCount, others' conditions,
// and the transition time of conditions whose status stands.
Json StatusDocument(const DaemonSetStatus& status, const Json* old, int64_t observed_generation, Time now);

}  // namespace wherry
