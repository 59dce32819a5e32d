#include "core/kinds/hooks.h"

namespace wherry {

KindHooks HooksFor(const GroupVersionKind&) {
  return {};
}

}  // namespace wherry
