#include <limits>
#include <nlohmann/json.hpp>

#include "core/kinds/cron.h"
#include "core/kinds/fields.h"
#include "core/kinds/names.h"
#include "core/kinds/rules.h"
#include "core/kinds/selector.h"

namespace wherry::rules {
namespace {

constexpr int64_t kNoBackoffLimit = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxIndexedParallelism = 100000;

// Here and not in the schema, because these depend on one another and a CronJob's template must not have them: what is
// absent there is decided when a Job is made from it.
void DefaultJobSpec(Json& spec) {
  if (!spec.is_object()) return;
  // A job without both numbers runs one pod once; with parallelism alone it is a work queue that its pods end.
  if (!Has(spec, "completions") && !Has(spec, "parallelism")) spec["completions"] = 1;
  if (!Has(spec, "parallelism")) spec["parallelism"] = 1;
  if (!Has(spec, "backoffLimit")) spec["backoffLimit"] = Has(spec, "backoffLimitPerIndex") ? kNoBackoffLimit : 6;
  if (!Has(spec, "completionMode")) spec["completionMode"] = "NonIndexed";
  if (!Has(spec, "suspend")) spec["suspend"] = false;
  if (At(spec, "podFailurePolicy.rules").is_array()) {
    for (Json& rule : spec["podFailurePolicy"]["rules"]) {
      if (!At(rule, "onPodConditions").is_array()) continue;
      for (Json& pattern : rule["onPodConditions"]) {
        if (pattern.is_object() && StringAt(pattern, "status").empty()) pattern["status"] = "True";
      }
    }
  }
  if (!Has(spec, "podReplacementPolicy")) {
    spec["podReplacementPolicy"] = Has(spec, "podFailurePolicy") ? "Failed" : "TerminatingOrFailed";
  }
  if (At(spec, "template.spec").is_object()) DefaultPodSpec(spec["template"]["spec"]);
}

void CheckJobSpec(const Json& spec, const std::string& path, Refusals& out) {
  const std::string& policy = StringAt(spec, "template.spec.restartPolicy");
  const std::string policy_path = Child(path, "template.spec.restartPolicy");
  if (policy == "Always" || policy.empty()) {
    out.Add(Required(policy_path, "valid values: \"OnFailure\", \"Never\""));
  } else if (policy != "OnFailure" && policy != "Never") {
    out.Add(NotSupported(policy_path, policy, {"OnFailure", "Never"}));
  }
  if (Has(spec, "podFailurePolicy") && policy != "Never") {
    out.Add(Invalid(policy_path, policy, "only \"Never\" is supported when podFailurePolicy is specified"));
  }
  for (const char* field : {"backoffLimitPerIndex", "maxFailedIndexes"}) {
    if (const int64_t value = IntAt(spec, field); value < 0) {
      out.Add(Invalid(Child(path, field), value, "must be greater than or equal to 0"));
    }
  }
  if (StringAt(spec, "completionMode") == "Indexed" && !Has(spec, "completions")) {
    out.Add(Required(Child(path, "completions"), "when completion mode is Indexed"));
  }
  if (StringAt(spec, "completionMode") != "Indexed") {
    for (const char* field : {"backoffLimitPerIndex", "maxFailedIndexes"}) {
      if (Has(spec, field)) out.Add(Invalid(Child(path, field), At(spec, field), "requires indexed completion mode"));
    }
  } else if (IntAt(spec, "parallelism") > kMaxIndexedParallelism) {
    out.Add(Invalid(Child(path, "parallelism"), At(spec, "parallelism"),
                    "must be less than or equal to " + std::to_string(kMaxIndexedParallelism) +
                        " when completion mode is Indexed"));
  }
  if (Has(spec, "maxFailedIndexes")) {
    if (!Has(spec, "backoffLimitPerIndex")) {
      out.Add(Required(Child(path, "backoffLimitPerIndex"), "when maxFailedIndexes is specified"));
    }
    if (Has(spec, "completions") && IntAt(spec, "maxFailedIndexes") > IntAt(spec, "completions")) {
      out.Add(Invalid(Child(path, "maxFailedIndexes"), At(spec, "maxFailedIndexes"),
                      "must be less than or equal to completions"));
    }
  }
  if (Has(spec, "podFailurePolicy")) CheckPodFailurePolicy(spec, path, out);
  if (Has(spec, "successPolicy")) CheckSuccessPolicy(spec, path, out);
  CheckPodTemplate(At(spec, "template"), Child(path, "template"), out);
}

// A suspended job that never ran may still be told where its pods go (KEP-2926).
bool MayMovePods(const Json& old) { return BoolAt(old, "spec.suspend") && !Has(old, "status.startTime"); }

void CheckJobUpdate(const Json& job, const Json& old, Refusals& out) {
  // An Indexed job may be resized (KEP-3715), of others the number of completions is fixed.
  const bool elastic =
      StringAt(job, "spec.completionMode") == "Indexed" && Has(job, "spec.completions") && Has(old, "spec.completions");
  if (!elastic) {
    CheckImmutable(job, old, "spec.completions", out);
  } else if (At(job, "spec.completions") != At(old, "spec.completions") &&
             At(job, "spec.completions") != At(job, "spec.parallelism")) {
    out.Add(Invalid("spec.completions", At(job, "spec.completions"),
                    "can only be modified in tandem with spec.parallelism"));
  }
  for (const char* field : {"spec.selector", "spec.completionMode", "spec.podFailurePolicy",
                            "spec.backoffLimitPerIndex", "spec.managedBy", "spec.successPolicy"}) {
    CheckImmutable(job, old, field, out);
  }
  Json now = At(job, "spec.template");
  const Json& before = At(old, "spec.template");
  if (now == before) return;
  if (MayMovePods(old) && now.is_object()) {
    for (const char* field : {"nodeSelector", "tolerations", "affinity", "schedulingGates"}) {
      if (Has(before, std::string("spec.") + field)) {
        now["spec"][field] = before["spec"][field];
      } else {
        now["spec"].erase(field);
      }
    }
    now["metadata"] = At(before, "metadata");
    if (now["metadata"].is_null()) now.erase("metadata");
  }
  if (now != before) out.Add(Invalid("spec.template", At(job, "spec.template"), "field is immutable"));
}

}  // namespace

void DefaultJob(Json& job) {
  if (!job.contains("spec") || !job["spec"].is_object()) return;
  DefaultJobSpec(job["spec"]);
  const Json& labels = At(job, "spec.template.metadata.labels");
  if (MapAt(job, "metadata.labels").empty() && labels.is_object() && !labels.empty()) {
    job["metadata"]["labels"] = Json(labels);
  }
}

// The selector that keeps two jobs from ever counting each other's pods. REQUIRES: metadata.uid and name are set.
void CreateJob(Json& job) {
  job["status"] = Json::object();
  const std::string uid = StringAt(job, "metadata.uid");
  const std::string name = StringAt(job, "metadata.name");
  if (BoolAt(job, "spec.manualSelector") || uid.empty() || !At(job, "spec").is_object()) return;
  Json& labels = job["spec"]["template"]["metadata"]["labels"];
  for (const char* prefix : {"", "batch.kubernetes.io/"}) {
    labels[std::string(prefix) + "controller-uid"] = uid;
    labels[std::string(prefix) + "job-name"] = name;
  }
  Json& selector = job["spec"]["selector"];
  if (!selector.is_object()) selector = Json::object();
  selector["matchLabels"]["batch.kubernetes.io/controller-uid"] = uid;
}

void ValidateJob(const Json& job, const Json* old, FieldErrors& errors) {
  if (Unchanged(job, old, "spec")) return;
  Refusals out(errors);
  const Json& selector = At(job, "spec.selector");
  const Json& labels = At(job, "spec.template.metadata.labels");
  if (selector.is_null()) {
    out.Add(Required("spec.selector"));
  } else {
    CheckLabelSelector(selector, "spec.selector", out);
    const Result<LabelSelector> parsed = LabelSelector::FromJson(selector);
    if (parsed.ok() && !parsed->Matches(labels)) {
      out.Add(Invalid("spec.template.metadata.labels", labels.is_null() ? Json::object() : labels,
                      "`selector` does not match template `labels`"));
    }
  }
  CheckJobSpec(At(job, "spec"), "spec", out);
  if (StringAt(job, "spec.completionMode") == "Indexed" && IntAt(job, "spec.completions") > 0) {
    // The pods are reachable by <job>-<index>.
    const std::string& name = StringAt(job, "metadata.name");
    const std::string host = name + "-" + std::to_string(IntAt(job, "spec.completions") - 1);
    if (!CheckDns1123Label(host).empty()) {
      out.Add(Invalid("metadata.name", name, "will not able to create pod with invalid DNS label: " + host));
    }
  }
  if (old != nullptr) CheckJobUpdate(job, *old, out);
}

void DefaultCronJob(Json& cron_job) {
  if (At(cron_job, "spec.jobTemplate.spec.template.spec").is_object()) {
    DefaultPodSpec(cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]);
  }
}

