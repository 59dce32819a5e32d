#include "core/agent/claimed_volumes.h"

#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/kinds/storage_view.h"

namespace wherry {
namespace {

Status Wait(std::string why) { return Status(Reason::kInvalid, std::move(why)); }

}  // namespace

Result<ClaimedVolume> FindClaimedVolume(const WatchCache& cache, const Json& pod, const Json& volume,
                                        const std::string& node, bool runs) {
  const std::string& ns = StringAt(pod, "metadata.namespace");
  const std::string name = ClaimOfVolume(volume, StringAt(pod, "metadata.name"));
  const ObjectPtr claim = cache.Get(resources::kPersistentVolumeClaims, ns, name);
  if (!claim) return Wait("persistentvolumeclaim \"" + name + "\" not found");
  const ClaimView& wanted = claim->view<ClaimView>();
  if (wanted.deleting && !runs) return Wait("PVC " + wanted.key() + " is being deleted");
  if (wanted.phase != "Bound" || wanted.volume_name.empty()) return Wait("PVC " + wanted.key() + " is not bound");
  const ObjectPtr found = cache.Get(resources::kPersistentVolumes, "", wanted.volume_name);
  if (!found) return Wait("persistentvolume \"" + wanted.volume_name + "\" not found");
  const VolumeView& bound = found->view<VolumeView>();
  if (!bound.claimed || !bound.IsFor(wanted)) {
    return Wait("volume " + bound.name + " is not bound to PVC " + wanted.key());
  }
  const ObjectPtr here = cache.Get(resources::kNodes, "", node);
  if (here && !bound.ReachableFrom(*here->json())) {
    return Wait("volume " + bound.name + " cannot be reached from node " + node + ": its nodeAffinity does not match");
  }
  if (wanted.volume_mode == "Block") return Wait("volumes of mode Block are not offered on this node");
  if (bound.path.empty()) return Wait("volume " + bound.name + " is of a type that is not offered on this node");
  return ClaimedVolume{bound.path, bound.host_path_type};
}

Status CheckClaims(const WatchCache& cache, const Json& pod, const std::string& node) {
  for (const Json& volume : ListAt(pod, "spec.volumes")) {
    if (ClaimOfVolume(volume, "").empty()) continue;
    const Result<ClaimedVolume> found = FindClaimedVolume(cache, pod, volume, node, false);
    if (!found.ok()) {
      return Wait("MountVolume.SetUp failed for volume \"" + StringAt(volume, "name") +
                  "\" : " + found.status().message());
    }
  }
  return {};
}

}  // namespace wherry
