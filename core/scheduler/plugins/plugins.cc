#include "core/scheduler/plugins/plugins.h"

#include <algorithm>

namespace wherry {
namespace {

// Cheap and seldom resolvable checks first: the first refusal of a node is the one that is reported.
constexpr const FilterPlugin* kFilters[] = {
    &plugins::kNodeUnschedulable,  &plugins::kNodeName,  &plugins::kTaintTolerationFilter,
    &plugins::kNodeAffinityFilter, &plugins::kNodePorts, &plugins::kNodeResourcesFit,
};

constexpr const ScorePlugin* kScores[] = {
    &plugins::kTaintTolerationScore, &plugins::kNodeAffinityScore, &plugins::kLeastAllocated,
    &plugins::kBalancedAllocation,   &plugins::kImageLocality,
};

}  // namespace

std::span<const FilterPlugin* const> FilterPlugins() { return kFilters; }
std::span<const ScorePlugin* const> ScorePlugins() { return kScores; }

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
