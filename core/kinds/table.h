#pragma once

#include <string>

#include "core/kinds/kind.h"
#include "core/runtime/time.h"

namespace wherry {

enum class IncludeObject : uint8_t { kMetadata, kObject, kNone };

// The meta.k8s.io/v1 Table of server-side printing (API-CONTRACT §5).
// columnDefinitions of a kind.
Json TableColumns(const Kind& kind);
// One row: cells, conditions, and the object as asked.
Json TableRow(const Kind& kind, const Json& object, IncludeObject include, Time now);

// "119s", "9m9s", "47h", "3d4h" … as kubectl prints ages; "<unknown>" when `since` is the epoch.
std::string HumanDuration(Duration age);

}  // namespace wherry
