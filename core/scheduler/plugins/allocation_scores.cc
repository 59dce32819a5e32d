#include <algorithm>
#include <cmath>

#include "core/scheduler/plugins/plugins.h"

namespace wherry::plugins {
namespace {

PreScore Always(const PodDemand&, const Snapshot&) { return {}; }

// The free share of one resource once the pod is there, in percent; -1 when the node does not have the resource.
int64_t FreePercent(int64_t requested, int64_t allocatable) {
  if (allocatable <= 0) return -1;
  if (requested > allocatable) return 0;
  return (allocatable - requested) * kMaxScore / allocatable;
}

int64_t ScoreLeastAllocated(const PluginState*, const PodDemand& pod, const NodeInfo& node) {
  const int64_t shares[] = {
      FreePercent(node.score_milli_cpu + pod.score_milli_cpu, node.allocatable.milli_cpu),
      FreePercent(node.score_memory + pod.score_memory, node.allocatable.memory),
  };
  int64_t sum = 0;
  int64_t count = 0;
  for (const int64_t share : shares) {
    if (share < 0) continue;
    sum += share;
    ++count;
  }
  return count == 0 ? 0 : sum / count;
}

// A pod that asks for nothing leaves every node as balanced as it was.
PreScore PreScoreBalanced(const PodDemand& pod, const Snapshot&) {
  PreScore result;
  result.skip = pod.request.amounts.milli_cpu == 0 && pod.request.amounts.memory == 0;
  return result;
}

double UsedShare(int64_t requested, int64_t allocatable) {
  return std::min(1.0, static_cast<double>(requested) / static_cast<double>(allocatable));
}

// Best when the shares of cpu and memory in use are equal: what is left can then be used up.
int64_t ScoreBalanced(const PluginState*, const PodDemand& pod, const NodeInfo& node) {
  if (node.allocatable.milli_cpu <= 0 || node.allocatable.memory <= 0) return kMaxScore;
  const double cpu = UsedShare(node.requested.milli_cpu + pod.request.amounts.milli_cpu, node.allocatable.milli_cpu);
  const double memory = UsedShare(node.requested.memory + pod.request.amounts.memory, node.allocatable.memory);
  const double deviation = std::abs(cpu - memory) / 2;
  return static_cast<int64_t>((1 - deviation) * kMaxScore);
}

}  // namespace

const ScorePlugin kLeastAllocated{
    .name = "NodeResourcesFit",
    .weight = 1,
    .pre_score = Always,
    .score = ScoreLeastAllocated,
    .normalise = nullptr,
};

const ScorePlugin kBalancedAllocation{
    .name = "NodeResourcesBalancedAllocation",
    .weight = 1,
    .pre_score = PreScoreBalanced,
    .score = ScoreBalanced,
    .normalise = nullptr,
};

}  // namespace wherry::plugins
