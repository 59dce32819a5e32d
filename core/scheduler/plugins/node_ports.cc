#include <algorithm>

#include "core/scheduler/plugins/plugins.h"

namespace wherry::plugins {
namespace {

PreFilter PreFilterPorts(const PodDemand& pod, const ClusterView&) {
  PreFilter result;
  result.skip = pod.request.host_ports.empty();
  return result;
}

bool FilterPorts(const PluginState*, const PodDemand& pod, const NodeInfo& node, Refusal& refusal) {
  for (const HostPort& wanted : pod.request.host_ports) {
    const bool taken = std::any_of(node.host_ports.begin(), node.host_ports.end(),
                                   [&](const HostPort& used) { return used.ConflictsWith(wanted); });
    if (taken) {
      refusal.Add("node(s) didn't have free ports for the requested pod ports");
      return false;
    }
  }
  return true;
}

}  // namespace

const Plugin kNodePorts{
    .name = "NodePorts",
    .events = kNodeAdded | kPodGone,
    .pre_filter = PreFilterPorts,
    .filter = FilterPorts,
};

}  // namespace wherry::plugins
