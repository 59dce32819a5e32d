#pragma once

#include <string>

#include "store/json.h"
#include "store/status.h"
#include "store/watch_cache.h"

namespace wherry {

// The volume that a pod's claim is bound to.
struct ClaimedVolume {
  std::string path;
  std::string host_path_type;  // of a hostPath volume; "" = nothing to check
};

// Finds it for one of the pod's volumes, of type persistentVolumeClaim or ephemeral. kInvalid when the pod has to wait,
// in words for its FailedMount event: `persistentvolumeclaim "x" not found`, `PVC default/x is not bound`. A pod that
// `runs` keeps its volume when the claim is being deleted; others do not get it any more.
Result<ClaimedVolume> FindClaimedVolume(const WatchCache& cache, const Json& pod, const Json& volume,
                                        const std::string& node, bool runs);

// Whether all claims of the pod have their volumes: the error of the first that has not, naming the volume.
Status CheckClaims(const WatchCache& cache, const Json& pod, const std::string& node);

}  // namespace wherry
