#pragma once

#include "core/scheduler/plugin.h"

// The plugins, one file each. Names, texts and order are those that users know from kube-scheduler.
namespace wherry::plugins {

extern const FilterPlugin kNodeUnschedulable;
extern const FilterPlugin kNodeName;
extern const FilterPlugin kTaintTolerationFilter;
extern const FilterPlugin kNodeAffinityFilter;
extern const FilterPlugin kNodePorts;
extern const FilterPlugin kNodeResourcesFit;

extern const ScorePlugin kTaintTolerationScore;
extern const ScorePlugin kNodeAffinityScore;
extern const ScorePlugin kLeastAllocated;
extern const ScorePlugin kBalancedAllocation;
extern const ScorePlugin kImageLocality;

}  // namespace wherry::plugins
