#pragma once

#include "core/runtime/controller.h"

namespace wherry {

// Empties a namespace that is being deleted: every object of every namespaced resource is deleted (pods with their
// grace), conditions tell what is still there and which finalizers hold it, and when nothing is, the finalizer
// "kubernetes" goes and with it the namespace. Woken by the end of each object; never polls.
ControllerSpec NamespaceController(RuntimeContext context);

}  // namespace wherry
