#pragma once

#include "core/registry/registry.h"

namespace wherry {

// A pod that names a RuntimeClass gets its overhead, node selector and tolerations. Refused: a class that is not there,
// an overhead of the pod's own, a node selector that contradicts the class's.
Status RuntimeClassOfPod(AdmissionRequest& request, const WatchCache& cache);

}  // namespace wherry
