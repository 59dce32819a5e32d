#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

#include "core/kinds/field_error.h"

// Cross-field rules of the built-in kinds: what the schemas cannot say. hooks.cc lists which kind has which. Pure
// functions of documents; scalars out of range, missing required fields and unknown enum values are the schema's to
// refuse, so absent and ill-typed fields are passed over here. Messages are the ones users know from upstream.
namespace wherry::rules {

// Collects the refusals of a hook. A field that the schema has refused already is not refused a second time.
class Refusals {
 public:
  explicit Refusals(FieldErrors& errors);
  void Add(FieldError error);
  void AddIf(std::string path, const Json& value, std::string_view why);  // Invalid, unless `why` is ""

 private:
  FieldErrors& errors_;
  std::unordered_set<std::string> refused_before_;
};

// Checks shared by several kinds (rules_common.cc).
void CheckLabels(const Json& labels, const std::string& path, Refusals& out);
void CheckAnnotations(const Json& annotations, const std::string& path, Refusals& out);
void CheckLabelSelector(const Json& selector, const std::string& path, Refusals& out);
void CheckQuantityNotNegative(const Json& quantity, const std::string& path, Refusals& out);
// A number ≥ 0 or a percentage; CheckAtMost100Percent refuses "101%".
void CheckIntOrPercent(const Json& value, const std::string& path, Refusals& out);
void CheckAtMost100Percent(const Json& value, const std::string& path, Refusals& out);
int64_t IntOrPercentValue(const Json& value);  // 25 of "25%"; 0 when absent
// `field is immutable`, by a dotted path of the document.
void CheckImmutable(const Json& object, const Json& old, const std::string& path, Refusals& out);
// True when this is an update that leaves `field` as it was, so that its rules hold already.
bool Unchanged(const Json& object, const Json* old, std::string_view field);

enum class PodUse : uint8_t { kPod, kTemplate };

// The parts of a pod (rules_pod.cc, rules_container.cc, rules_volume.cc, rules_placement.cc).
void CheckPodSpec(const Json& spec, const std::string& path, PodUse use, Refusals& out);
void CheckPodTemplate(const Json& pod_template, const std::string& path, Refusals& out);
void CheckContainers(const Json& spec, const std::string& path, Refusals& out);
void CheckVolumes(const Json& spec, const std::string& path, Refusals& out);
void CheckTolerations(const Json& tolerations, const std::string& path, Refusals& out);
void CheckNodeSelector(const Json& selector, const std::string& path, Refusals& out);
// Of a PersistentVolumeClaim or of an ephemeral volume's template (rules_storage.cc).
void CheckClaimSpec(const Json& spec, const std::string& path, Refusals& out);
// Of a volume or a PersistentVolume.
void CheckHostPath(const Json& source, const std::string& path, Refusals& out);
void CheckPlacement(const Json& spec, const std::string& path, Refusals& out);
// "" or why `path` may not be used inside a volume: absolute, or stepping up.
std::string CheckLocalPath(std::string_view path);
void DefaultPodSpec(Json& spec);
// Of a Job's spec (rules_job_policy.cc).
void CheckPodFailurePolicy(const Json& spec, const std::string& path, Refusals& out);
void CheckSuccessPolicy(const Json& spec, const std::string& path, Refusals& out);

// The hooks themselves.
void DefaultPod(Json& pod);
void CreatePod(Json& pod);
void ConcludePod(Json& pod);
void ValidatePod(const Json& pod, const Json* old, FieldErrors& errors);
// pods/ephemeralcontainers: they may be added, never changed or removed.
Json TakeEphemeralContainers(const Json& sent, const Json& old);
void ValidateEphemeralContainers(const Json& pod, const Json& old, FieldErrors& errors);

void DefaultTemplate(Json& workload);  // of any kind with spec.template
void CreateDaemonSet(Json& set);
void UpdateDaemonSet(Json& set, const Json& old);
void ValidateDaemonSet(const Json& set, const Json* old, FieldErrors& errors);
void DefaultDeployment(Json& deployment);
void ValidateDeployment(const Json& deployment, const Json* old, FieldErrors& errors);
void CreateReplicaSet(Json& set);
void ValidateReplicaSet(const Json& set, const Json* old, FieldErrors& errors);
void DefaultReplicationController(Json& controller);
void ValidateReplicationController(const Json& controller, const Json* old, FieldErrors& errors);
void DefaultStatefulSet(Json& set);
void CreateStatefulSet(Json& set);
void ValidateStatefulSet(const Json& set, const Json* old, FieldErrors& errors);
void ValidateControllerRevision(const Json& revision, const Json* old, FieldErrors& errors);

void DefaultJob(Json& job);
void CreateJob(Json& job);
void ValidateJob(const Json& job, const Json* old, FieldErrors& errors);
void DefaultCronJob(Json& cron_job);
void ValidateCronJob(const Json& cron_job, const Json* old, FieldErrors& errors);

void DefaultService(Json& service);
void CreateService(Json& service);
void UpdateService(Json& service, const Json& old);
void ValidateService(const Json& service, const Json* old, FieldErrors& errors);
void ValidateEndpoints(const Json& endpoints, const Json* old, FieldErrors& errors);
void ValidateEndpointSlice(const Json& slice, const Json* old, FieldErrors& errors);

void ValidateConfigMap(const Json& map, const Json* old, FieldErrors& errors);
void DefaultSecret(Json& secret);
void ValidateSecret(const Json& secret, const Json* old, FieldErrors& errors);
void DefaultNamespace(Json& ns);
void CreateNamespace(Json& ns);
void UpdateNamespace(Json& ns, const Json& old);
void ValidateNamespace(const Json& ns, const Json* old, FieldErrors& errors);
void DefaultNode(Json& node);
void ValidateNode(const Json& node, const Json* old, FieldErrors& errors);
void ValidateEvent(const Json& event, const Json* old, FieldErrors& errors);

void CreateVolume(Json& volume);
void ValidatePersistentVolume(const Json& volume, const Json* old, FieldErrors& errors);
void CreateClaim(Json& claim);
void ValidatePersistentVolumeClaim(const Json& claim, const Json* old, FieldErrors& errors);
void ValidateStorageClass(const Json& storage_class, const Json* old, FieldErrors& errors);

void CreateWithEmptyStatus(Json& object);
void CreatePodDisruptionBudget(Json& budget);
void ValidatePodDisruptionBudget(const Json& budget, const Json* old, FieldErrors& errors);
void DefaultHorizontalPodAutoscaler(Json& autoscaler);
void ValidateHorizontalPodAutoscaler(const Json& autoscaler, const Json* old, FieldErrors& errors);
void ValidateResourceQuota(const Json& quota, const Json* old, FieldErrors& errors);
void DefaultLimitRange(Json& range);
void ValidateLimitRange(const Json& range, const Json* old, FieldErrors& errors);
void ValidatePriorityClass(const Json& priority_class, const Json* old, FieldErrors& errors);
void ValidateLease(const Json& lease, const Json* old, FieldErrors& errors);
void ValidateImage(const Json& image, const Json* old, FieldErrors& errors);

}  // namespace wherry::rules
