#include "core/controllers/statefulset/claim_owners.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"

namespace wherry {
namespace {

bool IsPodOfOrdinal(const StatefulSetView& set, int64_t ordinal, const Json& owner) {
  return StringAt(owner, "kind") == "Pod" && StringAt(owner, "apiVersion") == "v1" &&
         StringAt(owner, "name") == set.PodName(ordinal);
}
bool IsSet(const StatefulSetView& set, const Json& owner) {
  return StringAt(owner, "kind") == "StatefulSet" && StringAt(owner, "apiVersion").starts_with("apps/") &&
         StringAt(owner, "name") == set.name;
}

Json Owner(const char* api_version, const char* kind, const std::string& name, const std::string& uid) {
  return {{"apiVersion", api_version}, {"kind", kind}, {"name", name}, {"uid", uid}, {"controller", true},
          {"blockOwnerDeletion", true}};
}

}  // namespace

Json ClaimOwners(const StatefulSetView& set, int64_t ordinal, const ClaimPod& pod, const Json& owners) {
  const bool leaving = !set.InRange(ordinal);
  const bool by_pod = set.delete_claims_when_scaled && leaving && !pod.uid.empty();
  const bool by_set = set.delete_claims_with_set && !(set.delete_claims_when_scaled && leaving);
  Json out = Json::array();
  bool has_pod = false, has_set = false;
  if (owners.is_array()) {
    for (const Json& owner : owners) {
      if (IsPodOfOrdinal(set, ordinal, owner)) {
        if (!by_pod || has_pod || StringAt(owner, "uid") != pod.uid) continue;
        has_pod = true;
      } else if (IsSet(set, owner)) {
        if (!by_set || has_set || StringAt(owner, "uid") != set.uid) continue;
        has_set = true;
      }
      out.push_back(owner);
    }
  }
  if (by_pod && !has_pod) out.push_back(Owner("v1", "Pod", pod.name, pod.uid));
  if (by_set && !has_set) out.push_back(Owner("apps/v1", "StatefulSet", set.name, set.uid));
  return out;
}

bool ClaimIsLeaving(const StatefulSetView& set, int64_t ordinal, const std::string& pod_uid, const Json& owners) {
  if (!owners.is_array()) return false;
  return std::any_of(owners.begin(), owners.end(), [&](const Json& owner) {
    return IsPodOfOrdinal(set, ordinal, owner) && StringAt(owner, "uid") != pod_uid;
  });
}

bool ClaimHasOtherController(const StatefulSetView& set, int64_t ordinal, const Json& owners) {
  if (!owners.is_array()) return false;
  return std::any_of(owners.begin(), owners.end(), [&](const Json& owner) {
    return BoolAt(owner, "controller") && !IsPodOfOrdinal(set, ordinal, owner) && !IsSet(set, owner);
  });
}

}  // namespace wherry
