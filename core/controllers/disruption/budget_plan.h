#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/controllers/int_or_percent.h"
#include "core/controllers/pod_view.h"
#include "core/kinds/selector.h"
#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// What is looked at in a PodDisruptionBudget: `object->view<BudgetView>()`.
struct BudgetView {
  explicit BudgetView(const Json& budget);

  int64_t generation = 0;
  LabelSelector selector = LabelSelector::Nothing();  // absent selects nothing, {} everything
  std::optional<IntOrPercent> min_available, max_unavailable;
  std::map<std::string, Time> disrupted;  // status.disruptedPods: evictions that have not shown yet

  // A budget of pods in percent, or of pods that may be missing, needs to know how many there should be.
  bool needs_scale() const { return max_unavailable || (min_available && min_available->percent); }
};

// Everything one decision about a budget rests on: a snapshot.
struct BudgetPod {
  std::string_view name;
  const PodView* view;
};
struct BudgetInputs {
  const BudgetView* budget = nullptr;
  std::vector<BudgetPod> pods;  // those that the selector matches
  int64_t scale = 0;            // how many pods their controllers want; used when the budget needs_scale()
  Time now;
};

// An eviction that was granted counts as if its pod were gone, until it is, or for this long.
inline constexpr Duration kDisruptionTimeout = std::chrono::minutes(2);

// The numbers of status.
struct BudgetStatus {
  int64_t allowed = 0, healthy = 0, desired = 0, expected = 0;
  std::map<std::string, Time> disrupted;  // those still counted as going
  std::string failure;                    // why nothing could be counted: nothing is allowed then. "" = counted
  std::vector<std::string> not_deleted;   // granted long ago, and still there
  Duration recheck_after{0};              // > 0: when the first grant expires
};
BudgetStatus PlanBudget(const BudgetInputs& inputs);

// The new status document over what `old` (may be null) holds.
Json StatusDocument(const BudgetStatus& status, const Json* old, int64_t generation, Time now);

}  // namespace wherry
