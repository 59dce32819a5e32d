#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/printers.h"
#include "core/kinds/selector.h"
#include "core/kinds/table.h"

namespace wherry {
namespace {

// The pod spec that a workload stamps out.
const Json& TemplateSpec(const Json& object) {
  const Json& spec = At(object, "spec.template.spec");
  return spec.is_null() ? At(object, "spec.jobTemplate.spec.template.spec") : spec;
}

std::string JoinField(const std::vector<Json>& items, std::string_view field) {
  std::string text;
  for (const Json& item : items) text += (text.empty() ? "" : ",") + StringAt(item, field);
  return text;
}

std::string OrNone(std::string text) { return text.empty() ? "<none>" : text; }

bool ConditionTrue(const Json& job, std::string_view type) {
  for (const Json& condition : ListAt(job, "status.conditions")) {
    if (StringAt(condition, "type") == type && StringAt(condition, "status") == "True") return true;
  }
  return false;
}

Json OrNotApplicable(const Json& value) {
  if (value.is_null()) return "N/A";
  return value.is_string() ? value : Json(value.dump());
}

}  // namespace

namespace printers {

Json Containers(const Json& object, Time) { return JoinField(ListAt(TemplateSpec(object), "containers"), "name"); }

Json Images(const Json& object, Time) { return JoinField(ListAt(TemplateSpec(object), "containers"), "image"); }

Json Selector(const Json& object, Time) {
  const Json& selector =
      At(object, Has(object, "spec.jobTemplate") ? "spec.jobTemplate.spec.selector" : "spec.selector");
  if (!Has(selector, "matchLabels") && !Has(selector, "matchExpressions")) {
    return OrNone(LabelSelector::FromMap(selector).ToString());
  }
  const Result<LabelSelector> parsed = LabelSelector::FromJson(selector);
  return parsed.ok() ? OrNone(parsed->ToString()) : "<error>";
}

Json NodeSelector(const Json& object, Time) {
  return OrNone(LabelSelector::FromMap(At(TemplateSpec(object), "nodeSelector")).ToString());
}

Json ReadyOfReplicas(const Json& object, Time) {
  return std::to_string(IntAt(object, "status.readyReplicas")) + "/" + std::to_string(IntAt(object, "spec.replicas"));
}

Json JobStatus(const Json& job, Time) {
  if (ConditionTrue(job, "Complete")) return "Complete";
  if (ConditionTrue(job, "Failed")) return "Failed";
  if (Has(job, "metadata.deletionTimestamp")) return "Terminating";
  for (const char* type : {"Suspended", "FailureTarget", "SuccessCriteriaMet"}) {
    if (ConditionTrue(job, type)) return type;
  }
  return "Running";
}

Json JobCompletions(const Json& job, Time) {
  const std::string done = std::to_string(IntAt(job, "status.succeeded")) + "/";
  if (Has(job, "spec.completions")) return done + std::to_string(IntAt(job, "spec.completions"));
  const int64_t parallelism = IntAt(job, "spec.parallelism");
  return done + (parallelism > 1 ? "1 of " + std::to_string(parallelism) : "1");
}

Json JobDuration(const Json& job, Time now) {
  Time start, end;
  if (!ParseTime(StringAt(job, "status.startTime"), &start)) return "";
  if (!ParseTime(StringAt(job, "status.completionTime"), &end)) end = now;
  return HumanDuration(end - start);
}

Json CronLastSchedule(const Json& cron_job, Time now) {
  return Since(cron_job, "status.lastScheduleTime", now, "<none>");
}

Json CronActive(const Json& cron_job, Time) { return ListAt(cron_job, "status.active").size(); }

Json RevisionController(const Json& revision, Time) {
  for (const Json& owner : ListAt(revision, "metadata.ownerReferences")) {
    if (!BoolAt(owner, "controller")) continue;
    std::string text = StringAt(owner, "kind");
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const std::string& api_version = StringAt(owner, "apiVersion");
    if (const size_t slash = api_version.find('/'); slash != std::string::npos)
      text += "." + api_version.substr(0, slash);
    return text + "/" + StringAt(owner, "name");
  }
  return "<none>";
}

Json PdbMin(const Json& budget, Time) { return OrNotApplicable(At(budget, "spec.minAvailable")); }

Json PdbMax(const Json& budget, Time) { return OrNotApplicable(At(budget, "spec.maxUnavailable")); }

}  // namespace printers
}  // namespace wherry
