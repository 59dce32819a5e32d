#pragma once

#include "core/kinds/kind.h"
#include "core/runtime/controller.h"

namespace wherry {

// Collects what its owners leave behind (Kubernetes: "Garbage Collection", KEP-2336 for namespaces):
//  - background: an object none of whose owners exists any more is deleted; a reference to an absent owner beside a
//  living one is
//    taken away;
//  - foreground: an owner with the finalizer foregroundDeletion goes once its dependents with blockOwnerDeletion are
//  gone;
//  - orphan: an owner with the finalizer orphan goes once no dependent refers to it.
// An owner is named by kind, name and uid within the dependent's namespace (or cluster-wide); one in another namespace
// counts as absent, with an event OwnerRefInvalidNamespace. Driven by events and the owner index; never polls.
// `catalog` outlives it.
ControllerSpec GarbageCollector(RuntimeContext context, const KindCatalog& catalog);

}  // namespace wherry
