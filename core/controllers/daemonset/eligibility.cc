#include "core/controllers/daemonset/eligibility.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr char kRequired[] = "requiredDuringSchedulingIgnoredDuringExecution";

struct AutomaticToleration {
  const char* key;
  TaintEffect effect;
  bool host_network_only;
};
constexpr AutomaticToleration kAutomatic[] = {
    {kTaintNotReady, TaintEffect::kNoExecute, false},           {kTaintUnreachable, TaintEffect::kNoExecute, false},
    {kTaintDiskPressure, TaintEffect::kNoSchedule, false},      {kTaintMemoryPressure, TaintEffect::kNoSchedule, false},
    {kTaintPidPressure, TaintEffect::kNoSchedule, false},       {kTaintUnschedulable, TaintEffect::kNoSchedule, false},
    {kTaintNetworkUnavailable, TaintEffect::kNoSchedule, true},
};

std::optional<int64_t> ParseInt(const std::string& text) {
  int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace

void AddDaemonTolerations(Json& pod_spec) {
  Json& tolerations = pod_spec["tolerations"];
  if (!tolerations.is_array()) tolerations = Json::array();
  const bool host_network = BoolAt(pod_spec, "hostNetwork");
  for (const AutomaticToleration& automatic : kAutomatic) {
    if (automatic.host_network_only && !host_network) continue;
    const std::string effect(TaintEffectName(automatic.effect));
    Json made = {{"key", automatic.key}, {"operator", "Exists"}, {"effect", effect}};
    // One that is there with a time limit loses the limit.
    auto same = std::find_if(tolerations.begin(), tolerations.end(), [&](const Json& there) {
      return StringAt(there, "key") == automatic.key && StringAt(there, "operator") == "Exists" &&
             StringAt(there, "effect") == effect;
    });
    if (same == tolerations.end()) {
      tolerations.push_back(std::move(made));
    } else {
      *same = std::move(made);
    }
  }
}

void PinToNode(Json& pod_spec, const std::string& node) {
  Json& affinity = pod_spec["affinity"];
  if (!affinity.is_object()) affinity = Json::object();
  Json& node_affinity = affinity["nodeAffinity"];
  if (!node_affinity.is_object()) node_affinity = Json::object();
  const Json field = {{"key", "metadata.name"}, {"operator", "In"}, {"values", Json::array({node})}};
  const Json term = {{"matchFields", Json::array({field})}};
  node_affinity[kRequired] = {{"nodeSelectorTerms", Json::array({term})}};
}

std::vector<DaemonPlacement::Requirement> DaemonPlacement::ReadRequirements(const Json* list) {
  std::vector<Requirement> out;
  if (!list || !list->is_array()) return out;
  for (const Json& item : *list) {
    Requirement& made = out.emplace_back();
    made.key = StringAt(item, "key");
    made.op = StringAt(item, "operator");
    if (const Json* values = FindPath(item, "values"); values && values->is_array()) {
      for (const Json& value : *values) {
        if (value.is_string()) made.values.push_back(value.get<std::string>());
      }
    }
  }
  return out;
}

DaemonPlacement::DaemonPlacement(const Json& set) {
  const Json* template_spec = FindPath(set, "spec.template.spec");
  Json spec = template_spec && template_spec->is_object() ? *template_spec : Json::object();
  AddDaemonTolerations(spec);
  tolerations_ = ParseTolerations(spec["tolerations"]);
  node_name_ = StringAt(spec, "nodeName");
  Json decisive = {{"node", node_name_}, {"tolerations", spec["tolerations"]}};
  if (const Json* selector = FindPath(spec, "nodeSelector"); selector && selector->is_object()) {
    for (auto it = selector->begin(); it != selector->end(); ++it) {
      if (it->is_string()) selector_.emplace_back(it.key(), it->get<std::string>());
    }
    decisive["selector"] = *selector;
  }
  const Json* required = FindPath(spec, std::string("affinity.nodeAffinity.") + kRequired);
  if (required && required->is_object()) {
    has_terms_ = true;
    if (const Json* terms = FindPath(*required, "nodeSelectorTerms"); terms && terms->is_array()) {
      for (const Json& term : *terms) {
        terms_.push_back(
            {ReadRequirements(FindPath(term, "matchExpressions")), ReadRequirements(FindPath(term, "matchFields"))});
      }
    }
    decisive["required"] = *required;
  }
  fingerprint_ = Fnv1a64(decisive.dump());
}

bool DaemonPlacement::Requirement::Holds(const std::string* value) const {
  const bool among = value && std::find(values.begin(), values.end(), *value) != values.end();
  if (op == "In") return among;
  if (op == "NotIn") return !among;
  if (op == "Exists") return value != nullptr;
  if (op == "DoesNotExist") return value == nullptr;
  if (op != "Gt" && op != "Lt") return false;
  if (!value || values.size() != 1) return false;
  const std::optional<int64_t> have = ParseInt(*value), bound = ParseInt(values.front());
  return have && bound && (op == "Gt" ? *have > *bound : *have < *bound);
}

bool DaemonPlacement::Term::Matches(const NodeView& node) const {
  if (expressions.empty() && fields.empty()) return false;
  for (const Requirement& requirement : expressions) {
    if (!requirement.Holds(node.label(requirement.key))) return false;
  }
  for (const Requirement& requirement : fields) {
    if (!requirement.Holds(requirement.key == "metadata.name" ? &node.name : nullptr)) return false;
  }
  return true;
}

NodeVerdict DaemonPlacement::Judge(const NodeView& node) const {
  if (!node_name_.empty() && node_name_ != node.name) {
    return {false, false, "the template names the node " + node_name_};
  }
  for (const auto& [key, value] : selector_) {
    const std::string* have = node.label(key);
    if (!have || *have != value) return {false, false, "it does not match the node selector " + key + "=" + value};
  }
  if (has_terms_ && std::none_of(terms_.begin(), terms_.end(), [&](const Term& term) { return term.Matches(node); })) {
    return {false, false, "it does not match the required node affinity"};
  }
  const Taint* taint = FindUntolerated(node.taints, tolerations_, {TaintEffect::kNoExecute});
  if (taint) return {false, false, "it has the untolerated taint " + taint->ToString()};
  taint = FindUntolerated(node.taints, tolerations_, {TaintEffect::kNoSchedule});
  if (taint) return {false, true, "it has the untolerated taint " + taint->ToString()};
  return {};
}

}  // namespace wherry
