#pragma once

#include <functional>
#include <span>
#include <string>

#include "core/kinds/kind.h"
#include "core/runtime/controller.h"
#include "core/runtime/pod_usage.h"

namespace wherry {

// What some controllers need beside the runtime.
struct ControllerSettings {
  const KindCatalog& catalog;     // outlives them
  std::string ca_certificate;     // PEM, for kube-root-ca.crt; "" = none
  PodUsageSource pod_usage = {};  // for the autoscaler; empty = nothing is measured
};

// One row per controller. `name` is also the name it acts under.
struct ControllerRow {
  const char* name;
  std::function<ControllerSpec(RuntimeContext context, const ControllerSettings& settings)> make;
};

// Every controller of the cluster, in the order to start them.
std::span<const ControllerRow> AllControllers();

}  // namespace wherry
