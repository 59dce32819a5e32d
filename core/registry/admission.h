#pragma once

#include <span>

#include "core/registry/registry.h"

namespace wherry {

// The built-in admission rules, in the order they run. Each is named after the upstream plugin whose contract it keeps.
std::span<const Admission> BuiltInAdmissions();

// 403: `pods "web" is forbidden: why`.
Status Forbidden(const Kind& kind, std::string_view name, std::string_view why);

}  // namespace wherry
