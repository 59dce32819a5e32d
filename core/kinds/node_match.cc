#include "core/kinds/node_match.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/kinds/fields.h"

namespace wherry {
namespace {

// One requirement against the node's value of its key (null: the node has none).
bool MatchesRequirement(const Json& requirement, const std::string* value) {
  const std::string& op = StringAt(requirement, "operator");
  const auto& values = ListAt(requirement, "values");
  const auto listed = [&] {
    return std::any_of(values.begin(), values.end(), [&](const Json& v) { return v.is_string() && v == *value; });
  };
  if (op == "In") return value != nullptr && listed();
  if (op == "NotIn") return value == nullptr || !listed();
  if (op == "Exists") return value != nullptr;
  if (op == "DoesNotExist") return value == nullptr;
  if ((op != "Gt" && op != "Lt") || value == nullptr || values.size() != 1 || !values[0].is_string()) return false;
  const std::optional<int64_t> have = LabelInteger(*value),
                               want = LabelInteger(values[0].get_ref<const std::string&>());
  if (!have || !want) return false;
  return op == "Gt" ? *have > *want : *have < *want;
}

const std::string* Label(const Json& node, const std::string& key) {
  const auto& labels = MapAt(node, "metadata.labels");
  const auto it = labels.find(key);
  return it == labels.end() ? nullptr : it->second.get_ptr<const std::string*>();
}

bool AllMatch(const Json& term, const Json& node) {
  for (const Json& r : ListAt(term, "matchExpressions")) {
    if (!MatchesRequirement(r, Label(node, StringAt(r, "key")))) return false;
  }
  for (const Json& r : ListAt(term, "matchFields")) {
    const std::string& name = StringAt(node, "metadata.name");
    if (StringAt(r, "key") != "metadata.name" || !MatchesRequirement(r, &name)) return false;
  }
  return true;
}

bool EmptyTerm(const Json& term) {
  return ListAt(term, "matchExpressions").empty() && ListAt(term, "matchFields").empty();
}

}  // namespace

bool MatchesNodeSelector(const Json& node_selector, const Json& node) {
  const auto& terms = ListAt(node_selector, "nodeSelectorTerms");
  return std::any_of(terms.begin(), terms.end(), [&](const Json& t) { return !EmptyTerm(t) && AllMatch(t, node); });
}

bool MatchesNodeAffinity(const Json& pod_spec, const Json& node) {
  for (const auto& [key, value] : MapAt(pod_spec, "nodeSelector")) {
    const std::string* label = Label(node, key);
    if (label == nullptr || value != *label) return false;
  }
  const Json& required = At(pod_spec, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");
  return required.is_null() || MatchesNodeSelector(required, node);
}

int64_t PreferredNodeScore(const Json& pod_spec, const Json& node) {
  int64_t score = 0;
  for (const Json& term : ListAt(pod_spec, "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution")) {
    if (AllMatch(At(term, "preference"), node)) score += IntAt(term, "weight");
  }
  return score;
}

}  // namespace wherry
