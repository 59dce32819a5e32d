#pragma once

#include "core/kinds/kind.h"

namespace wherry {

// The rules of metadata that hold for every kind: names, labels, annotations, owners, finalizers and what an update may
// not change. `old` is null on create.
void ValidateMetadata(const Kind& kind, const Json& object, const Json* old, FieldErrors& errors);

// The keys and values of a map of labels at `path`.
void ValidateLabels(const Json& labels, const std::string& path, FieldErrors& errors);

}  // namespace wherry
