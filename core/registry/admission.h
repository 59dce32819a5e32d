#pragma once

#include "core/registry/registry.h"

namespace wherry {

// Adds the built-in admission rules, in the order they run. Each is named after the upstream plugin whose contract it
// keeps.
void AddBuiltInAdmissions(Registry& registry);

// 403: `pods "web" is forbidden: why`.
Status Forbidden(const Kind& kind, std::string_view name, std::string_view why);

}  // namespace wherry
