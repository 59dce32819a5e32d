#pragma once

#include "store/json.h"

namespace wherry {

// policy/v1beta1 PodDisruptionBudget as a view of the stored policy/v1 one. They differ in what an empty selector
// means: no pod in v1beta1, every pod in v1 (policy/v1, PodDisruptionBudgetSpec). The other's meaning is written as a
// requirement on a label that pods do not carry, the one the API names for it. Pure.
Json BetaBudgetFromStorage(const Json& stored);
Json BetaBudgetToStorage(const Json& view);

}  // namespace wherry
