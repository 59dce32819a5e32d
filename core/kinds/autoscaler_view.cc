#include "core/kinds/autoscaler_view.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "core/kinds/fields.h"

namespace wherry {
namespace {

const std::string kPrefix = "autoscaling.alpha.kubernetes.io/";

// Where the older form of a metric keeps what the newer one has elsewhere.
struct Moved {
  const char* old_field;
  const char* new_path;
};
struct MetricForm {
  std::string_view type;
  const char* field;
  Moved moved[5];
};
constexpr MetricForm kForms[] = {
    {"Resource",
     "resource",
     {{"name", "/name"},
      {"targetAverageUtilization", "/target/averageUtilization"},
      {"targetAverageValue", "/target/averageValue"}}},
    {"ContainerResource",
     "containerResource",
     {{"name", "/name"},
      {"container", "/container"},
      {"targetAverageUtilization", "/target/averageUtilization"},
      {"targetAverageValue", "/target/averageValue"}}},
    {"Pods",
     "pods",
     {{"metricName", "/metric/name"},
      {"selector", "/metric/selector"},
      {"targetAverageValue", "/target/averageValue"}}},
    {"Object",
     "object",
     {{"target", "/describedObject"},
      {"metricName", "/metric/name"},
      {"selector", "/metric/selector"},
      {"targetValue", "/target/value"},
      {"averageValue", "/target/averageValue"}}},
    {"External",
     "external",
     {{"metricName", "/metric/name"},
      {"metricSelector", "/metric/selector"},
      {"targetValue", "/target/value"},
      {"targetAverageValue", "/target/averageValue"}}},
};

const MetricForm* FormOf(const Json& metric) {
  for (const MetricForm& form : kForms) {
    if (StringAt(metric, "type") == form.type) return &form;
  }
  return nullptr;
}

Json OldForm(const Json& metric) {
  const MetricForm* form = FormOf(metric);
  if (form == nullptr) return metric;
  const Json& source = At(metric, form->field);
  Json out = Json::object();
  for (const Moved& moved : form->moved) {
    if (moved.old_field == nullptr) break;
    const Json::json_pointer path(moved.new_path);
    if (source.is_object() && source.contains(path)) out[moved.old_field] = source.at(path);
  }
  return {{"type", form->type}, {form->field, std::move(out)}};
}

Json NewForm(const Json& metric) {
  const MetricForm* form = FormOf(metric);
  if (form == nullptr) return metric;
  const Json& source = At(metric, form->field);
  Json out = Json::object();
  for (const Moved& moved : form->moved) {
    if (moved.old_field == nullptr) break;
    if (Has(source, moved.old_field)) out[Json::json_pointer(moved.new_path)] = At(source, moved.old_field);
  }
  if (Has(out, "target.averageUtilization")) {
    out["target"]["type"] = "Utilization";
  } else {
    out["target"]["type"] = Has(out, "target.averageValue") ? "AverageValue" : "Value";
  }
  return {{"type", form->type}, {form->field, std::move(out)}};
}

bool IsCpuUtilization(const Json& metric) {
  return StringAt(metric, "type") == "Resource" && StringAt(metric, "resource.name") == "cpu" &&
         Has(metric, "resource.target.averageUtilization");
}

void Annotate(Json& object, const char* name, const Json& value) {
  object["metadata"]["annotations"][kPrefix + name] = value.dump();
}

// Takes the annotation off; null when it is absent or not JSON.
Json TakeAnnotation(Json& object, const char* name) {
  const auto metadata = object.find("metadata");
  if (metadata == object.end() || !metadata->is_object()) return nullptr;
  const auto annotations = metadata->find("annotations");
  if (annotations == metadata->end() || !annotations->is_object()) return nullptr;
  const auto it = annotations->find(kPrefix + name);
  if (it == annotations->end() || !it->is_string()) return nullptr;
  Json value = Json::parse(it->get_ref<const std::string&>(), nullptr, false);
  if (value.is_discarded()) return nullptr;
  annotations->erase(it);
  if (annotations->empty()) metadata->erase(annotations);
  return value;
}

Json Part(Json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_object() ? *it : Json::object();
}

}  // namespace

Json FirstAutoscalerFromStorage(const Json& stored) {
  Json out = stored;
  out["apiVersion"] = "autoscaling/v1";
  Json spec = Part(out, "spec"), status = Part(out, "status");
  Json others = Json::array();
  for (const Json& metric : ListAt(spec, "metrics")) {
    if (IsCpuUtilization(metric) && !spec.contains("targetCPUUtilizationPercentage")) {
      spec["targetCPUUtilizationPercentage"] = metric["resource"]["target"]["averageUtilization"];
    } else {
      others.push_back(OldForm(metric));
    }
  }
  for (const Json& metric : ListAt(status, "currentMetrics")) {
    if (StringAt(metric, "resource.name") == "cpu" && Has(metric, "resource.current.averageUtilization")) {
      status["currentCPUUtilizationPercentage"] = metric["resource"]["current"]["averageUtilization"];
    }
  }
  if (!others.empty()) Annotate(out, "metrics", others);
  if (Has(spec, "behavior")) Annotate(out, "behavior", spec["behavior"]);
  if (Has(status, "conditions")) Annotate(out, "conditions", status["conditions"]);
  if (Has(status, "currentMetrics")) Annotate(out, "current-metrics", status["currentMetrics"]);
  for (const char* field : {"metrics", "behavior"}) spec.erase(field);
  for (const char* field : {"conditions", "currentMetrics"}) status.erase(field);
  out["spec"] = std::move(spec);
  out["status"] = std::move(status);
  return out;
}

Json FirstAutoscalerToStorage(const Json& view) {
  Json out = view;
  out["apiVersion"] = "autoscaling/v2";
  Json spec = Part(out, "spec"), status = Part(out, "status");
  Json metrics = Json::array();
  if (Has(spec, "targetCPUUtilizationPercentage")) {
    metrics.push_back(
        {{"type", "Resource"},
         {"resource",
          {{"name", "cpu"},
           {"target", {{"type", "Utilization"}, {"averageUtilization", spec["targetCPUUtilizationPercentage"]}}}}}});
  }
  const Json others = TakeAnnotation(out, "metrics");
  if (others.is_array()) {
    for (const Json& metric : others) metrics.push_back(NewForm(metric));
  }
  if (!metrics.empty()) spec["metrics"] = std::move(metrics);
  Json behavior = TakeAnnotation(out, "behavior"), conditions = TakeAnnotation(out, "conditions"),
       current = TakeAnnotation(out, "current-metrics");
  if (behavior.is_object()) spec["behavior"] = std::move(behavior);
  if (conditions.is_array()) status["conditions"] = std::move(conditions);
  if (current.is_array()) status["currentMetrics"] = std::move(current);
  spec.erase("targetCPUUtilizationPercentage");
  status.erase("currentCPUUtilizationPercentage");
  out["spec"] = std::move(spec);
  out["status"] = std::move(status);
  return out;
}

}  // namespace wherry
