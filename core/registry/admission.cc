#include "core/registry/admission.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/kinds/resources.h"
#include "core/registry/limit_ranger.h"
#include "core/registry/quota_admission.h"
#include "core/registry/runtime_class_admission.h"
#include "core/registry/storage_admission.h"
#include "core/runtime/object_view.h"

namespace wherry {

using Op = AdmissionRequest::Op;

Status Forbidden(const Kind& kind, std::string_view name, std::string_view why) {
  std::string text = kind.qualified_plural();
  if (!name.empty()) text.append(" \"").append(name).append("\"");
  StatusDetails details;
  details.name = name;
  details.group = kind.gvk.group;
  details.kind = kind.plural;
  return Status(Reason::kForbidden, text.append(" is forbidden: ").append(why), std::move(details));
}

namespace {

constexpr std::string_view kProtectedNamespaces[] = {"default", "kube-system", "kube-public", "kube-node-lease"};

// Nothing is created in a namespace that is absent or going; the system's own namespaces stay.
Status NamespaceLifecycle(AdmissionRequest& request, const WatchCache& cache) {
  if (request.op == Op::kDelete && request.kind.resource == resources::kNamespaces) {
    const bool kept = std::find(std::begin(kProtectedNamespaces), std::end(kProtectedNamespaces), request.name) !=
                      std::end(kProtectedNamespaces);
    return kept ? Forbidden(request.kind, request.name, "this namespace may not be deleted") : Status();
  }
  if (request.op != Op::kCreate || !request.kind.namespaced) return {};
  const ObjectPtr ns = cache.Get(resources::kNamespaces, "", request.ns);
  if (!ns) return Status::NotFound("namespaces", "", request.ns);
  if (!ns->view<MetaView>().deleting()) return {};
  const std::string why = "unable to create new content in namespace " + request.ns + " because it is being terminated";
  const Status plain = Forbidden(request.kind, request.name, why);
  StatusDetails details = plain.details();
  details.causes.push_back(
      {"NamespaceTerminating", "namespace " + request.ns + " is being terminated", "metadata.namespace"});
  return Status(Reason::kForbidden, plain.message(), std::move(details));
}

// Every pod runs as a service account; "default" unless it says otherwise.
Status ServiceAccount(AdmissionRequest& request, const WatchCache& cache) {
  if (request.op != Op::kCreate || request.kind.resource != resources::kPods) return {};
  Json& spec = (*request.object)["spec"];
  std::string name = StringAt(spec, "serviceAccountName");
  if (name.empty()) name = StringAt(spec, "serviceAccount");
  if (name.empty()) name = "default";
  spec["serviceAccountName"] = name;
  spec["serviceAccount"] = name;
  // The default account of a new namespace is on its way; any other must be there.
  if (name != "default" && !cache.Get(resources::kServiceAccounts, request.ns, name)) {
    return Forbidden(
        request.kind, request.name,
        "error looking up service account " + request.ns + "/" + name + ": serviceaccount \"" + name + "\" not found");
  }
  return {};
}

// A pod whose node falls silent stays for five minutes unless it says otherwise.
Status DefaultTolerationSeconds(AdmissionRequest& request, const WatchCache&) {
  if (request.op != Op::kCreate || request.kind.resource != resources::kPods) return {};
  Json& tolerations = (*request.object)["spec"]["tolerations"];
  if (!tolerations.is_array()) tolerations = Json::array();
  for (const char* key : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
    const bool has = std::any_of(tolerations.begin(), tolerations.end(), [&](const Json& toleration) {
      const std::string k = StringAt(toleration, "key");
      const std::string effect = StringAt(toleration, "effect");
      return (k == key || k.empty()) && (effect == "NoExecute" || effect.empty());
    });
    if (!has) {
      tolerations.push_back(
          {{"key", key}, {"operator", "Exists"}, {"effect", "NoExecute"}, {"tolerationSeconds", 300}});
    }
  }
  return {};
}

// Only one class may be the default of pods that name none.
Status OneDefaultClass(const AdmissionRequest& request, const WatchCache& cache) {
  if (request.op == Op::kDelete || !BoolAt(*request.object, "globalDefault")) return {};
  std::string other;
  cache.ForEach(resources::kPriorityClasses, {}, [&](const ObjectPtr& there) {
    if (there->name() != request.name && BoolAt(*there->json(), "globalDefault")) other = there->name();
    return other.empty();
  });
  if (other.empty()) return {};
  return Forbidden(request.kind, request.name,
                   "PriorityClass " + other + " is already marked as default. Only one default can exist");
}

// The class's value and preemption policy become the pod's own.
Status Priority(AdmissionRequest& request, const WatchCache& cache) {
  if (request.kind.resource == resources::kPriorityClasses) return OneDefaultClass(request, cache);
  if (request.op != Op::kCreate || request.kind.resource != resources::kPods) return {};
  Json& spec = (*request.object)["spec"];
  const std::string name = StringAt(spec, "priorityClassName");
  ObjectPtr found;
  if (!name.empty()) {
    found = cache.Get(resources::kPriorityClasses, "", name);
    if (!found) return Forbidden(request.kind, request.name, "no PriorityClass with name " + name + " was found");
  } else {
    cache.ForEach(resources::kPriorityClasses, {}, [&](const ObjectPtr& candidate) {
      const JsonPtr document = candidate->json();
      // Several defaults may have been written at one moment: the lowest counts, as upstream.
      if (BoolAt(*document, "globalDefault") && (!found || IntAt(*document, "value") < IntAt(*found->json(), "value")))
        found = candidate;
      return true;
    });
  }
  int64_t value = 0;
  std::string policy = "PreemptLowerPriority";
  if (found) {
    const JsonPtr document = found->json();
    value = IntAt(*document, "value");
    policy = StringAt(*document, "preemptionPolicy", policy);
    spec["priorityClassName"] = found->name();
  }
  if (const Json* asked = FindPath(spec, "priority"); asked && asked->is_number() && asked->get<int64_t>() != value) {
    return Forbidden(request.kind, request.name,
                     "the integer value of priority (" + std::to_string(asked->get<int64_t>()) +
                         ") must not be provided in pod spec; priority admission controller computed " +
                         std::to_string(value) + " from the given PriorityClass name");
  }
  if (const std::string asked = StringAt(spec, "preemptionPolicy"); !asked.empty() && asked != policy) {
    return Forbidden(request.kind, request.name,
                     "the string value of PreemptionPolicy (" + asked +
                         ") must not be provided in pod spec; priority admission controller computed " + policy +
                         " from the given PriorityClass name");
  }
  spec["priority"] = value;
  spec["preemptionPolicy"] = policy;
  return {};
}

// A node begins as not ready, so that nothing is placed there before its agent has spoken.
Status TaintNodesByCondition(AdmissionRequest& request, const WatchCache&) {
  if (request.op != Op::kCreate || request.kind.resource != resources::kNodes) return {};
  Json& taints = (*request.object)["spec"]["taints"];
  if (!taints.is_array()) taints = Json::array();
  const bool has = std::any_of(taints.begin(), taints.end(), [](const Json& taint) {
    return StringAt(taint, "key") == "node.kubernetes.io/not-ready" && StringAt(taint, "effect") == "NoSchedule";
  });
  if (!has) taints.push_back({{"key", "node.kubernetes.io/not-ready"}, {"effect", "NoSchedule"}});
  return {};
}

}  // namespace

void AddBuiltInAdmissions(Registry& registry) {
  registry.AddAdmission({"NamespaceLifecycle", NamespaceLifecycle});
  registry.AddAdmission({"LimitRanger", LimitRanger});
  registry.AddAdmission({"ServiceAccount", ServiceAccount});
  registry.AddAdmission({"Priority", Priority});
  registry.AddAdmission({"RuntimeClass", RuntimeClassOfPod});
  registry.AddAdmission({"DefaultTolerationSeconds", DefaultTolerationSeconds});
  registry.AddAdmission({"TaintNodesByCondition", TaintNodesByCondition});
  registry.AddAdmission({"DefaultStorageClass", AssignDefaultStorageClass});
  registry.AddAdmission({"PersistentVolumeClaimResize", CheckClaimResize});
  registry.AddAdmission(QuotaAdmission::Rule());
}

}  // namespace wherry
