#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/kinds/fields.h"
#include "core/kinds/names.h"
#include "core/kinds/pod_rules.h"
#include "core/kinds/rules.h"

namespace wherry::rules {
namespace {

constexpr const char* kContainerLists[] = {"containers", "initContainers", "ephemeralContainers"};

constexpr std::string_view kUpdatable =
    "pod updates may not change fields other than "
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
    "previously "
    "negative)";

// Requests default to limits, and with hostNetwork a port is the host's. Pods only: a template keeps what its author
// wrote.
void DefaultRunningPod(Json& spec) {
  for (const char* list : {"containers", "initContainers"}) {
    if (!spec.contains(list)) continue;
    for (Json& container : spec[list]) {
      for (const auto& [name, quantity] : MapAt(container, "resources.limits")) {
        Json& requests = container["resources"]["requests"];
        if (!requests.contains(name)) requests[name] = quantity;
      }
      if (!BoolAt(spec, "hostNetwork") || !container.contains("ports")) continue;
      for (Json& port : container["ports"]) {
        if (IntAt(port, "hostPort") == 0) port["hostPort"] = IntAt(port, "containerPort");
      }
    }
  }
}

void CheckGates(const Json& spec, const std::string& path, Refusals& out) {
  std::set<std::string> names;
  const auto& gates = ListAt(spec, "schedulingGates");
  for (size_t i = 0; i < gates.size(); ++i) {
    const std::string& name = StringAt(gates[i], "name");
    const std::string at = Child(Item(Child(path, "schedulingGates"), i), "name");
    out.AddIf(at, name, CheckQualifiedName(name));
    if (!names.insert(name).second) out.Add(Duplicate(at, name));
  }
  if (!gates.empty() && !StringAt(spec, "nodeName").empty()) {
    out.Add(Forbidden(Child(path, "nodeName"), "cannot be set until all schedulingGates have been cleared"));
  }
}

void CheckDns(const Json& spec, const std::string& path, Refusals& out) {
  const auto& servers = ListAt(spec, "dnsConfig.nameservers");
  if (StringAt(spec, "dnsPolicy") == "None" && servers.empty()) {
    out.Add(Required(Child(path, "dnsConfig.nameservers"),
                     "must provide at least one DNS nameserver when `dnsPolicy` is None"));
  }
  if (servers.size() > 3) {
    out.Add(Invalid(Child(path, "dnsConfig.nameservers"), servers, "must not have more than 3 nameservers"));
  }
  for (size_t i = 0; i < servers.size(); ++i) {
    if (!servers[i].is_string()) continue;
    out.AddIf(Item(Child(path, "dnsConfig.nameservers"), i), servers[i],
              CheckIp(servers[i].get_ref<const std::string&>()));
  }
}

// Rules of a pod's list of containers against the list before: none come or go.
bool CheckSameContainers(const Json& spec, const Json& old, const char* list, Refusals& out) {
  if (ListAt(spec, list).size() == ListAt(old, list).size()) return true;
  out.Add(Forbidden(Child("spec", list), "pod updates may not add or remove containers"));
  return false;
}

void CheckDeadline(const Json& spec, const Json& old, Refusals& out) {
  const Json& now = At(spec, "activeDeadlineSeconds");
  const Json& before = At(old, "activeDeadlineSeconds");
  if (before.is_null()) return;
  if (now.is_null()) {
    out.Add(Invalid("spec.activeDeadlineSeconds", now, "must not update from a positive integer to nil value"));
  } else if (IntAt(spec, "activeDeadlineSeconds") > IntAt(old, "activeDeadlineSeconds")) {
    out.Add(Invalid("spec.activeDeadlineSeconds", now, "must be less than or equal to previous value"));
  }
}

void CheckOnlyAddedTolerations(const Json& spec, const Json& old, Refusals& out) {
  const auto without_seconds = [](const Json& toleration) {
    Json copy = toleration;
    copy.erase("tolerationSeconds");
    return copy;
  };
  std::set<Json> now;
  for (const Json& t : ListAt(spec, "tolerations")) now.insert(without_seconds(t));
  for (const Json& t : ListAt(old, "tolerations")) {
    if (now.contains(without_seconds(t))) continue;
    out.Add(Forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"));
    return;
  }
}

void CheckOnlyRemovedGates(const Json& spec, const Json& old, Refusals& out) {
  std::set<std::string> before;
  for (const Json& gate : ListAt(old, "schedulingGates")) before.insert(StringAt(gate, "name"));
  for (const Json& gate : ListAt(spec, "schedulingGates")) {
    const std::string& name = StringAt(gate, "name");
    if (before.contains(name)) continue;
    out.Add(
        Forbidden("spec.schedulingGates", "only deletion is allowed, but found new scheduling gate '" + name + "'"));
  }
}

void Restore(Json& spec, const Json& old, const char* field) {
  if (old.contains(field)) {
    spec[field] = old[field];
  } else {
    spec.erase(field);
  }
}

// A pod that has not been offered to the scheduler yet may still be narrowed to fewer nodes (KEP-3838).
void RestoreNarrowedPlacement(Json& spec, const Json& old) {
  if (ListAt(old, "schedulingGates").empty()) return;
  const auto& before = MapAt(old, "nodeSelector");
  const auto& now = MapAt(spec, "nodeSelector");
  const bool narrower = std::all_of(before.begin(), before.end(), [&](const auto& label) {
    const auto it = now.find(label.first);
    return it != now.end() && it->second == label.second;
  });
  if (narrower) Restore(spec, old, "nodeSelector");
  if (!Has(old, "affinity.nodeAffinity") && Has(spec, "affinity")) {
    spec["affinity"].erase("nodeAffinity");
    if (spec["affinity"].empty() && !Has(old, "affinity")) spec.erase("affinity");
  }
}

void CheckUpdate(const Json& spec, const Json& old, Refusals& out) {
  if (!spec.is_object() || !old.is_object()) return;
  bool same = CheckSameContainers(spec, old, "containers", out);
  same = CheckSameContainers(spec, old, "initContainers", out) && same;
  if (!same) return;
  CheckDeadline(spec, old, out);
  CheckOnlyAddedTolerations(spec, old, out);
  CheckTolerations(At(spec, "tolerations"), "spec.tolerations", out);
  CheckOnlyRemovedGates(spec, old, out);

  // What may change is put back; whatever still differs may not.
  Json rest = spec;
  for (const char* list : {"containers", "initContainers"}) {
    for (size_t i = 0; i < ListAt(spec, list).size(); ++i) {
      if (StringAt(spec[list][i], "image").empty()) out.Add(Required(Child(Item(Child("spec", list), i), "image")));
      Restore(rest[list][i], old[list][i], "image");
    }
  }
  for (const char* field : {"activeDeadlineSeconds", "tolerations", "schedulingGates"}) Restore(rest, old, field);
  if (IntAt(old, "terminationGracePeriodSeconds") < 0 && IntAt(spec, "terminationGracePeriodSeconds") == 1) {
    Restore(rest, old, "terminationGracePeriodSeconds");
  }
  RestoreNarrowedPlacement(rest, old);
  if (rest == old) return;
  std::string changed;
  Json fields = old;
  fields.update(rest);
  for (const auto& [field, value] : fields.items()) {
    if (At(rest, field) != At(old, field)) changed += (changed.empty() ? "" : ", ") + Child("spec", field);
  }
  out.Add(Forbidden("spec", std::string(kUpdatable) + "\nchanged: " + changed));
}

}  // namespace

void DefaultPodSpec(Json& spec) {
  if (!spec.is_object()) return;
  if (!Has(spec, "securityContext")) spec["securityContext"] = Json::object();
  for (const char* list : kContainerLists) {
    if (!spec.contains(list) || !spec[list].is_array()) continue;
    for (Json& container : spec[list]) {
      if (!container.is_object()) continue;
      if (StringAt(container, "imagePullPolicy").empty()) {
        container["imagePullPolicy"] = DefaultPullPolicy(StringAt(container, "image"));
      }
      if (!Has(container, "resources")) container["resources"] = Json::object();
    }
  }
  if (!spec.contains("volumes") || !spec["volumes"].is_array()) return;
  for (Json& volume : spec["volumes"]) {
    if (volume.is_object() && volume.size() == volume.count("name")) volume["emptyDir"] = Json::object();
  }
}

void DefaultPod(Json& pod) {
  if (!pod.contains("spec") || !pod["spec"].is_object()) return;
  Json& spec = pod["spec"];
  DefaultPodSpec(spec);
  if (!Has(spec, "enableServiceLinks")) spec["enableServiceLinks"] = true;
  DefaultRunningPod(spec);
}

void CreatePod(Json& pod) { pod["status"] = {{"phase", "Pending"}}; }

void ConcludePod(Json& pod) { pod["status"]["qosClass"] = QosClass(pod); }

void CheckPodSpec(const Json& spec, const std::string& path, PodUse use, Refusals& out) {
  CheckVolumes(spec, path, out);
  CheckContainers(spec, path, out);
  CheckPlacement(spec, path, out);
  CheckGates(spec, path, out);
  CheckDns(spec, path, out);
  if (const int64_t grace = IntAt(spec, "terminationGracePeriodSeconds"); grace < 0) {
    out.Add(Invalid(Child(path, "terminationGracePeriodSeconds"), grace, "must be greater than or equal to 0"));
  }
  if (BoolAt(spec, "hostPID") && BoolAt(spec, "shareProcessNamespace")) {
    out.Add(Invalid(Child(path, "shareProcessNamespace"), true,
                    "ShareProcessNamespace and HostPID cannot both be enabled"));
  }
  for (const auto& [name, quantity] : MapAt(spec, "overhead")) {
    CheckQuantityNotNegative(quantity, Key(Child(path, "overhead"), name), out);
  }
  if (!ListAt(spec, "ephemeralContainers").empty()) {
    out.Add(Forbidden(Child(path, "ephemeralContainers"), use == PodUse::kPod
                                                              ? "cannot be set on create"
                                                              : "ephemeral containers not allowed in pod template"));
  }
}

void CheckPodTemplate(const Json& pod_template, const std::string& path, Refusals& out) {
  CheckLabels(At(pod_template, "metadata.labels"), Child(path, "labels"), out);
  CheckAnnotations(At(pod_template, "metadata.annotations"), Child(path, "annotations"), out);
  CheckPodSpec(At(pod_template, "spec"), Child(path, "spec"), PodUse::kTemplate, out);
}

void ValidatePod(const Json& pod, const Json* old, FieldErrors& errors) {
  Refusals out(errors);
  if (old == nullptr) {
    CheckPodSpec(At(pod, "spec"), "spec", PodUse::kPod, out);
  } else if (!Unchanged(pod, old, "spec")) {
    CheckUpdate(At(pod, "spec"), At(*old, "spec"), out);
  }
}

Json TakeEphemeralContainers(const Json& sent, const Json& old) {
  Json pod = old;
  Restore(pod["spec"], At(sent, "spec").is_object() ? At(sent, "spec") : Json::object(), "ephemeralContainers");
  return pod;
}

void ValidateEphemeralContainers(const Json& pod, const Json& old, FieldErrors& errors) {
  Refusals out(errors);
  CheckContainers(At(pod, "spec"), "spec", out);
  const std::string at = "spec.ephemeralContainers";
  const auto& now = ListAt(pod, at);
  for (const Json& container : ListAt(old, at)) {
    const std::string& name = StringAt(container, "name");
    const auto same = std::find_if(now.begin(), now.end(), [&](const Json& c) { return StringAt(c, "name") == name; });
    if (same != now.end() && *same == container) continue;
    const std::string what = same == now.end() ? "removed" : "changed";
    out.Add(Forbidden(at, "existing ephemeral containers \"" + name + "\" may not be " + what));
  }
}

}  // namespace wherry::rules
