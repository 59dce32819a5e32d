#pragma once

#include "core/registry/registry.h"

namespace wherry {

// A claim that names no storage class gets the default one, if there is one; the class "" is a name too.
Status AssignDefaultStorageClass(AdmissionRequest& request, const WatchCache& cache);

// A claim may only grow once it is bound, and if its storage class says so.
Status CheckClaimResize(AdmissionRequest& request, const WatchCache& cache);

}  // namespace wherry
