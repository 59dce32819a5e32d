#pragma once

#include <cstdint>

namespace wherry {

// What happened in the cluster, as far as it may let a pod be placed that was refused before. A set of bits: each
// plugin names those that could change its verdict, and only these wake the pods it refused.
using ClusterEvents = uint32_t;

inline constexpr ClusterEvents kNodeAdded = 1u << 0;
inline constexpr ClusterEvents kNodeAllocatable = 1u << 1;
inline constexpr ClusterEvents kNodeLabels = 1u << 2;
inline constexpr ClusterEvents kNodeTaints = 1u << 3;  // or spec.unschedulable
inline constexpr ClusterEvents kNodeRemoved = 1u << 4;
inline constexpr ClusterEvents kPodAssigned = 1u << 5;  // a pod came to a node
// A pod of a node ended, shrank, was deleted or is being deleted, changed its labels, or gave up a nomination.
inline constexpr ClusterEvents kPodGone = 1u << 6;
inline constexpr ClusterEvents kAnyEvent = ~0u;

}  // namespace wherry
