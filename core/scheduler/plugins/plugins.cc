#include "core/scheduler/plugins/plugins.h"

#include <algorithm>

namespace wherry {
namespace {

// Cheap and seldom resolvable checks first: the first refusal of a node is the one that is reported.
constexpr const Plugin* kPlugins[] = {
    &plugins::kNodeUnschedulable,  &plugins::kNodeName,           &plugins::kTaintToleration,
    &plugins::kNodeAffinity,       &plugins::kNodePorts,          &plugins::kNodeResourcesFit,
    &plugins::kVolumeRestrictions, &plugins::kVolumeBinding,      &plugins::kPodTopologySpread,
    &plugins::kInterPodAffinity,   &plugins::kDefaultPreemption,  &plugins::kLeastAllocated,
    &plugins::kMostAllocated,      &plugins::kBalancedAllocation, &plugins::kImageLocality,
};

}  // namespace

std::span<const Plugin* const> AllPlugins() { return kPlugins; }

void Normalise(std::span<int64_t> scores) {
  const int64_t highest = scores.empty() ? 0 : *std::max_element(scores.begin(), scores.end());
  if (highest == 0) return;
  for (int64_t& score : scores) score = score * kMaxScore / highest;
}

void NormaliseReversed(std::span<int64_t> scores) {
  Normalise(scores);
  for (int64_t& score : scores) score = kMaxScore - score;
}

}  // namespace wherry
