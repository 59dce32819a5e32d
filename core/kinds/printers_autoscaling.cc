#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/printers.h"

namespace wherry::printers {
namespace {

constexpr size_t kShownMetrics = 2;

std::string Percent(const Json& value) {
  return value.is_number_integer() ? std::to_string(value.get<int64_t>()) + "%" : "<unknown>";
}

std::string OrUnknown(const std::string& text) { return text.empty() ? "<unknown>" : text; }

// "cpu: 12%/80%", as newer clients print it; `field` holds target and current of the metric's type.
std::string Target(const Json& metric, const Json& current, const char* field) {
  const Json &wanted = At(metric, std::string(field) + ".target"), &has = At(current, std::string(field) + ".current");
  if (Has(wanted, "averageUtilization")) {
    return Percent(At(has, "averageUtilization")) + "/" + Percent(At(wanted, "averageUtilization"));
  }
  if (Has(wanted, "averageValue")) {
    const char* suffix = field == std::string_view("object") || field == std::string_view("external") ? " (avg)" : "";
    return OrUnknown(StringAt(has, "averageValue")) + "/" + StringAt(wanted, "averageValue") + suffix;
  }
  return OrUnknown(StringAt(has, "value")) + "/" + StringAt(wanted, "value");
}

std::string MetricCell(const Json& metric, const Json& current) {
  const std::string& type = StringAt(metric, "type");
  if (type == "Resource") return StringAt(metric, "resource.name") + ": " + Target(metric, current, "resource");
  if (type == "ContainerResource") {
    return StringAt(metric, "containerResource.name") + ": " + Target(metric, current, "containerResource");
  }
  if (type == "Pods") return Target(metric, current, "pods");
  return Target(metric, current, type == "Object" ? "object" : "external");
}

}  // namespace

Json HpaReference(const Json& autoscaler, Time) {
  return StringAt(autoscaler, "spec.scaleTargetRef.kind") + "/" + StringAt(autoscaler, "spec.scaleTargetRef.name");
}

Json HpaTargets(const Json& autoscaler, Time) {
  const auto& metrics = ListAt(autoscaler, "spec.metrics");
  const auto& current = ListAt(autoscaler, "status.currentMetrics");
  if (metrics.empty()) return "<none>";
  std::string text;
  for (size_t i = 0; i < metrics.size() && i < kShownMetrics; ++i) {
    const Json nothing;
    text.append(i > 0 ? ", " : "").append(MetricCell(metrics[i], i < current.size() ? current[i] : nothing));
  }
  if (metrics.size() > kShownMetrics) text += " + " + std::to_string(metrics.size() - kShownMetrics) + " more...";
  return text;
}

Json HpaCpuTarget(const Json& autoscaler, Time) {
  return "cpu: " + Percent(At(autoscaler, "status.currentCPUUtilizationPercentage")) + "/" +
         Percent(At(autoscaler, "spec.targetCPUUtilizationPercentage"));
}

Json HpaMinPods(const Json& autoscaler, Time) {
  return Has(autoscaler, "spec.minReplicas") ? std::to_string(IntAt(autoscaler, "spec.minReplicas")) : "<unset>";
}

Json HpaReplicas(const Json& autoscaler, Time) { return IntAt(autoscaler, "status.currentReplicas"); }

}  // namespace wherry::printers
