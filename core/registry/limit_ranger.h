#pragma once

#include <string>
#include <vector>

#include "core/registry/registry.h"

namespace wherry {

// The admission rule LimitRanger: gives containers the requests and limits that a namespace's LimitRanges have for
// those that state none, and refuses pods and claims outside the bounds.
Status LimitRanger(AdmissionRequest& request, const WatchCache& cache);

// Its two halves, pure. `limit_range` is a LimitRange document.
void ApplyLimitDefaults(const Json& limit_range, Json& pod);
// What a pod ("Pod") or claim ("PersistentVolumeClaim") breaks, in upstream's words; empty = nothing.
std::vector<std::string> BrokenLimits(const Json& limit_range, std::string_view kind, const Json& object);

}  // namespace wherry
