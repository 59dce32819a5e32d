#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/kinds/fields.h"
#include "core/kinds/index_set.h"
#include "core/kinds/names.h"
#include "core/kinds/rules.h"

// Which failures a Job forgives (KEP-3329) and when it has succeeded early (KEP-3998): spec.podFailurePolicy and
// spec.successPolicy.
namespace wherry::rules {
namespace {

constexpr size_t kMaxRules = 20, kMaxExitCodes = 255, kMaxPatterns = 20;

void CheckExitCodes(const Json& requirement, const std::string& path, const std::set<std::string>& containers,
                    Refusals& out) {
  const std::string& op = StringAt(requirement, "operator");
  if (op.empty()) {
    out.Add(Required(Child(path, "operator"), "valid values: [\"In\" \"NotIn\"]"));
  } else if (op != "In" && op != "NotIn") {
    out.Add(NotSupported(Child(path, "operator"), op, {"In", "NotIn"}));
  }
  if (Has(requirement, "containerName") && !containers.contains(StringAt(requirement, "containerName"))) {
    out.Add(Invalid(Child(path, "containerName"), At(requirement, "containerName"),
                    "must be one of the container or initContainer names in the pod template"));
  }
  const std::vector<Json>& values = ListAt(requirement, "values");
  const std::string values_path = Child(path, "values");
  if (values.empty()) {
    out.Add(Invalid(values_path, Json::array(), "at least one value is required"));
  } else if (values.size() > kMaxExitCodes) {
    out.Add(TooMany(values_path, values.size(), kMaxExitCodes));
  }
  std::set<int64_t> seen;
  bool ordered = true;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i].is_number_integer()) return;  // the schema's to refuse
    const int64_t value = values[i].get<int64_t>();
    if (op == "In" && value == 0) {
      out.Add(Invalid(Item(values_path, i), 0, "must not be 0 for the In operator"));
    } else if (!seen.insert(value).second) {
      out.Add(Duplicate(Item(values_path, i), value));
    } else if (*seen.rbegin() != value) {
      ordered = false;
    }
  }
  if (!ordered) out.Add(Invalid(values_path, At(requirement, "values"), "must be ordered"));
}

void CheckPatterns(const std::vector<Json>& patterns, const std::string& path, Refusals& out) {
  if (patterns.size() > kMaxPatterns) out.Add(TooMany(path, patterns.size(), kMaxPatterns));
  for (size_t i = 0; i < patterns.size(); ++i) {
    const std::string& type = StringAt(patterns[i], "type");
    out.AddIf(Child(Item(path, i), "type"), type, CheckQualifiedName(type));
  }
}

void CheckFailureRule(const Json& rule, const std::string& path, const std::set<std::string>& containers,
                      bool per_index, Refusals& out) {
  const std::string& action = StringAt(rule, "action");
  if (action.empty()) {
    out.Add(Required(Child(path, "action"), "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]"));
  } else if (action == "FailIndex" && !per_index) {
    out.Add(Invalid(Child(path, "action"), action, "requires the backoffLimitPerIndex to be set"));
  }
  const bool codes = Has(rule, "onExitCodes"), conditions = !ListAt(rule, "onPodConditions").empty();
  if (codes) CheckExitCodes(At(rule, "onExitCodes"), Child(path, "onExitCodes"), containers, out);
  if (conditions) CheckPatterns(ListAt(rule, "onPodConditions"), Child(path, "onPodConditions"), out);
  if (codes && conditions) {
    out.Add(Invalid(path, rule, "specifying both OnExitCodes and OnPodConditions is not supported"));
  } else if (!codes && !conditions) {
    out.Add(Invalid(path, rule, "specifying one of OnExitCodes and OnPodConditions is required"));
  }
}

void CheckSuccessRule(const Json& rule, const std::string& path, int64_t completions, Refusals& out) {
  const bool indexes = Has(rule, "succeededIndexes"), count = Has(rule, "succeededCount");
  if (!indexes && !count) {
    out.Add(Required(path, "at least one of succeededCount or succeededIndexes must be specified"));
    return;
  }
  IndexSet wanted;
  if (indexes) {
    const std::string& text = StringAt(rule, "succeededIndexes");
    std::string wrong = IndexSet::Parse(text, INT64_MAX, &wanted);
    if (wrong.empty() && text.empty()) wrong = "succeededIndexes must not be empty";
    if (wrong.empty() && wanted.last() >= completions)
      wrong = "too large index: \"" + std::to_string(wanted.last()) + "\"";
    if (!wrong.empty()) {
      out.Add(Invalid(Child(path, "succeededIndexes"), text, "error parsing succeededIndexes: " + wrong));
      return;
    }
  }
  if (!count) return;
  const int64_t value = IntAt(rule, "succeededCount");
  const std::string count_path = Child(path, "succeededCount");
  if (value <= 0) {
    out.Add(Invalid(count_path, value, "must be greater than 0"));
  } else if (value > completions) {
    out.Add(Invalid(
        count_path, value,
        "must be less than or equal to " + std::to_string(completions) + " (the number of specified completions)"));
  } else if (indexes && value > wanted.size()) {
    out.Add(Invalid(count_path, value,
                    "must be less than or equal to " + std::to_string(wanted.size()) +
                        " (the number of indexes in the specified succeededIndexes field)"));
  }
}

}  // namespace

void CheckPodFailurePolicy(const Json& spec, const std::string& path, Refusals& out) {
  std::set<std::string> containers;
  for (const char* list : {"template.spec.containers", "template.spec.initContainers"}) {
    for (const Json& container : ListAt(spec, list)) containers.insert(StringAt(container, "name"));
  }
  const std::vector<Json>& rules = ListAt(spec, "podFailurePolicy.rules");
  const std::string rules_path = Child(path, "podFailurePolicy.rules");
  if (rules.size() > kMaxRules) out.Add(TooMany(rules_path, rules.size(), kMaxRules));
  for (size_t i = 0; i < rules.size(); ++i) {
    CheckFailureRule(rules[i], Item(rules_path, i), containers, Has(spec, "backoffLimitPerIndex"), out);
  }
  if (Has(spec, "podReplacementPolicy") && StringAt(spec, "podReplacementPolicy") != "Failed") {
    out.Add(NotSupported(Child(path, "podReplacementPolicy"), At(spec, "podReplacementPolicy"), {"Failed"}));
  }
}

void CheckSuccessPolicy(const Json& spec, const std::string& path, Refusals& out) {
  const std::string policy_path = Child(path, "successPolicy");
  if (StringAt(spec, "completionMode") != "Indexed") {
    out.Add(Invalid(policy_path, At(spec, "successPolicy"), "requires indexed completion mode"));
    return;
  }
  const std::vector<Json>& rules = ListAt(spec, "successPolicy.rules");
  const std::string rules_path = Child(policy_path, "rules");
  if (rules.empty()) {
    out.Add(Required(rules_path, "at least one rules must be specified when successPolicy is specified"));
  } else if (rules.size() > kMaxRules) {
    out.Add(TooMany(rules_path, rules.size(), kMaxRules));
  }
  for (size_t i = 0; i < rules.size(); ++i) {
    CheckSuccessRule(rules[i], Item(rules_path, i), IntAt(spec, "completions"), out);
  }
}

}  // namespace wherry::rules
