#pragma once

#include <string>

#include "core/agent/pod_env.h"

namespace wherry {

// The variables by which a pod finds the Services of its namespace (API: PodSpec.enableServiceLinks, on unless it says
// false): WEB_SERVICE_HOST, WEB_SERVICE_PORT and those of the docker links, WEB_PORT_80_TCP_ADDR …. The API server's
// (KUBERNETES_…) are always there; `api_host` and `api_port` tell where it is, "" = not told.
Environment ServiceVariables(const WatchCache& cache, const Json& pod, const std::string& api_host,
                             const std::string& api_port);

}  // namespace wherry
