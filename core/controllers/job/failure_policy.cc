#include "core/controllers/job/failure_policy.h"

#include <algorithm>

namespace wherry {
namespace {

using Action = PodFailureRule::Action;

const char* ActionName(Action action) {
  switch (action) {
    case Action::kFailJob:
      return "FailJob";
    case Action::kFailIndex:
      return "FailIndex";
    case Action::kIgnore:
      return "Ignore";
    case Action::kCount:
      return "Count";
  }
  return "";
}

// What in the pod the rule matches, for people; "" when nothing does.
std::string Match(const PodFailureRule& rule, const std::string& pod_key, const JobPodView& pod) {
  if (rule.by_exit_codes) {
    for (const auto& [container, code] : pod.exit_codes) {
      if (!rule.container.empty() && rule.container != container) continue;
      const bool listed = std::find(rule.values.begin(), rule.values.end(), code) != rule.values.end();
      if (listed == rule.in) {
        return "Container " + container + " for pod " + pod_key + " failed with exit code " + std::to_string(code);
      }
    }
    return {};
  }
  for (const auto& wanted : rule.conditions) {
    if (std::find(pod.conditions.begin(), pod.conditions.end(), wanted) != pod.conditions.end()) {
      return "Pod " + pod_key + " has condition " + wanted.first;
    }
  }
  return {};
}

}  // namespace

FailureVerdict JudgeFailure(const JobView& job, std::string_view pod_name, const JobPodView& pod) {
  FailureVerdict verdict;
  const std::string pod_key = job.ns + "/" + std::string(pod_name);
  for (size_t i = 0; i < job.failure_rules.size(); ++i) {
    const PodFailureRule& rule = job.failure_rules[i];
    const std::string match = Match(rule, pod_key, pod);
    if (match.empty()) continue;
    if (rule.action == Action::kIgnore) verdict.counts = false;
    if (rule.action == Action::kFailIndex) verdict.fails_index = true;
    if (rule.action == Action::kFailJob) {
      verdict.fails_job = match + " matching " + ActionName(rule.action) + " rule at index " + std::to_string(i);
    }
    break;
  }
  return verdict;
}

}  // namespace wherry
