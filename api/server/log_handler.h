#pragma once

#include "api/rest/api.h"
#include "core/control_plane/control_plane.h"

namespace wherry {

// GET pods/<name>/log: the container's output as text, streamed while it is followed (API-CONTRACT §8, core/v1
// PodLogOptions).
void AddLogHandler(Api& api, ControlPlane& plane);

}  // namespace wherry
