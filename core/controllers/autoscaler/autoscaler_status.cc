#include "core/controllers/autoscaler/autoscaler_status.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"

namespace wherry {

void AutoscalerStatus::Set(std::string type, bool met, std::string reason, std::string message) {
  auto it = std::find_if(conditions.begin(), conditions.end(),
                         [&](const Condition& condition) { return condition.type == type; });
  if (it == conditions.end()) it = conditions.emplace(it);
  *it = {std::move(type), met, std::move(reason), std::move(message)};
}

Json StatusDocument(const AutoscalerStatus& status, const Json* old, int64_t generation, Time now) {
  Json made = old != nullptr && old->is_object() ? *old : Json::object();
  made["observedGeneration"] = generation;
  made["currentReplicas"] = status.current;
  made["desiredReplicas"] = status.desired;
  if (status.scaled) made["lastScaleTime"] = FormatTime(*status.scaled);
  if (!status.metrics.is_null()) made["currentMetrics"] = status.metrics;
  Json& conditions = made["conditions"];
  if (!conditions.is_array()) conditions = Json::array();
  for (const AutoscalerStatus::Condition& condition : status.conditions) {
    auto it = std::find_if(conditions.begin(), conditions.end(),
                           [&](const Json& there) { return StringAt(there, "type") == condition.type; });
    const char* met = condition.met ? "True" : "False";
    if (it == conditions.end()) {
      conditions.push_back({{"type", condition.type}, {"status", met}, {"lastTransitionTime", FormatTime(now)}});
      it = std::prev(conditions.end());
    } else if (StringAt(*it, "status") != met) {
      (*it)["status"] = met;
      (*it)["lastTransitionTime"] = FormatTime(now);
    }
    (*it)["reason"] = condition.reason;
    (*it)["message"] = condition.message;
  }
  return made;
}

}  // namespace wherry
