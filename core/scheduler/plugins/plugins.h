#pragma once

#include "core/scheduler/plugin.h"

// The plugins, one file each. Names, texts and order are those that users know from kube-scheduler.
namespace wherry::plugins {

extern const Plugin kNodeUnschedulable;
extern const Plugin kNodeName;
extern const Plugin kTaintToleration;
extern const Plugin kNodeAffinity;
extern const Plugin kNodePorts;
extern const Plugin kNodeResourcesFit;
extern const Plugin kVolumeRestrictions;
extern const Plugin kVolumeBinding;
extern const Plugin kPodTopologySpread;
extern const Plugin kInterPodAffinity;
extern const Plugin kDefaultPreemption;
extern const Plugin kLeastAllocated;
extern const Plugin kMostAllocated;
extern const Plugin kBalancedAllocation;
extern const Plugin kImageLocality;

}  // namespace wherry::plugins
