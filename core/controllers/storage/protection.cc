#include "core/controllers/storage/protection.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/pod_view.h"
#include "core/kinds/resources.h"
#include "core/kinds/storage_view.h"
#include "core/registry/indexes.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// A pod without a node does not have the claim yet, and will not get it while the claim goes; one that has ended
// has given it back.
bool Uses(const Object& pod) {
  const PodView& view = pod.view<PodView>();
  return !view.node_name.empty() && !view.terminal();
}

bool ClaimInUse(const WatchCache& cache, const Object& claim) {
  const std::vector<ObjectPtr> pods = cache.ByIndex(kIndexPodClaim, KeyOf(claim));
  return std::any_of(pods.begin(), pods.end(), [](const ObjectPtr& pod) { return Uses(*pod); });
}

bool VolumeInUse(const WatchCache&, const Object& volume) { return volume.view<VolumeView>().phase == "Bound"; }

using InUse = bool (*)(const WatchCache&, const Object&);

Task<ReconcileResult> Release(RuntimeContext context, std::string resource, std::string_view finalizer, InUse in_use,
                              std::string key) {
  ReconcileResult result;
  const auto [ns, name] = SplitKey(key);
  const ObjectPtr object = context.client.cache().Get(resource, ns, name);
  if (!object || !object->view<MetaView>().deleting()) co_return result;
  const std::vector<std::string>& held = object->view<MetaView>().finalizers;
  if (std::find(held.begin(), held.end(), finalizer) == held.end()) co_return result;
  if (in_use(context.client.cache(), *object)) co_return result;
  Json document = *object->json();
  Json kept = Json::array();
  for (const std::string& other : held) {
    if (other != finalizer) kept.push_back(other);
  }
  document["metadata"]["finalizers"] = std::move(kept);
  Result<ObjectPtr> written = co_await context.client.Update(std::move(resource), std::move(document));
  result.status = written.status();
  co_return result;
}

}  // namespace

ControllerSpec ClaimProtectionController(RuntimeContext context) {
  ControllerSpec spec;
  spec.name = "pvc-protection-controller";
  spec.watches = {{std::string(resources::kPersistentVolumeClaims), EnqueueSelf},
                  {std::string(resources::kPods), [context](const Event& event, WorkQueue& queue) {
                     if (event.type != EventType::kDeleted && Uses(*event.object)) return;
                     for (const std::string& name : ClaimsOfPod(*event.object->json())) {
                       const ObjectPtr claim =
                           context.client.cache().Get(resources::kPersistentVolumeClaims, event.object->ns(), name);
                       if (claim && claim->view<MetaView>().deleting()) queue.Add(KeyOf(*claim));
                     }
                   }}};
  spec.reconcile = [context](std::string key) {
    return Release(context, std::string(resources::kPersistentVolumeClaims), storage::kPvcProtection, ClaimInUse,
                   std::move(key));
  };
  return spec;
}

ControllerSpec VolumeProtectionController(RuntimeContext context) {
  ControllerSpec spec;
  spec.name = "pv-protection-controller";
  spec.watches = {{std::string(resources::kPersistentVolumes), EnqueueSelf}};
  spec.reconcile = [context](std::string key) {
    return Release(context, std::string(resources::kPersistentVolumes), storage::kPvProtection, VolumeInUse,
                   std::move(key));
  };
  return spec;
}

}  // namespace wherry
