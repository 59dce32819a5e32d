#pragma once

#include "store/json.h"

namespace wherry {

// autoscaling/v1 HorizontalPodAutoscaler as a view of the stored autoscaling/v2 one. It has a field for a target of CPU
// utilisation; every other metric, the behaviour and the conditions are JSON in annotations
// (autoscaling.alpha.kubernetes.io/…), so that nothing is lost on the way there and back. Pure.
Json FirstAutoscalerFromStorage(const Json& stored);
Json FirstAutoscalerToStorage(const Json& view);

}  // namespace wherry
