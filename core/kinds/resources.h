#pragma once

#include <string_view>

// The store's names of the built-in resources that code speaks of: the plural, qualified by the group unless it is
// core.
namespace wherry::resources {

inline constexpr std::string_view kPods = "pods";
inline constexpr std::string_view kNodes = "nodes";
inline constexpr std::string_view kNamespaces = "namespaces";
inline constexpr std::string_view kEvents = "events";
inline constexpr std::string_view kConfigMaps = "configmaps";
inline constexpr std::string_view kSecrets = "secrets";
inline constexpr std::string_view kServiceAccounts = "serviceaccounts";
inline constexpr std::string_view kServices = "services";
inline constexpr std::string_view kReplicationControllers = "replicationcontrollers";
inline constexpr std::string_view kEndpoints = "endpoints";
inline constexpr std::string_view kDaemonSets = "daemonsets.apps";
inline constexpr std::string_view kDeployments = "deployments.apps";
inline constexpr std::string_view kReplicaSets = "replicasets.apps";
inline constexpr std::string_view kStatefulSets = "statefulsets.apps";
inline constexpr std::string_view kControllerRevisions = "controllerrevisions.apps";
inline constexpr std::string_view kJobs = "jobs.batch";
inline constexpr std::string_view kCronJobs = "cronjobs.batch";
inline constexpr std::string_view kLeases = "leases.coordination.k8s.io";
inline constexpr std::string_view kEndpointSlices = "endpointslices.discovery.k8s.io";
inline constexpr std::string_view kResourceQuotas = "resourcequotas";
inline constexpr std::string_view kLimitRanges = "limitranges";
inline constexpr std::string_view kPriorityClasses = "priorityclasses.scheduling.k8s.io";
inline constexpr std::string_view kRuntimeClasses = "runtimeclasses.node.k8s.io";
inline constexpr std::string_view kPodDisruptionBudgets = "poddisruptionbudgets.policy";
inline constexpr std::string_view kHorizontalPodAutoscalers = "horizontalpodautoscalers.autoscaling";
inline constexpr std::string_view kPersistentVolumes = "persistentvolumes";
inline constexpr std::string_view kPersistentVolumeClaims = "persistentvolumeclaims";
inline constexpr std::string_view kStorageClasses = "storageclasses.storage.k8s.io";
inline constexpr std::string_view kImages = "images.wherry.dev";

}  // namespace wherry::resources
