#include <charconv>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/rules.h"
#include "core/kinds/selector.h"

namespace wherry::rules {
namespace {

constexpr const char* kTemplateGeneration = "deprecated.daemonset.template.generation";

// A workload's selector, its template, and that the one matches the other.
void CheckSelected(const Json& workload, std::string_view what, Refusals& out) {
  const Json& selector = At(workload, "spec.selector");
  const Json& pod_template = At(workload, "spec.template");
  if (selector.is_null()) {
    out.Add(Required("spec.selector"));
  } else {
    CheckLabelSelector(selector, "spec.selector", out);
    const Result<LabelSelector> parsed = LabelSelector::FromJson(selector);
    const Json& labels = At(pod_template, "metadata.labels");
    if (parsed.ok() && parsed->empty()) {
      out.Add(Invalid("spec.selector", selector, "empty selector is invalid for " + std::string(what)));
    } else if (parsed.ok() && !parsed->Matches(labels)) {
      out.Add(Invalid("spec.template.metadata.labels", labels.is_null() ? Json::object() : labels,
                      "`selector` does not match template `labels`"));
    }
  }
  CheckPodTemplate(pod_template, "spec.template", out);
}

// Pods of these workloads are replaced when they end, so they must not end by themselves.
void CheckRunsForEver(const Json& workload, std::string_view kind, Refusals& out) {
  const std::string& policy = StringAt(workload, "spec.template.spec.restartPolicy");
  if (policy != "Always" && !policy.empty()) {
    out.Add(NotSupported("spec.template.spec.restartPolicy", policy, {"Always"}));
  }
  if (Has(workload, "spec.template.spec.activeDeadlineSeconds")) {
    out.Add(Forbidden("spec.template.spec.activeDeadlineSeconds",
                      "activeDeadlineSeconds in " + std::string(kind) + " is not Supported"));
  }
}

int64_t TemplateGeneration(const Json& set) {
  const auto& annotations = MapAt(set, "metadata.annotations");
  const auto it = annotations.find(kTemplateGeneration);
  if (it == annotations.end() || !it->second.is_string()) return 0;
  const auto& text = it->second.get_ref<const std::string&>();
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

void CheckDaemonSetStrategy(const Json& set, Refusals& out) {
  const std::string at = "spec.updateStrategy.rollingUpdate";
  if (StringAt(set, "spec.updateStrategy.type") != "RollingUpdate") return;
  const Json& unavailable = At(set, at + ".maxUnavailable");
  const Json& surge = At(set, at + ".maxSurge");
  CheckIntOrPercent(unavailable, at + ".maxUnavailable", out);
  CheckIntOrPercent(surge, at + ".maxSurge", out);
  CheckAtMost100Percent(unavailable, at + ".maxUnavailable", out);
  CheckAtMost100Percent(surge, at + ".maxSurge", out);
  const bool has_unavailable = IntOrPercentValue(unavailable) != 0, has_surge = IntOrPercentValue(surge) != 0;
  if (has_unavailable && has_surge) {
    out.Add(Invalid(at + ".maxSurge", surge, "may not be set when maxUnavailable is non-zero"));
  } else if (!has_unavailable && !has_surge) {
    out.Add(Required(at + ".maxUnavailable", "cannot be 0 when maxSurge is 0"));
  }
}

void CheckDeploymentStrategy(const Json& deployment, Refusals& out) {
  const std::string at = "spec.strategy.rollingUpdate";
  const std::string& type = StringAt(deployment, "spec.strategy.type");
  if (type == "Recreate" && Has(deployment, at)) {
    out.Add(Forbidden(at, "may not be specified when strategy `type` is 'Recreate'"));
  }
  if (type != "RollingUpdate") return;
  const Json& unavailable = At(deployment, at + ".maxUnavailable");
  const Json& surge = At(deployment, at + ".maxSurge");
  CheckIntOrPercent(unavailable, at + ".maxUnavailable", out);
  CheckIntOrPercent(surge, at + ".maxSurge", out);
  if (IntOrPercentValue(unavailable) == 0 && IntOrPercentValue(surge) == 0) {
    out.Add(Invalid(at + ".maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"));
  }
  CheckAtMost100Percent(unavailable, at + ".maxUnavailable", out);
}

void CheckStatefulSetUpdate(const Json& set, const Json& old, Refusals& out) {
  Json rest = At(set, "spec");
  const Json& before = At(old, "spec");
  if (!rest.is_object() || !before.is_object()) return;
  for (const char* field : {"replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
                            "persistentVolumeClaimRetentionPolicy", "minReadySeconds"}) {
    if (before.contains(field)) {
      rest[field] = before[field];
    } else {
      rest.erase(field);
    }
  }
  if (rest == before) return;
  out.Add(Forbidden("spec",
                    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
                    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
                    "'minReadySeconds' are forbidden"));
}

}  // namespace

void DefaultTemplate(Json& workload) {
  if (At(workload, "spec.template.spec").is_object()) DefaultPodSpec(workload["spec"]["template"]["spec"]);
}

void CreateDaemonSet(Json& set) {
  if (TemplateGeneration(set) < 1) set["metadata"]["annotations"][kTemplateGeneration] = "1";
  set["status"] = {
      {"currentNumberScheduled", 0}, {"numberMisscheduled", 0}, {"desiredNumberScheduled", 0}, {"numberReady", 0}};
}

void UpdateDaemonSet(Json& set, const Json& old) {
  const int64_t before = std::max<int64_t>(1, TemplateGeneration(old));
  const bool changed = At(set, "spec.template") != At(old, "spec.template");
  set["metadata"]["annotations"][kTemplateGeneration] = std::to_string(before + (changed ? 1 : 0));
}

void ValidateDaemonSet(const Json& set, const Json* old, FieldErrors& errors) {
  if (Unchanged(set, old, "spec")) return;
  Refusals out(errors);
  CheckSelected(set, "daemonset", out);
  CheckRunsForEver(set, "DaemonSet", out);
  CheckDaemonSetStrategy(set, out);
  if (old != nullptr) CheckImmutable(set, *old, "spec.selector", out);
}

void DefaultDeployment(Json& deployment) {
  DefaultTemplate(deployment);
  if (StringAt(deployment, "spec.strategy.type") != "RollingUpdate") return;
  Json& rolling = deployment["spec"]["strategy"]["rollingUpdate"];
  for (const char* field : {"maxUnavailable", "maxSurge"}) {
    if (!Has(rolling, field)) rolling[field] = "25%";
  }
}

void ValidateDeployment(const Json& deployment, const Json* old, FieldErrors& errors) {
  if (Unchanged(deployment, old, "spec")) return;
  Refusals out(errors);
  CheckSelected(deployment, "deployment", out);
  CheckRunsForEver(deployment, "Deployment", out);
  CheckDeploymentStrategy(deployment, out);
  const Json& deadline = At(deployment, "spec.progressDeadlineSeconds");
  if (deadline.is_number_integer() &&
      IntAt(deployment, "spec.progressDeadlineSeconds") <= IntAt(deployment, "spec.minReadySeconds")) {
    out.Add(Invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"));
  }
  if (old != nullptr) CheckImmutable(deployment, *old, "spec.selector", out);
}

void CreateReplicaSet(Json& set) { set["status"] = {{"replicas", 0}}; }

void ValidateReplicaSet(const Json& set, const Json* old, FieldErrors& errors) {
  if (Unchanged(set, old, "spec")) return;
  Refusals out(errors);
  CheckSelected(set, "deployment", out);
  CheckRunsForEver(set, "ReplicaSet", out);
  if (old != nullptr) CheckImmutable(set, *old, "spec.selector", out);
}

void DefaultReplicationController(Json& controller) {
  DefaultTemplate(controller);
  // Both follow the template when they are not given.
  const Json labels = At(controller, "spec.template.metadata.labels");
  if (!labels.is_object() || labels.empty()) return;
  if (At(controller, "spec.selector").empty()) controller["spec"]["selector"] = labels;
  if (At(controller, "metadata.labels").empty()) controller["metadata"]["labels"] = labels;
}

void ValidateReplicationController(const Json& controller, const Json* old, FieldErrors& errors) {
  if (Unchanged(controller, old, "spec")) return;
  Refusals out(errors);
  const Json& selector = At(controller, "spec.selector");
  const Json& pod_template = At(controller, "spec.template");
  if (selector.empty()) out.Add(Required("spec.selector"));
  if (pod_template.is_null()) {
    out.Add(Required("spec.template"));
    return;
  }
  const Json& labels = At(pod_template, "metadata.labels");
  if (!selector.empty() && !LabelSelector::FromMap(selector).Matches(labels)) {
    out.Add(Invalid("spec.template.metadata.labels", labels.is_null() ? Json::object() : labels,
                    "`selector` does not match template `labels`"));
  }
  CheckPodTemplate(pod_template, "spec.template", out);
  CheckRunsForEver(controller, "ReplicationController", out);
}

void DefaultStatefulSet(Json& set) {
  DefaultTemplate(set);
  if (!At(set, "spec.volumeClaimTemplates").is_array()) return;
  for (Json& claim : set["spec"]["volumeClaimTemplates"]) {
    if (!claim.is_object()) continue;
    if (!Has(claim, "apiVersion")) claim["apiVersion"] = "v1";
    if (!Has(claim, "kind")) claim["kind"] = "PersistentVolumeClaim";
  }
}

void CreateStatefulSet(Json& set) { set["status"] = {{"replicas", 0}, {"availableReplicas", 0}}; }

void ValidateStatefulSet(const Json& set, const Json* old, FieldErrors& errors) {
  if (Unchanged(set, old, "spec")) return;
  Refusals out(errors);
  // Its claims become volumes of its pods, so mounts may name them.
  Json with_claims = set;
  for (const Json& claim : ListAt(set, "spec.volumeClaimTemplates")) {
    const std::string& name = StringAt(claim, "metadata.name");
    Json& volumes = with_claims["spec"]["template"]["spec"]["volumes"];
    if (volumes.is_null()) volumes = Json::array();
    std::erase_if(*volumes.get_ptr<Json::array_t*>(), [&](const Json& v) { return StringAt(v, "name") == name; });
    volumes.push_back({{"name", name}, {"persistentVolumeClaim", {{"claimName", name.empty() ? "claim" : name}}}});
  }
  CheckSelected(with_claims, "statefulset", out);
  CheckRunsForEver(set, "StatefulSet", out);
  const std::string rolling = "spec.updateStrategy.rollingUpdate";
  if (StringAt(set, "spec.updateStrategy.type") == "OnDelete" && Has(set, rolling)) {
    out.Add(Invalid(rolling, At(set, rolling), "only allowed for updateStrategy 'RollingUpdate'"));
  }
  CheckIntOrPercent(At(set, rolling + ".maxUnavailable"), rolling + ".maxUnavailable", out);
  CheckAtMost100Percent(At(set, rolling + ".maxUnavailable"), rolling + ".maxUnavailable", out);
  if (const Json& most = At(set, rolling + ".maxUnavailable"); !most.is_null() && IntOrPercentValue(most) == 0) {
    out.Add(Invalid(rolling + ".maxUnavailable", most, "cannot be 0"));
  }
  if (old != nullptr) CheckStatefulSetUpdate(set, *old, out);
}

void ValidateControllerRevision(const Json& revision, const Json* old, FieldErrors& errors) {
  Refusals out(errors);
  if (!Has(revision, "data")) out.Add(Required("data", "data is mandatory"));
  if (const int64_t number = IntAt(revision, "revision"); number < 0) {
    out.Add(Invalid("revision", number, "must be greater than or equal to 0"));
  }
  if (old != nullptr) CheckImmutable(revision, *old, "data", out);
}

}  // namespace wherry::rules
