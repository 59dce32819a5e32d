#include "core/controllers/disruption/budget_plan.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/fields.h"

namespace wherry {

BudgetView::BudgetView(const Json& budget) {
  generation = IntAt(budget, "metadata.generation");
  if (const Json* found = FindPath(budget, "spec.selector")) {
    Result<LabelSelector> parsed = LabelSelector::FromJson(*found);
    if (parsed.ok()) selector = std::move(*parsed);
  }
  min_available = IntOrPercent::FromJson(FindPath(budget, "spec.minAvailable"));
  max_unavailable = IntOrPercent::FromJson(FindPath(budget, "spec.maxUnavailable"));
  for (const auto& [pod, when] : MapAt(budget, "status.disruptedPods")) {
    Time at{};
    if (when.is_string() && ParseTime(when.get_ref<const std::string&>(), &at)) disrupted[pod] = at;
  }
}

BudgetStatus PlanBudget(const BudgetInputs& in) {
  const BudgetView& budget = *in.budget;
  BudgetStatus out;
  const int64_t pods = static_cast<int64_t>(in.pods.size());
  if (budget.max_unavailable) {
    out.expected = in.scale;
    out.desired = std::max<int64_t>(0, in.scale - budget.max_unavailable->RoundedUpOf(in.scale));
  } else if (budget.min_available) {
    out.expected = budget.min_available->percent ? in.scale : pods;
    out.desired = budget.min_available->RoundedUpOf(out.expected);
  }
  for (const BudgetPod& pod : in.pods) {
    if (pod.view->deleting) continue;
    auto it = budget.disrupted.find(std::string(pod.name));
    if (it != budget.disrupted.end()) {
      const Duration left = it->second + kDisruptionTimeout - in.now;
      if (left >= Duration::zero()) {
        out.disrupted.insert(*it);
        const Duration again = left + std::chrono::seconds(1);
        if (out.recheck_after == Duration::zero() || again < out.recheck_after) out.recheck_after = again;
        continue;
      }
      out.not_deleted.emplace_back(pod.name);
    }
    if (pod.view->ready) ++out.healthy;
  }
  if (out.expected > 0) out.allowed = std::max<int64_t>(0, out.healthy - out.desired);
  return out;
}

Json StatusDocument(const BudgetStatus& status, const Json* old, int64_t generation, Time now) {
  Json out = {{"observedGeneration", generation},
              {"disruptionsAllowed", status.allowed},
              {"currentHealthy", status.healthy},
              {"desiredHealthy", status.desired},
              {"expectedPods", status.expected}};
  if (!status.failure.empty()) {
    // What was counted last is kept for people to see; nothing is allowed.
    for (const char* field : {"currentHealthy", "desiredHealthy", "expectedPods", "disruptedPods"}) {
      if (old && Has(*old, field)) out[field] = At(*old, field);
    }
  }
  for (const auto& [pod, when] : status.disrupted) out["disruptedPods"][pod] = FormatTime(when);

  Json conditions = old ? At(*old, "conditions") : Json();
  if (!conditions.is_array()) conditions = Json::array();
  const char* value = status.allowed > 0 ? "True" : "False";
  Json made = {{"type", "DisruptionAllowed"},
               {"status", value},
               {"reason", !status.failure.empty() ? "SyncFailed"
                          : status.allowed > 0    ? "SufficientPods"
                                                  : "InsufficientPods"},
               {"message", status.failure},
               {"observedGeneration", generation},
               {"lastTransitionTime", FormatTime(now)}};
  auto it = std::find_if(conditions.begin(), conditions.end(),
                         [](const Json& c) { return StringAt(c, "type") == "DisruptionAllowed"; });
  if (it == conditions.end()) {
    conditions.push_back(std::move(made));
  } else {
    if (StringAt(*it, "status") == value) made["lastTransitionTime"] = At(*it, "lastTransitionTime");
    *it = std::move(made);
  }
  out["conditions"] = std::move(conditions);
  return out;
}

}  // namespace wherry
