#include "core/kinds/hooks.h"

#include "core/kinds/autoscaler_view.h"
#include "core/kinds/budget_view.h"
#include "core/kinds/event_view.h"
#include "core/kinds/rules.h"

namespace wherry {
namespace {

using namespace rules;  // NOLINT(google-build-using-namespace): the table below is all of this file

struct Entry {
  std::string_view group, version, kind;
  void (*set_defaults)(Json&);
  void (*prepare_create)(Json&);
  void (*prepare_update)(Json&, const Json&);
  void (*validate)(const Json&, const Json*, FieldErrors&);
  void (*conclude_create)(Json&) = nullptr;
};

constexpr std::string_view kCore, kApps = "apps", kBatch = "batch";

constexpr Entry kEntries[] = {
    {kCore, "v1", "Pod", DefaultPod, CreatePod, nullptr, ValidatePod, ConcludePod},
    {kCore, "v1", "Node", DefaultNode, nullptr, nullptr, ValidateNode},
    {kCore, "v1", "Namespace", DefaultNamespace, CreateNamespace, UpdateNamespace, ValidateNamespace},
    {kCore, "v1", "ConfigMap", nullptr, nullptr, nullptr, ValidateConfigMap},
    {kCore, "v1", "Secret", DefaultSecret, nullptr, nullptr, ValidateSecret},
    {kCore, "v1", "Service", DefaultService, CreateService, UpdateService, ValidateService},
    {kCore, "v1", "Endpoints", nullptr, nullptr, nullptr, ValidateEndpoints},
    {kCore, "v1", "Event", nullptr, nullptr, nullptr, ValidateEvent},
    {kCore, "v1", "ReplicationController", DefaultReplicationController, CreateReplicaSet, nullptr,
     ValidateReplicationController},
    {kCore, "v1", "ResourceQuota", nullptr, CreateWithEmptyStatus, nullptr, ValidateResourceQuota},
    {kCore, "v1", "LimitRange", DefaultLimitRange, nullptr, nullptr, ValidateLimitRange},
    {kApps, "v1", "DaemonSet", DefaultTemplate, CreateDaemonSet, UpdateDaemonSet, ValidateDaemonSet},
    {kApps, "v1", "Deployment", DefaultDeployment, CreateWithEmptyStatus, nullptr, ValidateDeployment},
    {kApps, "v1", "ReplicaSet", DefaultTemplate, CreateReplicaSet, nullptr, ValidateReplicaSet},
    {kApps, "v1", "StatefulSet", DefaultStatefulSet, CreateStatefulSet, nullptr, ValidateStatefulSet},
    {kApps, "v1", "ControllerRevision", nullptr, nullptr, nullptr, ValidateControllerRevision},
    {kBatch, "v1", "Job", DefaultJob, CreateJob, nullptr, ValidateJob},
    {kBatch, "v1", "CronJob", DefaultCronJob, CreateWithEmptyStatus, nullptr, ValidateCronJob},
    {kCore, "v1", "PersistentVolume", nullptr, CreateVolume, nullptr, ValidatePersistentVolume},
    {kCore, "v1", "PersistentVolumeClaim", nullptr, CreateClaim, nullptr, ValidatePersistentVolumeClaim},
    {"storage.k8s.io", "v1", "StorageClass", nullptr, nullptr, nullptr, ValidateStorageClass},
    {"policy", "v1", "PodDisruptionBudget", nullptr, CreatePodDisruptionBudget, nullptr, ValidatePodDisruptionBudget},
    {"autoscaling", "v2", "HorizontalPodAutoscaler", DefaultHorizontalPodAutoscaler, CreateWithEmptyStatus, nullptr,
     ValidateHorizontalPodAutoscaler},
    {"scheduling.k8s.io", "v1", "PriorityClass", nullptr, nullptr, nullptr, ValidatePriorityClass},
    {"coordination.k8s.io", "v1", "Lease", nullptr, nullptr, nullptr, ValidateLease},
    {"discovery.k8s.io", "v1", "EndpointSlice", nullptr, nullptr, nullptr, ValidateEndpointSlice},
    {"wherry.dev", "v1", "Image", nullptr, CreateWithEmptyStatus, nullptr, ValidateImage},
};

// Kinds that are views of another version's storage, where more than the apiVersion differs.
struct View {
  std::string_view group, version, kind;
  Json (*from_storage)(const Json&);
  Json (*to_storage)(const Json&);
};

constexpr View kViews[] = {
    {"events.k8s.io", "v1", "Event", EventFromStorage, EventToStorage},
    {"autoscaling", "v1", "HorizontalPodAutoscaler", FirstAutoscalerFromStorage, FirstAutoscalerToStorage},
    {"policy", "v1beta1", "PodDisruptionBudget", BetaBudgetFromStorage, BetaBudgetToStorage},
};

struct Part {
  std::string_view group, version, kind, subresource;
  Json (*take)(const Json&, const Json&);
  void (*validate)(const Json&, const Json&, FieldErrors&);
};

constexpr Part kParts[] = {
    {kCore, "v1", "Pod", "ephemeralcontainers", TakeEphemeralContainers, ValidateEphemeralContainers},
};

}  // namespace

KindHooks HooksFor(const GroupVersionKind& gvk) {
  KindHooks hooks;
  for (const Entry& e : kEntries) {
    if (e.group != gvk.group || e.version != gvk.version || e.kind != gvk.kind) continue;
    if (e.set_defaults != nullptr) hooks.set_defaults = e.set_defaults;
    if (e.prepare_create != nullptr) hooks.prepare_create = e.prepare_create;
    if (e.prepare_update != nullptr) hooks.prepare_update = e.prepare_update;
    if (e.validate != nullptr) hooks.validate = e.validate;
    if (e.conclude_create != nullptr) hooks.conclude_create = e.conclude_create;
  }
  for (const View& view : kViews) {
    if (view.group != gvk.group || view.version != gvk.version || view.kind != gvk.kind) continue;
    hooks.from_storage = view.from_storage;
    hooks.to_storage = view.to_storage;
  }
  for (const Part& part : kParts) {
    if (part.group != gvk.group || part.version != gvk.version || part.kind != gvk.kind) continue;
    hooks.parts[std::string(part.subresource)] = {part.take, part.validate};
  }
  return hooks;
}

}  // namespace wherry
