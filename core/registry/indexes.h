#pragma once

#include "store/watch_cache.h"

namespace wherry {

// Beside those that the store names:
inline constexpr std::string_view kIndexPodClaim = "pod-claim";  // pods, "namespace/claim" of each of their volumes
// PersistentVolumes: "namespace/claim" of claimRef, or "class" ("" too) while nobody claims them. No class has a slash.
inline constexpr std::string_view kIndexVolumeClaim = "volume-claim";
// Pods that no controller manages, by namespace: what workload controllers may adopt.
inline constexpr std::string_view kIndexOrphan = "orphan";

// The indexes that core reads by (kIndexOwnerUid, kIndexNodeName, kIndexLabel, kIndexServiceName and the ones above).
// Before the first object is loaded.
void AddCoreIndexes(WatchCache& cache);

}  // namespace wherry
