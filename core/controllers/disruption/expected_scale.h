#pragma once

#include <string>
#include <vector>

#include "store/status.h"
#include "store/watch_cache.h"

namespace wherry {

// How many pods the controllers of `pods` want in all: spec.replicas of each, a ReplicaSet's Deployment in its stead.
struct ExpectedScale {
  int64_t scale = 0;
  std::vector<std::string> unmanaged;  // pods that nobody manages; not counted
};
// Not ok when a pod's controller is gone, or of a kind without a scale.
Result<ExpectedScale> FindExpectedScale(const WatchCache& cache, const std::vector<ObjectPtr>& pods);

}  // namespace wherry
