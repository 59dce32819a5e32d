#include "core/controllers/controllers.h"

#include "core/controllers/autoscaler/autoscaler_controller.h"
#include "core/controllers/cronjob/cronjob_controller.h"
#include "core/controllers/daemonset/daemonset_controller.h"
#include "core/controllers/deployment/deployment_controller.h"
#include "core/controllers/disruption/disruption_controller.h"
#include "core/controllers/endpoints/endpoints_controller.h"
#include "core/controllers/event_ttl.h"
#include "core/controllers/garbage_collector.h"
#include "core/controllers/job/job_controller.h"
#include "core/controllers/namespace.h"
#include "core/controllers/node_lifecycle.h"
#include "core/controllers/replicaset/replicaset_controller.h"
#include "core/controllers/resource_quota.h"
#include "core/controllers/service_account.h"
#include "core/controllers/statefulset/statefulset_controller.h"
#include "core/controllers/storage/ephemeral_volumes.h"
#include "core/controllers/storage/protection.h"
#include "core/controllers/storage/volume_binding.h"

namespace wherry {

std::span<const ControllerRow> AllControllers() {
  using Settings = ControllerSettings;
  static const ControllerRow kRows[] = {
      {"garbage-collector", [](RuntimeContext c, const Settings& s) { return GarbageCollector(c, s.catalog); }},
      {"namespace-controller", [](RuntimeContext c, const Settings&) { return NamespaceController(c); }},
      {"service-account-controller",
       [](RuntimeContext c, const Settings& s) { return ServiceAccountController(c, s.ca_certificate); }},
      {"node-controller", [](RuntimeContext c, const Settings&) { return NodeLifecycleController(c); }},
      {"taint-eviction-controller", [](RuntimeContext c, const Settings&) { return TaintEvictionController(c); }},
      {"pod-garbage-collector", [](RuntimeContext c, const Settings&) { return PodGarbageController(c); }},
      {"event-ttl-controller", [](RuntimeContext c, const Settings&) { return EventTtlController(c); }},
      {"persistent-volume-binder", [](RuntimeContext c, const Settings&) { return VolumeBindingController(c); }},
      {"pvc-protection-controller", [](RuntimeContext c, const Settings&) { return ClaimProtectionController(c); }},
      {"pv-protection-controller", [](RuntimeContext c, const Settings&) { return VolumeProtectionController(c); }},
      {"ephemeral-volume-controller", [](RuntimeContext c, const Settings&) { return EphemeralVolumeController(c); }},
      {"daemon-set-controller", [](RuntimeContext c, const Settings&) { return DaemonSetController(c); }},
      {"endpoint-controller", [](RuntimeContext c, const Settings&) { return EndpointsController(c); }},
      {"endpointslice-controller", [](RuntimeContext c, const Settings&) { return EndpointSliceController(c); }},
      {"endpointslicemirroring-controller",
       [](RuntimeContext c, const Settings&) { return EndpointSliceMirroringController(c); }},
      {"disruption-controller", [](RuntimeContext c, const Settings&) { return DisruptionController(c); }},
      {"resourcequota-controller",
       [](RuntimeContext c, const Settings& s) { return ResourceQuotaController(c, s.catalog); }},
      {"statefulset-controller", [](RuntimeContext c, const Settings&) { return StatefulSetController(c); }},
      {"deployment-controller", [](RuntimeContext c, const Settings&) { return DeploymentController(c); }},
      {"replicaset-controller", [](RuntimeContext c, const Settings&) { return ReplicaSetController(c); }},
      {"replication-controller", [](RuntimeContext c, const Settings&) { return ReplicationControllerController(c); }},
      {"horizontal-pod-autoscaler-controller",
       [](RuntimeContext c, const Settings& s) { return HorizontalPodAutoscalerController(c, s.pod_usage); }},
      {"job-controller", [](RuntimeContext c, const Settings&) { return JobController(c); }},
      {"cronjob-controller", [](RuntimeContext c, const Settings&) { return CronJobController(c); }},
      {"ttl-after-finished-controller", [](RuntimeContext c, const Settings&) { return JobTtlController(c); }},
  };
  return kRows;
}

}  // namespace wherry
