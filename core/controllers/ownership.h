#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/kinds/selector.h"
#include "core/registry/client.h"
#include "core/runtime/object_view.h"

namespace wherry {

// What a controller has to do with an object that its selector or its ownership points at.
enum class Claim : uint8_t { kOurs, kAdopt, kRelease, kNotOurs };

// The rule of adoption, pure: an orphan that matches is adopted, an owned one that no longer matches is released;
// nothing changes hands while either is being deleted.
Claim DecideClaim(const MetaView& object, bool matches, std::string_view owner_uid, bool owner_deleting);

// Makes `owner` the managing controller of the orphan `object`. First looks again whether the owner is still there, the
// same (uid) and not being deleted; the write holds only if the object is unchanged.
// With `finalizer` not "", the object has that one afterwards as well.
Task<Status> Adopt(Client& client, ObjectPtr object, ObjectPtr owner, std::string finalizer);
// Takes the owner's reference away.
Task<Status> Release(Client& client, ObjectPtr object, std::string owner_uid);

// A further condition of a match, beside the selector (a StatefulSet's pods have its name in theirs). Empty = none.
using ClaimFilter = std::function<bool(const Object&)>;

// Objects of `resource` owned by or claimable for an owner, sorted out; nothing is written.
struct ClaimedObjects {
  std::vector<ObjectPtr> ours, adopt, release;
};
ClaimedObjects SortClaims(const WatchCache& cache, std::string_view resource, const Object& owner,
                          const LabelSelector& selector, bool owner_deleting, const ClaimFilter& filter = {});

// The pods of a namespace that a selector matches, in name order; through the label index where the selector allows.
std::vector<ObjectPtr> PodsMatching(const WatchCache& cache, const std::string& ns, const LabelSelector& selector);

// SortClaims, then adopts and releases: what is `owner`'s afterwards, in name order, or the first refusal. Objects that
// went away meanwhile are no refusal. What is adopted gets `finalizer`, unless that is "".
Task<Result<std::vector<ObjectPtr>>> ClaimObjects(Client& client, std::string resource, ObjectPtr owner,
                                                  LabelSelector selector, bool owner_deleting, ClaimFilter filter = {},
                                                  std::string finalizer = {});

}  // namespace wherry
