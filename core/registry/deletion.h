#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "core/kinds/kind.h"
#include "core/registry/client.h"
#include "core/runtime/time.h"

namespace wherry {

inline constexpr std::string_view kFinalizerForeground = "foregroundDeletion";
inline constexpr std::string_view kFinalizerOrphan = "orphan";

// What a delete call makes of an object. Pure.
struct DeletionPlan {
  bool remove = false;   // it goes at once; else
  bool changed = false;  // `object` is to be stored
  Json object;           // the object afterwards
};
DeletionPlan PlanDeletion(const Kind& kind, const Json& current, const DeleteOptions& options, Time now);

// True when an object that is being deleted has nothing left to wait for: no finalizers, no grace, nothing of its
// kind's own (a namespace's spec.finalizers). Any write that reaches this state removes the object.
bool Removable(const Kind& kind, const Json& object);

}  // namespace wherry
