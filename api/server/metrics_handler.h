#pragma once

#include "api/rest/api.h"
#include "core/control_plane/control_plane.h"

namespace wherry {

// metrics.k8s.io/v1beta1 (kubectl top, autoscalers) and the kubelet's nodes/<name>/proxy/stats/summary.
void AddMetricsHandlers(Api& api, ControlPlane& plane);

}  // namespace wherry
