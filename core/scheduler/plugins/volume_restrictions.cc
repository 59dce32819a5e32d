#include <algorithm>

#include "core/kinds/resources.h"
#include "core/kinds/storage_view.h"
#include "core/registry/indexes.h"
#include "core/scheduler/plugins/plugins.h"

// VolumeRestrictions: a claim of mode ReadWriteOncePod is for one pod at a time (KEP-2485).
namespace wherry::plugins {
namespace {

bool IsForOnePod(const ClaimView& claim) {
  return std::find(claim.access_modes.begin(), claim.access_modes.end(), "ReadWriteOncePod") !=
         claim.access_modes.end();
}

// Another pod that has the claim: it has a node, in the store or by a decision that is not stored yet.
bool InUse(const PodDemand& pod, const PodDemand::Claim& used, const ClusterView& cluster) {
  const ObjectPtr claim = cluster.cache->Get(resources::kPersistentVolumeClaims, pod.request.ns, used.name);
  if (!claim || !IsForOnePod(claim->view<ClaimView>())) return false;
  const auto pods = cluster.cache->ByIndex(kIndexPodClaim, pod.request.ns + "/" + used.name);
  return std::any_of(pods.begin(), pods.end(), [&](const ObjectPtr& other) {
    return other->uid() != pod.uid && cluster.snapshot.Counts(other->uid());
  });
}

PreFilter PreFilterRestrictions(const PodDemand& pod, const ClusterView& cluster) {
  PreFilter result;
  result.once = !pod.request.claims.empty();  // what other pods use meanwhile changes it
  result.skip = cluster.cache == nullptr || std::none_of(pod.request.claims.begin(), pod.request.claims.end(),
                                                         [&](const auto& used) { return InUse(pod, used, cluster); });
  return result;
}

bool FilterRestrictions(const PluginState*, const PodDemand&, const NodeInfo&, Refusal& refusal) {
  refusal.Add("node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode");
  refusal.SetUnresolvable();
  return false;
}

bool PodHelps(const PodDemand& pod, const Snapshot::Change& change, const ClusterView&) {
  for (const ObjectPtr& gone : change.went) {
    const PodDemand& other = gone->view<PodDemand>();
    if (other.request.ns != pod.request.ns) continue;
    for (const PodDemand::Claim& used : other.request.claims) {
      for (const PodDemand::Claim& wanted : pod.request.claims) {
        if (used.name == wanted.name) return true;
      }
    }
  }
  return false;
}

}  // namespace

const Plugin kVolumeRestrictions{
    .name = "VolumeRestrictions",
    .events = kPodGone,
    .node_local = false,
    .pre_filter = PreFilterRestrictions,
    .filter = FilterRestrictions,
    .helps = PodHelps,
};

}  // namespace wherry::plugins
