#include "core/registry/indexes.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"
#include "core/kinds/service_view.h"
#include "core/kinds/storage_view.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

bool SameLabels(const Object& before, const Object& after) {
  return before.view<MetaView>().labels == after.view<MetaView>().labels;
}
bool SameOwners(const Object& before, const Object& after) {
  const auto &was = before.view<MetaView>().owners, &now = after.view<MetaView>().owners;
  return std::equal(was.begin(), was.end(), now.begin(), now.end(), [](const OwnerRef& a, const OwnerRef& b) {
    return a.uid == b.uid && a.controller == b.controller;
  });
}
// Of what may not change as long as the object lives.
bool SameObject(const Object& before, const Object& after) { return before.uid() == after.uid(); }

}  // namespace

void AddCoreIndexes(WatchCache& cache) {
  cache.AddIndex(
      std::string(kIndexOwnerUid), "",
      [](const Object& object, std::vector<std::string>& out) {
        for (const OwnerRef& owner : object.view<MetaView>().owners) out.push_back(owner.uid);
      },
      SameOwners);
  cache.AddIndex(std::string(kIndexNodeName), resources::kPods,
                 [](const Object& object, std::vector<std::string>& out) {
                   out.push_back(StringAt(*object.json(), "spec.nodeName"));
                 });
  cache.AddIndex(
      std::string(kIndexOrphan), resources::kPods,
      [](const Object& object, std::vector<std::string>& out) {
        if (!object.view<MetaView>().controller()) out.push_back(object.ns());
      },
      SameOwners);
  cache.AddIndex(
      std::string(kIndexLabel), resources::kPods,
      [](const Object& object, std::vector<std::string>& out) {
        for (const auto& [key, value] : *object.view<MetaView>().labels)
          out.push_back(object.ns() + "/" + key + "=" + value);
      },
      SameLabels);
  cache.AddIndex(std::string(kIndexServiceName), resources::kEndpointSlices,
                 [](const Object& object, std::vector<std::string>& out) {
                   const std::string* service = object.view<MetaView>().label(kServiceNameLabel);
                   if (service) out.push_back(object.ns() + "/" + *service);
                 });
  cache.AddIndex(
      std::string(kIndexPodClaim), resources::kPods,
      [](const Object& object, std::vector<std::string>& out) {
        for (const std::string& claim : ClaimsOfPod(*object.json())) out.push_back(object.ns() + "/" + claim);
      },
      SameObject);  // spec.volumes is immutable
  cache.AddIndex(std::string(kIndexVolumeClaim), resources::kPersistentVolumes,
                 [](const Object& object, std::vector<std::string>& out) {
                   const VolumeView& volume = object.view<VolumeView>();
                   out.push_back(volume.claimed ? volume.claim_key() : volume.storage_class);
                 });
}

}  // namespace wherry
