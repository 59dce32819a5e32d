#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/quantity.h"
#include "core/kinds/rules.h"

namespace wherry::rules {
namespace {

constexpr int64_t kMaxStabilizationSeconds = 3600;
constexpr int64_t kMaxPolicySeconds = 1800;

// The field of a metric (or of its status) that its type says is filled.
struct MetricSource {
  std::string_view type;
  const char* field;
};
constexpr MetricSource kSources[] = {{"Object", "object"},
                                     {"Pods", "pods"},
                                     {"Resource", "resource"},
                                     {"ContainerResource", "containerResource"},
                                     {"External", "external"}};

Json Policy(const char* type, int value, int seconds) {
  return {{"type", type}, {"value", value}, {"periodSeconds", seconds}};
}

// Only what is absent is filled in: upstream's GenerateHPAScaleUpRules and GenerateHPAScaleDownRules.
void DefaultRules(Json& rules, bool up) {
  if (!rules.is_object()) rules = Json::object();
  if (up && !Has(rules, "stabilizationWindowSeconds")) rules["stabilizationWindowSeconds"] = 0;
  if (!Has(rules, "selectPolicy")) rules["selectPolicy"] = "Max";
  if (Has(rules, "policies")) return;
  rules["policies"] = Json::array({Policy("Percent", 100, 15)});
  if (up) rules["policies"].insert(rules["policies"].begin(), Policy("Pods", 4, 15));
}

void CheckPositive(const Json& value, const std::string& path, Refusals& out) {
  if (value.is_number_integer() && value.get<int64_t>() <= 0)
    out.Add(Invalid(path, value, "must be greater than zero"));
}

void CheckRules(const Json& rules, const std::string& path, Refusals& out) {
  if (!rules.is_object()) return;
  if (IntAt(rules, "stabilizationWindowSeconds") > kMaxStabilizationSeconds) {
    out.Add(Invalid(path + ".stabilizationWindowSeconds", At(rules, "stabilizationWindowSeconds"),
                    "must be less than or equal to " + std::to_string(kMaxStabilizationSeconds)));
  }
  CheckQuantityNotNegative(At(rules, "tolerance"), path + ".tolerance", out);
  const auto& policies = ListAt(rules, "policies");
  if (policies.empty()) out.Add(Required(path + ".policies", "must specify at least one Policy"));
  for (size_t i = 0; i < policies.size(); ++i) {
    const std::string at = Item(path + ".policies", i);
    if (IntAt(policies[i], "value") <= 0) {
      out.Add(Invalid(at + ".value", IntAt(policies[i], "value"), "must be greater than zero"));
    }
    const int64_t seconds = IntAt(policies[i], "periodSeconds");
    if (seconds <= 0) out.Add(Invalid(at + ".periodSeconds", seconds, "must be greater than zero"));
    if (seconds > kMaxPolicySeconds) {
      out.Add(Invalid(at + ".periodSeconds", seconds,
                      "must be less than or equal to " + std::to_string(kMaxPolicySeconds)));
    }
  }
}

void CheckTarget(const Json& target, const std::string& path, std::string_view metric_type, Refusals& out) {
  CheckPositive(At(target, "averageUtilization"), path + ".averageUtilization", out);
  for (const char* field : {"value", "averageValue"}) {
    if (!Has(target, field)) continue;
    const Result<Quantity> parsed = Quantity::Parse(StringAt(target, field));
    if (parsed.ok() && parsed->Compare(Quantity()) <= 0) {
      out.Add(Invalid(Child(path, field), At(target, field), "must be positive"));
    }
  }
  const bool of_pods = metric_type == "Resource" || metric_type == "ContainerResource";
  if (of_pods) {
    if (!Has(target, "averageUtilization") && !Has(target, "averageValue")) {
      out.Add(Required(path + ".averageUtilization", "must set either a target raw value or a target utilization"));
    } else if (Has(target, "averageUtilization") && Has(target, "averageValue")) {
      out.Add(Forbidden(path + ".averageValue", "may not set both a target raw value and a target utilization"));
    }
  } else if (metric_type == "Pods") {
    if (!Has(target, "averageValue")) {
      out.Add(Required(path + ".averageValue", "must specify a positive target averageValue"));
    }
  } else if (!Has(target, "value") && !Has(target, "averageValue")) {
    out.Add(Required(path + ".averageValue", "must set either a target value for metric or a per-pod target"));
  }
}

void CheckMetric(const Json& metric, const std::string& path, Refusals& out) {
  const std::string& type = StringAt(metric, "type");
  for (const MetricSource& source : kSources) {
    if (source.type != type) {
      if (Has(metric, source.field)) {
        out.Add(Forbidden(Child(path, source.field), "must populate the given metric source only"));
      }
    } else if (!Has(metric, source.field)) {
      out.Add(Required(Child(path, source.field), "must populate information for the given metric source"));
    } else {
      CheckTarget(At(At(metric, source.field), "target"), Child(path, source.field) + ".target", type, out);
    }
  }
}

}  // namespace

void DefaultHorizontalPodAutoscaler(Json& autoscaler) {
  auto spec = autoscaler.find("spec");
  if (spec == autoscaler.end() || !spec->is_object()) return;
  if (ListAt(*spec, "metrics").empty()) {
    (*spec)["metrics"] = Json::array(
        {{{"type", "Resource"},
          {"resource", {{"name", "cpu"}, {"target", {{"type", "Utilization"}, {"averageUtilization", 80}}}}}}});
  }
  if (!Has(*spec, "behavior")) return;
  DefaultRules((*spec)["behavior"]["scaleUp"], true);
  DefaultRules((*spec)["behavior"]["scaleDown"], false);
}

void ValidateHorizontalPodAutoscaler(const Json& autoscaler, const Json* old, FieldErrors& errors) {
  if (Unchanged(autoscaler, old, "spec")) return;
  Refusals out(errors);
  const Json& spec = At(autoscaler, "spec");
  const int64_t least = IntAt(spec, "minReplicas", 1), most = IntAt(spec, "maxReplicas");
  if (least < 1) out.Add(Invalid("spec.minReplicas", least, "must be greater than or equal to 1"));
  if (most < 1) out.Add(Invalid("spec.maxReplicas", most, "must be greater than 0"));
  if (most < least) out.Add(Invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"));
  const auto& metrics = ListAt(spec, "metrics");
  for (size_t i = 0; i < metrics.size(); ++i) CheckMetric(metrics[i], Item("spec.metrics", i), out);
  CheckRules(At(spec, "behavior.scaleUp"), "spec.behavior.scaleUp", out);
  CheckRules(At(spec, "behavior.scaleDown"), "spec.behavior.scaleDown", out);
}

}  // namespace wherry::rules
