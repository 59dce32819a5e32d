#pragma once

#include <string_view>

#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// One computed cell of the server-side Table. Pure.
using Printer = Json (*)(const Json& object, Time now);

// The printer that a Column names; null when there is none by that name.
Printer FindPrinter(std::string_view name);

// How long ago the RFC 3339 time at `path` was: "3d4h", `absent` when there is none.
std::string Since(const Json& object, std::string_view path, Time now, std::string_view absent = "<unknown>");

// The conditions of a pod's row: kubectl hides completed pods by them. [] while it runs.
Json PodRowConditions(const Json& pod);

// The cells themselves, by the part of the API they print.
namespace printers {
Json PodReady(const Json& pod, Time now);
Json PodStatus(const Json& pod, Time now);
Json PodRestarts(const Json& pod, Time now);
Json PodReadinessGates(const Json& pod, Time now);
Json NodeStatus(const Json& node, Time now);
Json NodeRoles(const Json& node, Time now);
Json NodeInternalIp(const Json& node, Time now);
Json NodeExternalIp(const Json& node, Time now);
Json Images(const Json& object, Time now);
Json Containers(const Json& object, Time now);
Json Selector(const Json& object, Time now);
Json NodeSelector(const Json& object, Time now);
Json ReadyOfReplicas(const Json& object, Time now);
Json JobStatus(const Json& job, Time now);
Json JobCompletions(const Json& job, Time now);
Json JobDuration(const Json& job, Time now);
Json CronLastSchedule(const Json& cron_job, Time now);
Json CronActive(const Json& cron_job, Time now);
Json RevisionController(const Json& revision, Time now);
Json PdbMin(const Json& budget, Time now);
Json PdbMax(const Json& budget, Time now);
Json HpaReference(const Json& autoscaler, Time now);
Json HpaCpuTarget(const Json& autoscaler, Time now);
Json HpaTargets(const Json& autoscaler, Time now);
Json HpaMinPods(const Json& autoscaler, Time now);
Json HpaReplicas(const Json& autoscaler, Time now);
Json QuotaRequest(const Json& quota, Time now);
Json QuotaLimit(const Json& quota, Time now);
Json ServiceExternalIp(const Json& service, Time now);
Json ServicePorts(const Json& service, Time now);
Json Endpoints(const Json& endpoints, Time now);
Json SliceEndpoints(const Json& slice, Time now);
Json SlicePorts(const Json& slice, Time now);
Json PvAccessModes(const Json& volume, Time now);
Json PvClaim(const Json& volume, Time now);
Json PvcAccessModes(const Json& claim, Time now);
Json PvcCapacity(const Json& claim, Time now);
Json StorageClass(const Json& volume_or_claim, Time now);
Json StorageClassExpands(const Json& storage_class, Time now);
Json StorageClassName(const Json& storage_class, Time now);
Json VolumeAttributesClass(const Json& volume_or_claim, Time now);
Json VolumeMode(const Json& volume_or_claim, Time now);
Json VolumePhase(const Json& volume_or_claim, Time now);
}  // namespace printers

}  // namespace wherry
