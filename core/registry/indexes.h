#pragma once

#include "store/watch_cache.h"

namespace wherry {

// The indexes that core reads by (kIndexOwnerUid, kIndexNodeName, kIndexLabel, kIndexServiceName). Before the first
// object is loaded.
void AddCoreIndexes(WatchCache& cache);

}  // namespace wherry
