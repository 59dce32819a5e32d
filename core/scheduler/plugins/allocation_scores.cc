#include <algorithm>
#include <cmath>

#include "core/scheduler/plugins/plugins.h"

namespace wherry::plugins {
namespace {

// The free share of one resource once the pod is there, in percent; -1 when the node does not have the resource.
int64_t FreePercent(int64_t requested, int64_t allocatable) {
  if (allocatable <= 0) return -1;
  if (requested > allocatable) return 0;
  return (allocatable - requested) * kMaxScore / allocatable;
}

int64_t LeastAllocated(const PodDemand& pod, const NodeInfo& node) {
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

// The used share of one resource once the pod is there, in percent; -1 when the node does not have the resource.
int64_t UsedPercent(int64_t requested, int64_t allocatable) {
  return allocatable <= 0 ? -1 : std::min(requested, allocatable) * kMaxScore / allocatable;
}

int64_t MostAllocated(const PodDemand& pod, const NodeInfo& node) {
  const int64_t cpu = UsedPercent(node.score_milli_cpu + pod.score_milli_cpu, node.allocatable.milli_cpu);
  const int64_t memory = UsedPercent(node.score_memory + pod.score_memory, node.allocatable.memory);
  if (cpu < 0 || memory < 0) return std::max<int64_t>({cpu, memory, 0});
  return (cpu + memory) / 2;
}

// A pod that asks for nothing leaves every node as balanced as it was.
PreScore PreScoreBalanced(const PodDemand& pod, const ClusterView&) {
  PreScore result;
  result.skip = pod.request.amounts.milli_cpu == 0 && pod.request.amounts.memory == 0;
  return result;
}

double UsedShare(int64_t requested, int64_t allocatable) {
  return std::min(1.0, static_cast<double>(requested) / static_cast<double>(allocatable));
}

// Best when the shares of cpu and memory in use are equal: what is left can then be used up.
int64_t Balanced(const PodDemand& pod, const NodeInfo& node) {
  if (node.allocatable.milli_cpu <= 0 || node.allocatable.memory <= 0) return kMaxScore;
  const double cpu = UsedShare(node.requested.milli_cpu + pod.request.amounts.milli_cpu, node.allocatable.milli_cpu);
  const double memory = UsedShare(node.requested.memory + pod.request.amounts.memory, node.allocatable.memory);
  const double deviation = std::abs(cpu - memory) / 2;
  return static_cast<int64_t>((1 - deviation) * kMaxScore);
}

template <int64_t (*kScore)(const PodDemand&, const NodeInfo&)>
void ScoreEach(PluginState*, const PodDemand& pod, std::span<const NodeInfo* const> nodes, std::span<int64_t> scores) {
  for (size_t i = 0; i < nodes.size(); ++i) scores[i] = kScore(pod, *nodes[i]);
}

}  // namespace

const Plugin kLeastAllocated{
    .name = "NodeResourcesLeastAllocated",
    .weight = 1,
    .score = ScoreEach<LeastAllocated>,
};

// Fills nodes up one after the other: for profiles that want few nodes in use.
const Plugin kMostAllocated{
    .name = "NodeResourcesMostAllocated",
    .score = ScoreEach<MostAllocated>,
};

const Plugin kBalancedAllocation{
    .name = "NodeResourcesBalancedAllocation",
    .weight = 1,
    .pre_score = PreScoreBalanced,
    .score = ScoreEach<Balanced>,
};

}  // namespace wherry::plugins
