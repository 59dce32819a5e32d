#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// Makes the claims of pods' ephemeral volumes, "<pod>-<volume>", owned by their pod so that they go with it (KEP-1698).
ControllerSpec EphemeralVolumeController(RuntimeContext context);

}  // namespace wherry