void ValidateCronJob(const Json& cron_job, const Json* old, FieldErrors& errors) {
  if (Unchanged(cron_job, old, "spec")) return;
  Refusals out(errors);
  // Job names are the CronJob's with a dash and ten digits.
  if (old == nullptr && StringAt(cron_job, "metadata.name").size() > 52) {
    out.Add(Invalid("metadata.name", StringAt(cron_job, "metadata.name"), "must be no more than 52 characters"));
  }
  const std::string& schedule = StringAt(cron_job, "spec.schedule");
  if (schedule.empty()) {
    out.Add(Required("spec.schedule"));
  } else if (schedule.find("TZ") != std::string::npos) {
    out.Add(Invalid("spec.schedule", schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"));
  } else if (const Result<CronSchedule> parsed = CronSchedule::Parse(schedule); !parsed.ok()) {
    out.Add(Invalid("spec.schedule", schedule, parsed.status().message()));
  }
  if (Has(cron_job, "spec.timeZone")) {
    const std::string& zone = StringAt(cron_job, "spec.timeZone");
    out.AddIf("spec.timeZone", zone, CheckTimeZone(zone));
  }
  const Json& job = At(cron_job, "spec.jobTemplate.spec");
  if (Has(job, "selector")) {
    out.Add(Invalid("spec.jobTemplate.spec.selector", At(job, "selector"), "`selector` will be auto-generated"));
  }
  if (BoolAt(job, "manualSelector")) {
    out.Add(NotSupported("spec.jobTemplate.spec.manualSelector", true, {"nil", "false"}));
  }
  CheckJobSpec(job, "spec.jobTemplate.spec", out);
}

}  // namespace wherry::rules
