#pragma once

#include "core/kinds/kind.h"
#include "core/runtime/controller.h"

namespace wherry {

// Keeps status.used of ResourceQuotas for people to see (docs/policy.md). Admission does not rely on it
// (core/registry/quota_admission.h).
ControllerSpec ResourceQuotaController(RuntimeContext context, const KindCatalog& catalog);

}  // namespace wherry
