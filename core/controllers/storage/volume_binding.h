#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// Binds claims to volumes, announces what a provisioner shall make, gives late claims the default class, and follows
// volumes through their phases. Keys: "namespace/name" is a claim, "name" a volume.
ControllerSpec VolumeBindingController(RuntimeContext context);

}  // namespace wherry
