#include "core/scheduler/plugins/plugins.h"

namespace wherry::plugins {
namespace {

PreFilter PreFilterName(const PodDemand& pod, const ClusterView&) {
  PreFilter result;
  result.skip = pod.node_name.empty();
  return result;
}

bool FilterName(const PluginState*, const PodDemand& pod, const NodeInfo& node, Refusal& refusal) {
  if (pod.node_name == node.name) return true;
  refusal.Add("node(s) didn't match the requested node name");
  refusal.SetUnresolvable();
  return false;
}

}  // namespace

// spec.nodeName: only for those who ask about a pod that names its node; such pods never wait in the queue.
const Plugin kNodeName{
    .name = "NodeName",
    .events = kNodeAdded,
    .pre_filter = PreFilterName,
    .filter = FilterName,
};

}  // namespace wherry::plugins
