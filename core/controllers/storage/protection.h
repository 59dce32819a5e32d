#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// A claim that is deleted stays until no live pod uses it, a volume until no claim is bound to it: these take the
// protecting finalizer off when that is so (KEP-2644).
ControllerSpec ClaimProtectionController(RuntimeContext context);
ControllerSpec VolumeProtectionController(RuntimeContext context);

}  // namespace wherry
