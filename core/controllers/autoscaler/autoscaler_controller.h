#pragma once

#include "core/runtime/controller.h"
#include "core/runtime/pod_usage.h"

namespace wherry {

// Scales the targets of HorizontalPodAutoscalers by what their pods use (docs/autoscaling.md): looks every 15 s.
// `usage` may be empty: then there are no metrics, and every autoscaler says so.
ControllerSpec HorizontalPodAutoscalerController(RuntimeContext context, PodUsageSource usage);

inline constexpr Duration kAutoscalerPeriod = std::chrono::seconds(15);

}  // namespace wherry
