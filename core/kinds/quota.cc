#include "core/kinds/quota.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"

namespace wherry {
namespace {

constexpr std::string_view kClassInfix = ".storageclass.storage.k8s.io/";

void AddPod(const Json& pod, QuotaUse& use) {
  use.is_pod = true;
  use.ends_by_itself = Has(pod, "spec.activeDeadlineSeconds");
  use.best_effort = QosClass(pod) == "BestEffort";
  use.priority_class = StringAt(pod, "spec.priorityClassName");
  for (const char* kind : {"spec.affinity.podAffinity", "spec.affinity.podAntiAffinity"}) {
    const Json& affinity = At(pod, kind);
    auto far = [](const Json& term) { return !ListAt(term, "namespaces").empty() || Has(term, "namespaceSelector"); };
    for (const Json& term : ListAt(affinity, "requiredDuringSchedulingIgnoredDuringExecution")) {
      use.far_affinity |= far(term);
    }
    for (const Json& weighted : ListAt(affinity, "preferredDuringSchedulingIgnoredDuringExecution")) {
      use.far_affinity |= far(At(weighted, "podAffinityTerm"));
    }
  }
  // A pod that has ended holds nothing any more, though it still counts as an object.
  const std::string& phase = StringAt(pod, "status.phase");
  if (phase == "Succeeded" || phase == "Failed") return;
  use.amounts["pods"] = Quantity::FromValue(1);
  for (const auto& [name, amount] : PodRequests(pod)) {
    use.amounts["requests." + name] = amount;
    // The bare names of old stand for requests.
    if (name == "cpu" || name == "memory" || name == "ephemeral-storage" || name.starts_with("hugepages-")) {
      use.amounts[name] = amount;
    }
  }
  for (const auto& [name, amount] : PodLimits(pod)) use.amounts["limits." + name] = amount;
}

void AddService(const Json& service, QuotaUse& use) {
  use.amounts["services"] = Quantity::FromValue(1);
  const std::string& type = StringAt(service, "spec.type");
  const bool balanced = type == "LoadBalancer";
  if (balanced) use.amounts["services.loadbalancers"] = Quantity::FromValue(1);
  if (type == "NodePort" || (balanced && BoolAt(service, "spec.allocateLoadBalancerNodePorts", true))) {
    use.amounts["services.nodeports"] = Quantity::FromValue(static_cast<int64_t>(ListAt(service, "spec.ports").size()));
  }
}

void AddClaim(const Json& claim, QuotaUse& use) {
  const auto& annotations = MapAt(claim, "metadata.annotations");
  const auto old_style = annotations.find("volume.beta.kubernetes.io/storage-class");
  const std::string storage_class = old_style != annotations.end() && old_style->second.is_string()
                                        ? old_style->second.get<std::string>()
                                        : StringAt(claim, "spec.storageClassName");
  const ResourceList requests = ParseResources(At(claim, "spec.resources.requests"));
  const auto storage = requests.find("storage");
  std::vector<std::string> prefixes = {""};
  if (!storage_class.empty()) prefixes.push_back(storage_class + std::string(kClassInfix));
  for (const std::string& prefix : prefixes) {
    use.amounts[prefix + "persistentvolumeclaims"] = Quantity::FromValue(1);
    if (storage != requests.end()) use.amounts[prefix + "requests.storage"] = storage->second;
  }
}

// The objects that a quota's resource is counted over.
std::string CountedOver(const std::string& name) {
  static constexpr std::string_view kByName[] = {"configmaps", "secrets", "replicationcontrollers", "resourcequotas"};
  if (name.starts_with("count/")) return name.substr(6);
  if (name == "services" || name.starts_with("services.")) return "services";
  if (name == "persistentvolumeclaims" || name == "requests.storage" || name.find(kClassInfix) != std::string::npos) {
    return "persistentvolumeclaims";
  }
  if (std::find(std::begin(kByName), std::end(kByName), name) != std::end(kByName)) return name;
  return "pods";
}

bool ScopeHolds(const QuotaView::Scope& scope, const QuotaUse& use) {
  if (scope.name == "Terminating") return use.ends_by_itself;
  if (scope.name == "NotTerminating") return !use.ends_by_itself;
  if (scope.name == "BestEffort") return use.best_effort;
  if (scope.name == "NotBestEffort") return !use.best_effort;
  if (scope.name == "CrossNamespacePodAffinity") return use.far_affinity;
  if (scope.name != "PriorityClass") return false;
  const bool named = !use.priority_class.empty();
  const bool listed = std::find(scope.values.begin(), scope.values.end(), use.priority_class) != scope.values.end();
  if (scope.op == "In") return named && listed;
  if (scope.op == "NotIn") return !listed;
  if (scope.op == "DoesNotExist") return !named;
  return named;  // Exists
}

}  // namespace

QuotaUse::QuotaUse(const Json& object) {
  const std::string& kind = StringAt(object, "kind");
  if (StringAt(object, "apiVersion") != "v1") return;
  if (kind == "Pod") AddPod(object, *this);
  if (kind == "Service") AddService(object, *this);
  if (kind == "PersistentVolumeClaim") AddClaim(object, *this);
}

bool QuotaUse::SameAs(const QuotaUse& other) const {
  return is_pod == other.is_pod && ends_by_itself == other.ends_by_itself && best_effort == other.best_effort &&
         far_affinity == other.far_affinity && priority_class == other.priority_class &&
         std::equal(amounts.begin(), amounts.end(), other.amounts.begin(), other.amounts.end(),
                    [](const auto& a, const auto& b) { return a.first == b.first && a.second.Compare(b.second) == 0; });
}

ResourceList UseOf(std::string_view resource, const QuotaUse& use) {
  ResourceList out = use.amounts;
  out["count/" + std::string(resource)] = Quantity::FromValue(1);
  if (CountedOver(std::string(resource)) == resource) out.try_emplace(std::string(resource), Quantity::FromValue(1));
  if (use.is_pod && !use.amounts.contains("pods")) out.erase("pods");
  return out;
}

QuotaView::QuotaView(const Json& quota) : hard(ParseResources(At(quota, "spec.hard"))) {
  for (const Json& scope : ListAt(quota, "spec.scopes")) {
    if (scope.is_string()) scopes.push_back({scope.get<std::string>(), "Exists", {}});
  }
  for (const Json& from : ListAt(quota, "spec.scopeSelector.matchExpressions")) {
    Scope scope{StringAt(from, "scopeName"), StringAt(from, "operator"), {}};
    for (const Json& value : ListAt(from, "values")) {
      if (value.is_string()) scope.values.push_back(value.get<std::string>());
    }
    scopes.push_back(std::move(scope));
  }
  for (const auto& [name, amount] : hard) resources.insert(CountedOver(name));
}

bool QuotaView::Covers(const QuotaUse& use) const {
  if (!use.is_pod) return scopes.empty();
  return std::all_of(scopes.begin(), scopes.end(), [&](const Scope& scope) { return ScopeHolds(scope, use); });
}

ResourceList SumUse(const WatchCache& cache, std::string_view ns, const QuotaView& quota) {
  ResourceList out;
  for (const auto& [name, limit] : quota.hard) out[name];
  for (const std::string& resource : quota.resources) {
    cache.ForEach(resource, ns, [&](const ObjectPtr& object) {
      const QuotaUse& use = object->view<QuotaUse>();
      if (!quota.Covers(use)) return true;
      for (const auto& [name, amount] : UseOf(resource, use)) {
        if (auto it = out.find(name); it != out.end()) it->second += amount;
      }
      return true;
    });
  }
  return out;
}

ResourceList Masked(const ResourceList& amounts, const ResourceList& hard) {
  ResourceList out;
  for (const auto& [name, amount] : amounts) {
    if (hard.contains(name)) out[name] = amount;
  }
  return out;
}

Json ToJson(const ResourceList& amounts) {
  Json out = Json::object();
  for (const auto& [name, amount] : amounts) out[name] = amount.ToString();
  return out;
}

}  // namespace wherry
