// ResourceQuota and LimitRange: which amounts may be limited, and how the bounds of a range must lie.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "core/kinds/fields.h"
#include "core/kinds/names.h"
#include "core/kinds/pod_rules.h"
#include "core/kinds/rules.h"

namespace wherry::rules {
namespace {

constexpr std::string_view kQuotaScopes[] = {"Terminating",          "NotTerminating", "BestEffort",
                                             "NotBestEffort",        "PriorityClass",  "CrossNamespacePodAffinity",
                                             "VolumeAttributesClass"};

// What is counted in whole objects.
bool IsCount(std::string_view name) {
  static constexpr std::string_view kCounts[] = {"pods",
                                                 "services",
                                                 "services.loadbalancers",
                                                 "services.nodeports",
                                                 "replicationcontrollers",
                                                 "resourcequotas",
                                                 "secrets",
                                                 "configmaps",
                                                 "persistentvolumeclaims"};
  return name.starts_with("count/") || std::find(std::begin(kCounts), std::end(kCounts), name) != std::end(kCounts);
}

bool IsStandardQuota(std::string_view name) {
  static constexpr std::string_view kAmounts[] = {"cpu",
                                                  "memory",
                                                  "ephemeral-storage",
                                                  "requests.cpu",
                                                  "requests.memory",
                                                  "requests.ephemeral-storage",
                                                  "requests.storage",
                                                  "limits.cpu",
                                                  "limits.memory",
                                                  "limits.ephemeral-storage"};
  return IsCount(name) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-") ||
         std::find(std::begin(kAmounts), std::end(kAmounts), name) != std::end(kAmounts);
}

void CheckWhole(const Json& value, const std::string& path, Refusals& out) {
  if (!value.is_string()) return;
  const Result<Quantity> parsed = Quantity::Parse(value.get_ref<const std::string&>());
  if (parsed.ok() && parsed->milli() % 1000 != 0) out.Add(Invalid(path, value, "must be an integer"));
}

void CheckHard(const Json& quota, const std::string& list, Refusals& out) {
  for (const auto& [name, amount] : MapAt(quota, list)) {
    const std::string path = Key(list, name);
    out.AddIf(path, name, CheckQualifiedName(name));
    if (name.find('/') == std::string::npos && !IsStandardQuota(name)) {
      out.Add(Invalid(path, name, "must be a standard resource for quota"));
    }
    CheckQuantityNotNegative(amount, path, out);
    if (IsCount(name)) CheckWhole(amount, path, out);
  }
}

bool Conflicts(const std::set<std::string>& scopes) {
  return (scopes.contains("Terminating") && scopes.contains("NotTerminating")) ||
         (scopes.contains("BestEffort") && scopes.contains("NotBestEffort"));
}

// Best-effort pods state nothing that could be added up, and priority is a matter of pods.
bool MayLimit(const std::string& scope, const std::string& resource) {
  const bool pods = resource == "pods" || resource == "count/pods";
  if (scope == "BestEffort") return pods;
  const bool of_pods =
      pods || resource == "cpu" || resource == "memory" || resource == "ephemeral-storage" ||
      ((resource.starts_with("requests.") || resource.starts_with("limits.")) && resource != "requests.storage");
  if (scope == "VolumeAttributesClass") return true;
  return of_pods;
}

void CheckScope(const Json& quota, const Json& scope, const std::string& path, Refusals& out) {
  if (!scope.is_string()) return;
  const auto& name = scope.get_ref<const std::string&>();
  if (std::find(std::begin(kQuotaScopes), std::end(kQuotaScopes), name) == std::end(kQuotaScopes)) {
    out.Add(Invalid(path, scope, "unsupported scope"));
    return;
  }
  for (const auto& [resource, amount] : MapAt(quota, "spec.hard")) {
    if (!MayLimit(name, resource)) {
      out.Add(Invalid(path, scope, "unsupported scope applied to resource"));
      return;
    }
  }
}

void CheckScopeSelector(const Json& quota, Refusals& out) {
  const std::string list = "spec.scopeSelector.matchExpressions";
  const auto& expressions = ListAt(quota, list);
  std::set<std::string> names;
  for (size_t i = 0; i < expressions.size(); ++i) {
    const std::string path = Item(list, i);
    const std::string &name = StringAt(expressions[i], "scopeName"), &op = StringAt(expressions[i], "operator");
    CheckScope(quota, At(expressions[i], "scopeName"), Child(path, "scopeName"), out);
    names.insert(name);
    const bool values = !ListAt(expressions[i], "values").empty();
    if (name != "PriorityClass" && name != "VolumeAttributesClass" && op != "Exists") {
      out.Add(Invalid(Child(path, "operator"), op,
                      "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, "
                      "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
                      "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"));
    }
    if ((op == "In" || op == "NotIn") && !values) {
      out.Add(Required(Child(path, "values"),
                       "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"));
    } else if ((op == "Exists" || op == "DoesNotExist") && values) {
      out.Add(Invalid(Child(path, "values"), At(expressions[i], "values"),
                      "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"));
    } else if (op != "In" && op != "NotIn" && op != "Exists" && op != "DoesNotExist") {
      out.Add(Invalid(Child(path, "operator"), op, "not a valid selector operator"));
    }
  }
  if (Conflicts(names)) out.Add(Invalid("spec.scopeSelector", At(quota, "spec.scopeSelector"), "conflicting scopes"));
}

// Of two bounds the lower must not lie above the upper.
void CheckOrder(const Json& item, const std::string& path, const char* low, const char* high, const char* low_name,
                const char* high_name, Refusals& out) {
  const ResourceList lower = ParseResources(At(item, low)), upper = ParseResources(At(item, high));
  for (const auto& [name, value] : lower) {
    auto it = upper.find(name);
    if (it == upper.end() || value.Compare(it->second) <= 0) continue;
    out.Add(Invalid(Key(Child(path, low), name), value.ToString(),
                    std::string(low_name) + " value " + value.ToString() + " is greater than " + high_name + " value " +
                        it->second.ToString()));
  }
}

void CheckLimitItem(const Json& item, const std::string& path, Refusals& out) {
  const std::string& type = StringAt(item, "type");
  if (type.empty()) return;
  if (type != "Pod" && type != "Container" && type != "PersistentVolumeClaim") {
    out.AddIf(Child(path, "type"), type, CheckQualifiedName(type));
    if (type.find('/') == std::string::npos) {
      out.Add(Invalid(Child(path, "type"), type, "must be a standard limit type or fully qualified"));
    }
  }
  for (const char* list : {"max", "min", "default", "defaultRequest", "maxLimitRequestRatio"}) {
    for (const auto& [name, amount] : MapAt(item, list)) {
      const std::string key = Key(Child(path, list), name);
      out.AddIf(key, name, CheckQualifiedName(name));
      CheckQuantityNotNegative(amount, key, out);
    }
  }
  if (type == "Pod") {
    for (const char* list : {"default", "defaultRequest"}) {
      if (!MapAt(item, list).empty()) {
        out.Add(Forbidden(Child(path, list), "may not be specified when `type` is 'Pod'"));
      }
    }
  }
  if (type == "PersistentVolumeClaim" && !MapAt(item, "min").contains("storage") &&
      !MapAt(item, "max").contains("storage")) {
    out.Add(Required(Child(path, "limits"),
                     "either minimum or maximum storage value is required, but neither was provided"));
  }
  CheckOrder(item, path, "min", "max", "min", "max", out);
  CheckOrder(item, path, "min", "defaultRequest", "min", "default request", out);
  CheckOrder(item, path, "min", "default", "min", "default", out);
  CheckOrder(item, path, "defaultRequest", "max", "default request", "max", out);
  CheckOrder(item, path, "defaultRequest", "default", "default request", "default limit", out);
  CheckOrder(item, path, "default", "max", "default", "max", out);
  for (const auto& [name, ratio] : ParseResources(At(item, "maxLimitRequestRatio"))) {
    const std::string key = Key(Child(path, "maxLimitRequestRatio"), name);
    if (ratio.Compare(Quantity::FromValue(1)) < 0) {
      out.Add(Invalid(key, ratio.ToString(), "ratio " + ratio.ToString() + " is less than 1"));
      continue;
    }
    const ResourceList least = ParseResources(At(item, "min")), most = ParseResources(At(item, "max"));
    if (!least.contains(name) || !most.contains(name) || least.at(name).is_zero()) continue;
    const double widest = static_cast<double>(most.at(name).milli()) / static_cast<double>(least.at(name).milli());
    if (static_cast<double>(ratio.milli()) / 1000 > widest) {
      out.Add(Invalid(key, ratio.ToString(),
                      "ratio " + ratio.ToString() + " is greater than max/min = " + std::to_string(widest)));
    }
  }
}

}  // namespace

void ValidateResourceQuota(const Json& quota, const Json* old, FieldErrors& errors) {
  if (Unchanged(quota, old, "spec")) return;
  Refusals out(errors);
  CheckHard(quota, "spec.hard", out);
  const auto& scopes = ListAt(quota, "spec.scopes");
  std::set<std::string> names;
  for (size_t i = 0; i < scopes.size(); ++i) {
    CheckScope(quota, scopes[i], "spec.scopes", out);
    if (scopes[i].is_string()) names.insert(scopes[i].get<std::string>());
  }
  if (Conflicts(names)) out.Add(Invalid("spec.scopes", At(quota, "spec.scopes"), "conflicting scopes"));
  CheckScopeSelector(quota, out);
  if (old != nullptr) CheckImmutable(quota, *old, "spec.scopes", out);
}

// Containers: a missing default is the largest that is allowed, a missing default request the default, or the least.
void DefaultLimitRange(Json& range) {
  if (!At(range, "spec.limits").is_array()) return;
  for (Json& item : range["spec"]["limits"]) {
    if (!item.is_object() || StringAt(item, "type") != "Container") continue;
    auto fill = [&item](const char* list, const char* from) {
      const std::map<std::string, Json, std::less<>> values = MapAt(item, from);
      for (const auto& [name, value] : values) {
        if (!MapAt(item, list).contains(name)) item[list][name] = value;
      }
    };
    fill("default", "max");
    fill("defaultRequest", "default");
    fill("defaultRequest", "min");
  }
}

void ValidateLimitRange(const Json& range, const Json* old, FieldErrors& errors) {
  if (Unchanged(range, old, "spec")) return;
  Refusals out(errors);
  const auto& limits = ListAt(range, "spec.limits");
  std::set<std::string> types;
  for (size_t i = 0; i < limits.size(); ++i) {
    const std::string path = Item("spec.limits", i);
    const std::string& type = StringAt(limits[i], "type");
    if (!types.insert(type).second) {
      out.Add(Duplicate(Child(path, "type"), type));
    }
    CheckLimitItem(limits[i], path, out);
  }
}

}  // namespace wherry::rules
