#include "core/controllers/job/job_view.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/fields.h"

namespace wherry {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int32_t>::max();

std::optional<int64_t> MaybeInt(const Json& object, std::string_view path) {
  if (!Has(object, path)) return std::nullopt;
  return IntAt(object, path);
}

std::optional<Duration> MaybeSeconds(const Json& object, std::string_view path) {
  const std::optional<int64_t> seconds = MaybeInt(object, path);
  // Bounded, so that sums with moments stay far from overflow.
  if (!seconds) return std::nullopt;
  return Duration(std::chrono::seconds(std::min<int64_t>(*seconds, int64_t{1} << 32)));
}

std::optional<Time> MaybeTime(const Json& object, std::string_view path) {
  Time time;
  if (!ParseTime(StringAt(object, path), &time)) return std::nullopt;
  return time;
}

std::vector<std::string> Strings(const Json& object, std::string_view path) {
  std::vector<std::string> out;
  for (const Json& item : ListAt(object, path)) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

PodFailureRule::Action ParseAction(const std::string& action) {
  if (action == "FailJob") return PodFailureRule::Action::kFailJob;
  if (action == "FailIndex") return PodFailureRule::Action::kFailIndex;
  return action == "Ignore" ? PodFailureRule::Action::kIgnore : PodFailureRule::Action::kCount;
}

PodFailureRule ParseFailureRule(const Json& rule) {
  PodFailureRule out;
  out.action = ParseAction(StringAt(rule, "action"));
  out.by_exit_codes = Has(rule, "onExitCodes");
  out.in = StringAt(rule, "onExitCodes.operator") != "NotIn";
  out.container = StringAt(rule, "onExitCodes.containerName");
  for (const Json& value : ListAt(rule, "onExitCodes.values")) {
    if (value.is_number_integer()) out.values.push_back(value.get<int64_t>());
  }
  for (const Json& condition : ListAt(rule, "onPodConditions")) {
    out.conditions.emplace_back(StringAt(condition, "type"), StringAt(condition, "status", "True"));
  }
  return out;
}

}  // namespace

JobStatus::JobStatus(const Json& status, int64_t completions) {
  active = IntAt(status, "active");
  succeeded = IntAt(status, "succeeded");
  failed = IntAt(status, "failed");
  ready = MaybeInt(status, "ready");
  terminating = MaybeInt(status, "terminating");
  // What cannot be read counts as nothing: the pods that are left say it again.
  (void)IndexSet::Parse(StringAt(status, "completedIndexes"), completions, &completed_indexes);
  if (Has(status, "failedIndexes")) {
    failed_indexes.emplace();
    (void)IndexSet::Parse(StringAt(status, "failedIndexes"), completions, &*failed_indexes);
  }
  start_time = MaybeTime(status, "startTime");
  completion_time = MaybeTime(status, "completionTime");
  has_uncounted = Has(status, "uncountedTerminatedPods");
  uncounted_succeeded = Strings(status, "uncountedTerminatedPods.succeeded");
  uncounted_failed = Strings(status, "uncountedTerminatedPods.failed");
  for (const Json& condition : ListAt(status, "conditions")) {
    JobCondition made{StringAt(condition, "type"),
                      StringAt(condition, "status"),
                      StringAt(condition, "reason"),
                      StringAt(condition, "message"),
                      {},
                      {}};
    ParseTime(StringAt(condition, "lastProbeTime"), &made.probe);
    ParseTime(StringAt(condition, "lastTransitionTime"), &made.transition);
    conditions.push_back(std::move(made));
  }
}

Json JobStatus::ToJson() const {
  Json out = Json::object();
  // omitempty upstream: clients take an absent number for zero.
  for (const auto& [field, value] : {std::pair("active", active), {"succeeded", succeeded}, {"failed", failed}}) {
    if (value != 0) out[field] = value;
  }
  if (ready) out["ready"] = *ready;
  if (terminating) out["terminating"] = *terminating;
  if (!completed_indexes.empty()) out["completedIndexes"] = completed_indexes.ToString();
  if (failed_indexes) out["failedIndexes"] = failed_indexes->ToString();
  if (start_time) out["startTime"] = FormatTime(*start_time);
  if (completion_time) out["completionTime"] = FormatTime(*completion_time);
  if (has_uncounted) {
    Json& uncounted = out["uncountedTerminatedPods"] = Json::object();
    if (!uncounted_succeeded.empty()) uncounted["succeeded"] = uncounted_succeeded;
    if (!uncounted_failed.empty()) uncounted["failed"] = uncounted_failed;
  }
  for (const JobCondition& condition : conditions) {
    Json made = {{"type", condition.type}, {"status", condition.status}};
    if (condition.probe != Time{}) made["lastProbeTime"] = FormatTime(condition.probe);
    if (condition.transition != Time{}) made["lastTransitionTime"] = FormatTime(condition.transition);
    if (!condition.reason.empty()) made["reason"] = condition.reason;
    if (!condition.message.empty()) made["message"] = condition.message;
    out["conditions"].push_back(std::move(made));
  }
  return out;
}

const JobCondition* JobStatus::Find(std::string_view type) const {
  auto it = std::find_if(conditions.begin(), conditions.end(), [&](const JobCondition& c) { return c.type == type; });
  return it == conditions.end() ? nullptr : &*it;
}

bool JobStatus::Is(std::string_view type) const {
  const JobCondition* found = Find(type);
  return found && found->status == "True";
}

bool JobStatus::Set(std::string_view type, bool value, std::string_view reason, std::string_view message, Time now) {
  if (Is(type) == value) return false;
  JobCondition made{std::string(type), value ? "True" : "False", std::string(reason), std::string(message), now, now};
  auto it = std::find_if(conditions.begin(), conditions.end(), [&](const JobCondition& c) { return c.type == type; });
  if (it == conditions.end()) {
    conditions.push_back(std::move(made));
  } else {
    *it = std::move(made);
  }
  return true;
}

JobView::JobView(const Json& job) {
  ns = StringAt(job, "metadata.namespace");
  name = StringAt(job, "metadata.name");
  uid = StringAt(job, "metadata.uid");
  deleting = Has(job, "metadata.deletionTimestamp");
  const Json& spec = At(job, "spec");
  foreign = Has(spec, "managedBy") && StringAt(spec, "managedBy") != kJobControllerName;
  if (Has(spec, "selector")) {
    Result<LabelSelector> parsed = LabelSelector::FromJson(At(spec, "selector"));
    if (parsed.ok()) selector = std::move(*parsed);
  }
  indexed = StringAt(spec, "completionMode") == "Indexed";
  suspend = BoolAt(spec, "suspend");
  restart_on_failure = StringAt(spec, "template.spec.restartPolicy") == "OnFailure";
  only_replace_failed = StringAt(spec, "podReplacementPolicy") == "Failed";
  completions = MaybeInt(spec, "completions");
  parallelism = IntAt(spec, "parallelism", 1);
  backoff_limit_per_index = MaybeInt(spec, "backoffLimitPerIndex");
  backoff_limit = IntAt(spec, "backoffLimit", backoff_limit_per_index ? kNoLimit : 6);
  max_failed_indexes = MaybeInt(spec, "maxFailedIndexes");
  active_deadline = MaybeSeconds(spec, "activeDeadlineSeconds");
  ttl = MaybeSeconds(spec, "ttlSecondsAfterFinished");
  has_failure_policy = Has(spec, "podFailurePolicy");
  for (const Json& rule : ListAt(spec, "podFailurePolicy.rules")) failure_rules.push_back(ParseFailureRule(rule));
  for (const Json& rule : ListAt(spec, "successPolicy.rules")) {
    JobSuccessRule& made = success_rules.emplace_back();
    if (Has(rule, "succeededIndexes")) {
      made.indexes.emplace();
      (void)IndexSet::Parse(StringAt(rule, "succeededIndexes"), completions.value_or(0), &*made.indexes);
    }
    made.count = MaybeInt(rule, "succeededCount");
  }
  status = JobStatus(At(job, "status"), completions.value_or(0));
}

Time JobView::finished_at() const {
  const JobCondition* end = status.Is("Complete") ? status.Find("Complete") : status.Find("Failed");
  return end->transition;
}

}  // namespace wherry
