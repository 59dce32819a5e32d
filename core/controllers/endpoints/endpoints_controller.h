#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// Keeps the Endpoints (v1) of every Service with a selector, and removes those of Services that are gone
// (docs/services.md).
ControllerSpec EndpointsController(RuntimeContext context);

// Keeps the EndpointSlices (discovery.k8s.io/v1) of every Service with a selector. They go with their Service through
// the garbage collector.
ControllerSpec EndpointSliceController(RuntimeContext context);

// Keeps EndpointSlices of Endpoints that people maintain for Services without a selector, unless these carry the label
// endpointslice.kubernetes.io/skip-mirror: "true".
ControllerSpec EndpointSliceMirroringController(RuntimeContext context);

inline constexpr char kSliceManagedByLabel[] = "endpointslice.kubernetes.io/managed-by";
inline constexpr char kSkipMirrorLabel[] = "endpointslice.kubernetes.io/skip-mirror";
inline constexpr char kHeadlessLabel[] = "service.kubernetes.io/headless";

}  // namespace wherry
