#include <nlohmann/json.hpp>
#include <set>

#include "core/kinds/fields.h"
#include "core/kinds/names.h"
#include "core/kinds/rules.h"

namespace wherry::rules {
namespace {

void CheckNodeRequirement(const Json& r, const std::string& path, Refusals& out) {
  const std::string& op = StringAt(r, "operator");
  const size_t values = ListAt(r, "values").size();
  const std::string at = Child(path, "values");
  if (op == "In" || op == "NotIn") {
    if (values == 0) out.Add(Required(at, "must be specified when `operator` is 'In' or 'NotIn'"));
  } else if (op == "Exists" || op == "DoesNotExist") {
    if (values > 0) out.Add(Forbidden(at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
  } else if (op == "Gt" || op == "Lt") {
    if (values != 1) out.Add(Required(at, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
  } else {
    out.Add(Invalid(Child(path, "operator"), op, "not a valid selector operator"));
  }
  out.AddIf(Child(path, "key"), StringAt(r, "key"), CheckQualifiedName(StringAt(r, "key")));
}

void CheckNodeField(const Json& r, const std::string& path, Refusals& out) {
  const std::string& op = StringAt(r, "operator");
  if (op != "In" && op != "NotIn") {
    out.Add(Invalid(Child(path, "operator"), op, "not a valid selector operator"));
  } else if (ListAt(r, "values").size() != 1) {
    out.Add(Required(Child(path, "values"),
                     "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"));
  }
  if (StringAt(r, "key") != "metadata.name") {
    out.Add(Invalid(Child(path, "key"), StringAt(r, "key"), "not a valid field selector key"));
  }
}

void CheckNodeTerm(const Json& term, const std::string& path, Refusals& out) {
  const auto& labels = ListAt(term, "matchExpressions");
  for (size_t i = 0; i < labels.size(); ++i)
    CheckNodeRequirement(labels[i], Item(Child(path, "matchExpressions"), i), out);
  const auto& fields = ListAt(term, "matchFields");
  for (size_t i = 0; i < fields.size(); ++i) CheckNodeField(fields[i], Item(Child(path, "matchFields"), i), out);
}

void CheckWeight(const Json& term, const std::string& path, Refusals& out) {
  const int64_t weight = IntAt(term, "weight");
  if (weight < 1 || weight > 100) out.Add(Invalid(Child(path, "weight"), weight, "must be in the range 1-100"));
}

void CheckNodeAffinity(const Json& affinity, const std::string& path, Refusals& out) {
  static constexpr std::string_view kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
  static constexpr std::string_view kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";
  if (Has(affinity, kRequired)) CheckNodeSelector(At(affinity, kRequired), Child(path, kRequired), out);
  const auto& preferred = ListAt(affinity, kPreferred);
  for (size_t i = 0; i < preferred.size(); ++i) {
    const std::string at = Item(Child(path, kPreferred), i);
    CheckWeight(preferred[i], at, out);
    CheckNodeTerm(At(preferred[i], "preference"), Child(at, "preference"), out);
  }
}

void CheckTopologyKey(const Json& object, const std::string& path, Refusals& out) {
  const std::string& key = StringAt(object, "topologyKey");
  if (key.empty()) {
    out.Add(Required(Child(path, "topologyKey"), "can not be empty"));
  } else {
    out.AddIf(Child(path, "topologyKey"), key, CheckQualifiedName(key));
  }
}

void CheckPodTerm(const Json& term, const std::string& path, Refusals& out) {
  CheckLabelSelector(At(term, "labelSelector"), Child(path, "labelSelector"), out);
  CheckLabelSelector(At(term, "namespaceSelector"), Child(path, "namespaceSelector"), out);
  const auto& namespaces = ListAt(term, "namespaces");
  for (size_t i = 0; i < namespaces.size(); ++i) {
    if (!namespaces[i].is_string()) continue;
    out.AddIf(Item(Child(path, "namespaces"), i), namespaces[i],
              CheckDns1123Label(namespaces[i].get_ref<const std::string&>()));
  }
  CheckTopologyKey(term, path, out);
}

void CheckPodAffinity(const Json& affinity, const std::string& path, Refusals& out) {
  const auto& required = ListAt(affinity, "requiredDuringSchedulingIgnoredDuringExecution");
  for (size_t i = 0; i < required.size(); ++i) {
    CheckPodTerm(required[i], Item(Child(path, "requiredDuringSchedulingIgnoredDuringExecution"), i), out);
  }
  const auto& preferred = ListAt(affinity, "preferredDuringSchedulingIgnoredDuringExecution");
  for (size_t i = 0; i < preferred.size(); ++i) {
    const std::string at = Item(Child(path, "preferredDuringSchedulingIgnoredDuringExecution"), i);
    CheckWeight(preferred[i], at, out);
    CheckPodTerm(At(preferred[i], "podAffinityTerm"), Child(at, "podAffinityTerm"), out);
  }
}

void CheckSpread(const Json& spec, const std::string& path, Refusals& out) {
  std::set<std::pair<std::string, std::string>> pairs;
  const auto& constraints = ListAt(spec, "topologySpreadConstraints");
  for (size_t i = 0; i < constraints.size(); ++i) {
    const Json& c = constraints[i];
    const std::string at = Item(Child(path, "topologySpreadConstraints"), i);
    const std::string& key = StringAt(c, "topologyKey");
    const std::string& when = StringAt(c, "whenUnsatisfiable");
    if (IntAt(c, "maxSkew") <= 0) {
      out.Add(Invalid(Child(at, "maxSkew"), IntAt(c, "maxSkew"), "must be greater than zero"));
    }
    CheckTopologyKey(c, at, out);
    if (when != "DoNotSchedule" && when != "ScheduleAnyway") {
      out.Add(NotSupported(Child(at, "whenUnsatisfiable"), when, {"DoNotSchedule", "ScheduleAnyway"}));
    }
    if (!pairs.emplace(key, when).second) out.Add(Duplicate(at, "{" + key + ", " + when + "}"));
    if (Has(c, "minDomains") && when != "DoNotSchedule") {
      out.Add(Invalid(Child(at, "minDomains"), At(c, "minDomains"),
                      "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not " + when));
    }
    CheckLabelSelector(At(c, "labelSelector"), Child(at, "labelSelector"), out);
  }
}

}  // namespace

void CheckTolerations(const Json& tolerations, const std::string& path, Refusals& out) {
  if (!tolerations.is_array()) return;
  for (size_t i = 0; i < tolerations.size(); ++i) {
    const Json& t = tolerations[i];
    const std::string at = Item(path, i);
    const std::string& key = StringAt(t, "key");
    const std::string& op = StringAt(t, "operator");
    const std::string& value = StringAt(t, "value");
    const std::string& effect = StringAt(t, "effect");
    if (!key.empty()) out.AddIf(Child(at, "key"), key, CheckQualifiedName(key));
    if (key.empty() && op != "Exists") {
      out.Add(Invalid(Child(at, "operator"), op,
                      "operator must be Exists when `key` is empty, which means \"match all values and all keys\""));
    }
    if (Has(t, "tolerationSeconds") && effect != "NoExecute") {
      out.Add(Invalid(Child(at, "effect"), effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"));
    }
    if (op.empty() || op == "Equal") {
      out.AddIf(Child(at, "operator"), value, CheckLabelValue(value));
    } else if (op == "Exists") {
      if (!value.empty()) out.Add(Invalid(Child(at, "operator"), t, "value must be empty when `operator` is 'Exists'"));
    } else if (op != "Gt" && op != "Lt") {
      out.Add(NotSupported(Child(at, "operator"), op, {"Equal", "Exists"}));
    }
    if (!effect.empty() && effect != "NoSchedule" && effect != "PreferNoSchedule" && effect != "NoExecute") {
      out.Add(NotSupported(Child(at, "effect"), effect, {"NoExecute", "NoSchedule", "PreferNoSchedule"}));
    }
  }
}

void CheckNodeSelector(const Json& selector, const std::string& path, Refusals& out) {
  const std::string at = Child(path, "nodeSelectorTerms");
  const auto& terms = ListAt(selector, "nodeSelectorTerms");
  if (terms.empty()) out.Add(Required(at, "must have at least one node selector term"));
  for (size_t i = 0; i < terms.size(); ++i) CheckNodeTerm(terms[i], Item(at, i), out);
}

void CheckPlacement(const Json& spec, const std::string& path, Refusals& out) {
  CheckLabels(At(spec, "nodeSelector"), Child(path, "nodeSelector"), out);
  CheckTolerations(At(spec, "tolerations"), Child(path, "tolerations"), out);
  const std::string affinity = Child(path, "affinity");
  CheckNodeAffinity(At(spec, "affinity.nodeAffinity"), Child(affinity, "nodeAffinity"), out);
  CheckPodAffinity(At(spec, "affinity.podAffinity"), Child(affinity, "podAffinity"), out);
  CheckPodAffinity(At(spec, "affinity.podAntiAffinity"), Child(affinity, "podAntiAffinity"), out);
  CheckSpread(spec, path, out);
}

}  // namespace wherry::rules
