#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/agent/container_builder.h"
#include "store/json.h"
#include "store/status.h"
#include "store/watch_cache.h"

namespace wherry {

// What a pod calls itself: spec.hostname or its name, cut to what a host name may be; its node's with hostNetwork.
std::string PodHostname(const Json& pod, const PodSite& site);

// Text of the pod's /etc/hosts and /etc/resolv.conf. Pure.
std::string HostsFile(const Json& pod, const PodSite& site);
struct ResolverConfig {
  std::vector<std::string> nameservers, searches, options;
};
ResolverConfig ParseResolver(const std::string& text);
// dnsPolicy and dnsConfig, over the machine's resolver and the address of the cluster's.
ResolverConfig PlanResolver(const Json& pod, const ResolverConfig& machine, const std::string& cluster_dns);
std::string ResolverFile(const ResolverConfig& resolver);

// The cluster's DNS responder, "" when there is none that answers on port 53.
std::string ClusterDns(const WatchCache& cache, int privileged_port_offset);

// Writes the pod's own files of /etc into its directory and adds mounts of them: hosts, hostname and resolv.conf for a
// sandbox; without one only what the pod asks for itself (hostAliases, dnsConfig). What the container mounts there
// stays. Blocks for small file operations.
Status AddHostFiles(const WatchCache& cache, const Json& pod, const PodSite& site, int privileged_port_offset,
                    BuiltContainer& built);

}  // namespace wherry
