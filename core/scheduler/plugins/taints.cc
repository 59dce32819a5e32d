#include <algorithm>

#include "core/scheduler/plugins/plugins.h"

namespace wherry::plugins {
namespace {

bool Tolerated(const std::vector<Toleration>& tolerations, const Taint& taint) {
  return std::any_of(tolerations.begin(), tolerations.end(),
                     [&](const Toleration& toleration) { return toleration.Tolerates(taint); });
}

// Cordoned nodes take the pods that tolerate the taint which stands for it, whether or not the node carries it.
PreFilter PreFilterUnschedulable(const PodDemand& pod, const Snapshot&) {
  static const Taint kTaint{"node.kubernetes.io/unschedulable", "", TaintEffect::kNoSchedule};
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

PreFilter PreFilterTaints(const PodDemand&, const Snapshot&) { return {}; }

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

PreScore PreScoreTaints(const PodDemand&, const Snapshot&) { return {}; }

// How many soft taints the pod does not tolerate.
int64_t ScoreTaints(const PluginState*, const PodDemand& pod, const NodeInfo& node) {
  int64_t count = 0;
  for (const NodeInfo::TaintEntry& entry : node.taints) {
    if (entry.taint.effect == TaintEffect::kPreferNoSchedule && !Tolerated(pod.request.tolerations, entry.taint))
      ++count;
  }
  return count;
}

}  // namespace

const FilterPlugin kNodeUnschedulable{
    .name = "NodeUnschedulable",
    .events = kNodeAdded | kNodeTaints,
    .node_local = true,
    .pre_filter = PreFilterUnschedulable,
    .filter = FilterUnschedulable,
};

const FilterPlugin kTaintTolerationFilter{
    .name = "TaintToleration",
    .events = kNodeAdded | kNodeTaints,
    .node_local = true,
    .pre_filter = PreFilterTaints,
    .filter = FilterTaints,
};

const ScorePlugin kTaintTolerationScore{
    .name = "TaintToleration",
    .weight = 3,
    .pre_score = PreScoreTaints,
    .score = ScoreTaints,
    .normalise = NormaliseReversed,
};

}  // namespace wherry::plugins
