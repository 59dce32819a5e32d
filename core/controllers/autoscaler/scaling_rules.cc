#include "core/controllers/autoscaler/scaling_rules.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/kinds/fields.h"
#include "core/kinds/quantity.h"

namespace wherry {
namespace {

using std::chrono::seconds;
constexpr seconds kDefaultDownStabilization{300};

ScalingRules Read(const Json& rules, ScalingRules defaults) {
  if (Has(rules, "stabilizationWindowSeconds")) {
    defaults.stabilization = seconds(IntAt(rules, "stabilizationWindowSeconds"));
  }
  const std::string& select = StringAt(rules, "selectPolicy");
  if (select == "Min") defaults.select = ScalingRules::Select::kMin;
  if (select == "Disabled") defaults.select = ScalingRules::Select::kDisabled;
  if (const Result<Quantity> tolerance = Quantity::Parse(StringAt(rules, "tolerance")); tolerance.ok()) {
    defaults.tolerance = static_cast<double>(tolerance->milli()) / 1000.0;
  }
  const auto& policies = ListAt(rules, "policies");
  if (!policies.empty()) defaults.policies.clear();
  for (const Json& policy : policies) {
    defaults.policies.push_back(
        {StringAt(policy, "type") == "Percent", IntAt(policy, "value"), seconds(IntAt(policy, "periodSeconds"))});
  }
  return defaults;
}

int64_t ChangedWithin(const std::vector<ScalingHistory::Change>& changes, Duration period, Time now) {
  int64_t sum = 0;
  for (const ScalingHistory::Change& change : changes) sum += change.at > now - period ? change.by : 0;
  return sum;
}

// The size that may be reached now, one way: by each policy from what the size was at the beginning of its period.
int64_t Limit(const ScalingRules& rules, bool up, int64_t current, const ScalingHistory& history, Time now) {
  if (rules.select == ScalingRules::Select::kDisabled) return current;
  std::optional<int64_t> limit;
  for (const ScalingRules::Policy& policy : rules.policies) {
    const int64_t before =
        current - ChangedWithin(history.ups, policy.period, now) + ChangedWithin(history.downs, policy.period, now);
    int64_t proposed = before + (up ? policy.value : -policy.value);
    if (policy.percent) {
      const double share = 1.0 + (up ? 1.0 : -1.0) * static_cast<double>(policy.value) / 100.0;
      const double exact = static_cast<double>(before) * share;
      proposed = static_cast<int64_t>(up ? std::ceil(exact) : exact);
    }
    // Max means the policy that allows the greatest change.
    const bool greatest = rules.select == ScalingRules::Select::kMax;
    limit = !limit ? proposed : (up == greatest ? std::max(*limit, proposed) : std::min(*limit, proposed));
  }
  if (!limit) return current;
  return up ? std::max(*limit, current) : std::min(*limit, current);
}

Duration LongestPeriod(const ScalingRules& rules) {
  Duration longest{0};
  for (const ScalingRules::Policy& policy : rules.policies) longest = std::max(longest, policy.period);
  return longest;
}

}  // namespace

ScalingRules ScalingRules::Up(const Json& behavior) {
  ScalingRules defaults;
  defaults.policies = {{false, 4, seconds(15)}, {true, 100, seconds(15)}};
  return Read(At(behavior, "scaleUp"), std::move(defaults));
}

ScalingRules ScalingRules::Down(const Json& behavior) {
  ScalingRules defaults;
  defaults.stabilization = kDefaultDownStabilization;
  defaults.policies = {{true, 100, seconds(15)}};
  return Read(At(behavior, "scaleDown"), std::move(defaults));
}

void ScalingHistory::NoteChange(Time now, int64_t from, int64_t to, const ScalingRules& up, const ScalingRules& down) {
  const Duration longest = std::max(LongestPeriod(up), LongestPeriod(down));
  for (std::vector<Change>* changes : {&ups, &downs}) {
    std::erase_if(*changes, [&](const Change& change) { return change.at <= now - longest; });
  }
  if (to > from) ups.push_back({now, to - from});
  if (to < from) downs.push_back({now, from - to});
}

ScalingDecision DecideScale(int64_t current, int64_t wanted, int64_t least, int64_t most, const ScalingRules& up,
                            const ScalingRules& down, ScalingHistory& history, Time now) {
  ScalingDecision out;
  // Stabilisation: upwards to the least that was wanted within the window, downwards to the most.
  int64_t up_to = wanted, down_to = wanted;
  for (const ScalingHistory::Recommendation& past : history.recommendations) {
    if (past.at > now - up.stabilization) up_to = std::min(up_to, past.replicas);
    if (past.at > now - down.stabilization) down_to = std::max(down_to, past.replicas);
  }
  const Duration longest = std::max(up.stabilization, down.stabilization);
  std::erase_if(history.recommendations, [&](const auto& past) { return past.at <= now - longest; });
  history.recommendations.push_back({now, wanted});

  int64_t stabilized = current;
  if (stabilized < up_to) stabilized = up_to;
  if (stabilized > down_to) stabilized = down_to;
  out.able_reason = "ReadyForNewScale";
  out.able_message = "recommended size matches current size";
  if (stabilized > wanted) {
    out.able_reason = "ScaleDownStabilized";
    out.able_message =
        "recent recommendations were higher than current one, applying the highest recent recommendation";
  } else if (stabilized < wanted) {
    out.able_reason = "ScaleUpStabilized";
    out.able_message = "recent recommendations were lower than current one, applying the lowest recent recommendation";
  }

  out.replicas = stabilized;
  out.limit_reason = "DesiredWithinRange";
  out.limit_message = "the desired count is within the acceptable range";
  const auto limit = [&](int64_t replicas, const char* reason, const char* message) {
    out.replicas = replicas;
    out.limited = true;
    out.limit_reason = reason;
    out.limit_message = message;
  };
  if (stabilized > current) {
    const int64_t speed = Limit(up, true, current, history, now);
    if (stabilized > std::min(most, speed)) {
      if (most <= speed) {
        limit(most, "TooManyReplicas", "the desired replica count is more than the maximum replica count");
      } else {
        limit(speed, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
      }
    }
  } else if (stabilized < current) {
    const int64_t speed = Limit(down, false, current, history, now);
    if (stabilized < std::max(least, speed)) {
      if (least >= speed) {
        limit(least, "TooFewReplicas", "the desired replica count is less than the minimum replica count");
      } else {
        limit(speed, "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");
      }
    }
  }
  return out;
}

}  // namespace wherry
