#pragma once

#include "api/rest/api.h"
#include "core/control_plane/control_plane.h"

namespace wherry {

// `kubectl exec` (and cp), `attach` and `port-forward`: GET and POST of pods/exec, pods/attach, pods/portforward.
void AddStreamHandlers(Api& api, ControlPlane& plane, asio::any_io_executor executor, Clock& clock);

}  // namespace wherry
