#include <algorithm>

#include "core/scheduler/plugins/plugins.h"

namespace wherry::plugins {
namespace {

bool Tolerated(const std::vector<Toleration>& tolerations, const Taint& taint) {
  return std::any_of(tolerations.begin(), tolerations.end(),
                     [&](const Toleration& toleration) { return toleration.Tolerates(taint); });
}

// Cordoned nodes take the pods that tolerate the taint which stands for it, whether or not the node carries it.
PreFilter PreFilterUnschedulable(const PodDemand& pod, const ClusterView&) {
  static const Taint kTaint{kTaintUnschedulable, "", TaintEffect::kNoSchedule};
  PreFilter result;
  result.skip = Tolerated(pod.request.tolerations, kTaint);
  return result;
}

bool FilterUnschedulable(const PluginState*, const PodDemand&, const NodeInfo& node, Refusal& refusal) {
  if (!node.unschedulable) return true;
  refusal.Add("node(s) were unschedulable");
  refusal.SetUnresolvable();
  return false;
}

bool FilterTaints(const PluginState*, const PodDemand& pod, const NodeInfo& node, Refusal& refusal) {
  for (const NodeInfo::TaintEntry& entry : node.taints) {
    if (entry.taint.effect == TaintEffect::kPreferNoSchedule) continue;
    if (Tolerated(pod.request.tolerations, entry.taint)) continue;
    refusal.Add(entry.refusal);
    refusal.SetUnresolvable();
    return false;
  }
  return true;
}

// The fewer soft taints the pod does not tolerate, the better.
void ScoreTaints(PluginState*, const PodDemand& pod, std::span<const NodeInfo* const> nodes,
                 std::span<int64_t> scores) {
  for (size_t i = 0; i < nodes.size(); ++i) {
    scores[i] = 0;
    for (const NodeInfo::TaintEntry& entry : nodes[i]->taints) {
      if (entry.taint.effect == TaintEffect::kPreferNoSchedule && !Tolerated(pod.request.tolerations, entry.taint)) {
        ++scores[i];
      }
    }
  }
  NormaliseReversed(scores);
}

}  // namespace

const Plugin kNodeUnschedulable{
    .name = "NodeUnschedulable",
    .events = kNodeAdded | kNodeTaints,
    .node_fixed = true,
    .pre_filter = PreFilterUnschedulable,
    .filter = FilterUnschedulable,
};

const Plugin kTaintToleration{
    .name = "TaintToleration",
    .events = kNodeAdded | kNodeTaints,
    .node_fixed = true,
    .filter = FilterTaints,
    .weight = 3,
    .score = ScoreTaints,
};

}  // namespace wherry::plugins
