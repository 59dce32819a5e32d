#include "core/scheduler/node_selection.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/kinds/taints.h"
#include "core/runtime/object_view.h"
#include "core/scheduler/snapshot.h"

namespace wherry {
namespace {

using Op = NodeRequirement::Op;

constexpr std::pair<std::string_view, Op> kOperators[] = {
    {"In", Op::kIn},      {"NotIn", Op::kNotIn}, {"Exists", Op::kExists}, {"DoesNotExist", Op::kDoesNotExist},
    {"Gt", Op::kGreater}, {"Lt", Op::kLess},
};

std::vector<NodeRequirement> ReadRequirements(const Json& term, const char* member) {
  std::vector<NodeRequirement> requirements;
  const Json* list = FindPath(term, member);
  if (list == nullptr || !list->is_array()) return requirements;
  for (const Json& item : *list) {
    NodeRequirement requirement;
    requirement.key = StringAt(item, "key");
    const std::string op = StringAt(item, "operator");
    for (const auto& [name, value] : kOperators) {
      if (name == op) requirement.op = value;
    }
    if (const Json* values = FindPath(item, "values"); values != nullptr && values->is_array()) {
      for (const Json& value : *values) {
        if (value.is_string()) requirement.values.push_back(value.get<std::string>());
      }
    }
    requirements.push_back(std::move(requirement));
  }
  return requirements;
}

NodeTerm ReadTerm(const Json& term) {
  return {ReadRequirements(term, "matchExpressions"), ReadRequirements(term, "matchFields")};
}

}  // namespace

NodeSelection ReadNodeSelection(const Json& pod_spec) {
  NodeSelection selection;
  if (const Json* labels = FindPath(pod_spec, "nodeSelector"); labels != nullptr && labels->is_object()) {
    for (const auto& [key, value] : labels->items()) {
      if (value.is_string()) selection.labels.emplace_back(key, value.get<std::string>());
    }
  }
  const Json* required = FindPath(pod_spec, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");
  if (required == nullptr || !required->is_object()) return selection;
  selection.has_terms = true;
  const Json* terms = FindPath(*required, "nodeSelectorTerms");
  if (terms == nullptr || !terms->is_array()) return selection;
  for (const Json& term : *terms) selection.terms.push_back(ReadTerm(term));
  return selection;
}

std::vector<PreferredNodeTerm> ReadPreferredNodeTerms(const Json& pod_spec) {
  std::vector<PreferredNodeTerm> preferred;
  const Json* list = FindPath(pod_spec, "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution");
  if (list == nullptr || !list->is_array()) return preferred;
  for (const Json& item : *list) {
    const Json* term = FindPath(item, "preference");
    if (term != nullptr) preferred.push_back({IntAt(item, "weight"), ReadTerm(*term)});
  }
  return preferred;
}

CompiledNodeTerm::CompiledNodeTerm(const NodeTerm& term, const Symbols& symbols) : symbols_(&symbols) {
  for (const NodeRequirement& field : term.fields) requirements_.push_back(Compile(field, true, symbols));
  for (const NodeRequirement& expression : term.expressions)
    requirements_.push_back(Compile(expression, false, symbols));
}

CompiledNodeTerm::Requirement CompiledNodeTerm::Compile(const NodeRequirement& requirement, bool is_name,
                                                        const Symbols& symbols) {
  Requirement compiled{requirement.op, is_name, symbols.Find(requirement.key), {}, 0, true};
  if (requirement.op == Op::kGreater || requirement.op == Op::kLess) {
    const std::optional<int64_t> bound =
        requirement.values.size() == 1 ? LabelInteger(requirement.values[0]) : std::nullopt;
    compiled.valid = bound.has_value();
    compiled.bound = bound.value_or(0);
    return compiled;
  }
  for (const std::string& value : requirement.values) {
    if (const Symbols::Symbol symbol = symbols.Find(value); symbol != Symbols::kUnknown)
      compiled.values.push_back(symbol);
  }
  return compiled;
}

bool CompiledNodeTerm::Holds(const Requirement& requirement, const NodeInfo& node) const {
  const Symbols::Symbol value = requirement.is_name ? node.name_symbol : node.label(requirement.key);
  const bool present = value != Symbols::kUnknown;
  auto listed = [&] {
    return std::find(requirement.values.begin(), requirement.values.end(), value) != requirement.values.end();
  };
  switch (requirement.op) {
    case Op::kIn:
      return present && listed();
    case Op::kNotIn:
      return !present || !listed();
    case Op::kExists:
      return present;
    case Op::kDoesNotExist:
      return !present;
    case Op::kGreater:
    case Op::kLess:
      break;
  }
  if (!present || !requirement.valid) return false;
  const std::optional<int64_t> number = LabelInteger(symbols_->text(value));
  if (!number) return false;
  return requirement.op == Op::kGreater ? *number > requirement.bound : *number < requirement.bound;
}

bool CompiledNodeTerm::Matches(const NodeInfo& node) const {
  if (requirements_.empty()) return false;
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const Requirement& requirement) { return Holds(requirement, node); });
}

bool CompiledNodeTerm::TiedTo(const NodeTerm& term, std::vector<std::string>& names) {
  bool tied = false;
  for (const NodeRequirement& field : term.fields) {
    if (field.key != "metadata.name" || field.op != Op::kIn) continue;
    if (!tied) {
      names = field.values;
      tied = true;
      continue;
    }
    std::erase_if(names, [&](const std::string& name) {
      return std::find(field.values.begin(), field.values.end(), name) == field.values.end();
    });
  }
  return tied;
}

CompiledNodeSelection::CompiledNodeSelection(const NodeSelection& selection, const Symbols& symbols)
    : has_terms_(selection.has_terms) {
  for (const auto& [key, value] : selection.labels) {
    labels_.emplace_back(symbols.Find(key), symbols.Find(value));
    if (labels_.back().second == Symbols::kUnknown) impossible_ = true;
  }
  for (const NodeTerm& term : selection.terms) terms_.emplace_back(term, symbols);
}

bool CompiledNodeSelection::Matches(const NodeInfo& node) const {
  if (impossible_) return false;
  for (const auto& [key, value] : labels_) {
    if (node.label(key) != value) return false;
  }
  if (!has_terms_) return true;
  return std::any_of(terms_.begin(), terms_.end(), [&](const CompiledNodeTerm& term) { return term.Matches(node); });
}

}  // namespace wherry
