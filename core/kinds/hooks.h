#pragma once

#include "core/kinds/kind.h"

namespace wherry {

// The cross-field rules of a built-in kind (core/kinds/rules_*.cc), attached when the catalog is built; all empty for a
// kind without any. Conversions between versions are not among them: the catalog adds those of core/kinds/event_view.h
// itself.
KindHooks HooksFor(const GroupVersionKind& gvk);

}  // namespace wherry
