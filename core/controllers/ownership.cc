#include "core/controllers/ownership.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/pod_control.h"
#include "core/controllers/slow_start.h"
#include "core/kinds/resources.h"
#include "core/kinds/shared_labels.h"
#include "core/registry/indexes.h"

namespace wherry {
namespace {

bool Vanished(const Status& status) { return status.reason() == Reason::kNotFound; }

}  // namespace

Claim DecideClaim(const MetaView& object, bool matches, std::string_view owner_uid, bool owner_deleting) {
  if (const OwnerRef* controller = object.controller()) {
    if (controller->uid != owner_uid) return Claim::kNotOurs;
    if (matches) return Claim::kOurs;
    return owner_deleting ? Claim::kNotOurs : Claim::kRelease;
  }
  return matches && !owner_deleting && !object.deleting() ? Claim::kAdopt : Claim::kNotOurs;
}

Task<Status> Adopt(Client& client, ObjectPtr object, ObjectPtr owner, std::string finalizer) {
  const ObjectPtr fresh = client.cache().Get(owner->key());
  if (!fresh || fresh->uid() != owner->uid()) {
    co_return Status(Reason::kConflict, "original " + owner->key().ToString() + " is gone: got another uid");
  }
  if (fresh->view<MetaView>().deleting()) {
    co_return Status(Reason::kConflict, owner->key().ToString() + " has just been deleted");
  }
  Json document = *object->json();
  Json& references = document["metadata"]["ownerReferences"];
  if (!references.is_array()) references = Json::array();
  std::erase_if(references.get_ref<Json::array_t&>(),
                [&](const Json& reference) { return StringAt(reference, "uid") == owner->uid(); });
  references.push_back(ControllerReference(*owner));
  if (!finalizer.empty()) AddFinalizer(document["metadata"], finalizer);
  Result<ObjectPtr> updated = co_await client.Update(object->key().resource, std::move(document));
  co_return updated.ok() ? Status() : updated.status();
}

Task<Status> Release(Client& client, ObjectPtr object, std::string owner_uid) {
  Json document = *object->json();
  Json& metadata = document["metadata"];
  Json kept = Json::array();
  if (auto it = metadata.find("ownerReferences"); it != metadata.end() && it->is_array()) {
    for (const Json& reference : *it) {
      if (StringAt(reference, "uid") != owner_uid) kept.push_back(reference);
    }
  }
  metadata.erase("ownerReferences");
  if (!kept.empty()) metadata["ownerReferences"] = std::move(kept);
  Result<ObjectPtr> updated = co_await client.Update(object->key().resource, std::move(document));
  co_return updated.ok() ? Status() : updated.status();
}

ClaimedObjects SortClaims(const WatchCache& cache, std::string_view resource, const Object& owner,
                          const LabelSelector& selector, bool owner_deleting, const ClaimFilter& filter) {
  ClaimedObjects out;
  SweepMatcher selects(selector);
  auto matches = [&](const Object& object, const MetaView& meta) {
    return selects(*meta.labels) && (!filter || filter(object));
  };
  for (ObjectPtr& object : cache.ByIndex(kIndexOwnerUid, owner.uid())) {
    if (object->key().resource != resource || object->ns() != owner.ns()) continue;
    const MetaView& meta = object->view<MetaView>();
    switch (DecideClaim(meta, matches(*object, meta), owner.uid(), owner_deleting)) {
      case Claim::kOurs:
        out.ours.push_back(std::move(object));
        break;
      case Claim::kRelease:
        out.release.push_back(std::move(object));
        break;
      // A plain owner reference of ours without a controller: an orphan like any other.
      case Claim::kAdopt:
        out.adopt.push_back(std::move(object));
        break;
      case Claim::kNotOurs:
        break;
    }
  }
  auto consider = [&](const ObjectPtr& object) {
    const MetaView& meta = object->view<MetaView>();
    if (meta.controller()) return true;
    const bool owned = std::any_of(meta.owners.begin(), meta.owners.end(),
                                   [&](const OwnerRef& ref) { return ref.uid == owner.uid(); });
    if (owned) return true;  // seen above
    if (DecideClaim(meta, matches(*object, meta), owner.uid(), owner_deleting) == Claim::kAdopt)
      out.adopt.push_back(object);
    return true;
  };
  if (resource == resources::kPods) {
    for (const ObjectPtr& object : cache.ByIndex(kIndexOrphan, owner.ns())) consider(object);
  } else {
    cache.ForEach(resource, owner.ns(), consider);
  }
  return out;
}

namespace {

// The value of an equality that every match has, as the label index files it; "" = there is none.
std::string IndexedValue(const LabelSelector& selector, const std::string& ns) {
  for (const auto& requirement : selector.requirements()) {
    if (requirement.op == LabelSelector::Requirement::Op::kIn && requirement.values.size() == 1) {
      return ns + "/" + requirement.key + "=" + requirement.values.front();
    }
  }
  return {};
}

}  // namespace

std::vector<ObjectPtr> PodsMatching(const WatchCache& cache, const std::string& ns, const LabelSelector& selector) {
  std::vector<ObjectPtr> out;
  SweepMatcher selects(selector);
  auto consider = [&](const ObjectPtr& pod) {
    if (selects(*pod->view<MetaView>().labels)) out.push_back(pod);
    return true;
  };
  const std::string value = IndexedValue(selector, ns);
  if (value.empty()) {
    cache.ForEach(resources::kPods, ns, consider);
  } else {
    for (const ObjectPtr& pod : cache.ByIndex(kIndexLabel, value)) consider(pod);
  }
  return out;
}

Task<Result<std::vector<ObjectPtr>>> ClaimObjects(Client& client, std::string resource, ObjectPtr owner,
                                                  LabelSelector selector, bool owner_deleting, ClaimFilter filter,
                                                  std::string finalizer) {
  ClaimedObjects claims = SortClaims(client.cache(), resource, *owner, selector, owner_deleting, filter);
  if (claims.adopt.empty() && claims.release.empty()) co_return std::move(claims.ours);

  const size_t adopts = claims.adopt.size();
  std::vector<ObjectPtr> changed = claims.adopt;
  changed.insert(changed.end(), claims.release.begin(), claims.release.end());
  BatchStep step = [&client, owner, changed, adopts, finalizer](size_t i) {
    return i < adopts ? Adopt(client, changed[i], owner, finalizer) : Release(client, changed[i], owner->uid());
  };
  const std::vector<Status> outcomes = co_await RunSideBySide(0, changed.size(), step);
  for (const Status& status : outcomes) {
    if (!status.ok() && !Vanished(status)) co_return status;
  }
  co_return std::move(SortClaims(client.cache(), resource, *owner, selector, owner_deleting, filter).ours);
}

}  // namespace wherry
