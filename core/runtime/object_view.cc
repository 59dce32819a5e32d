#include "core/runtime/object_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace wherry {

MetaView::MetaView(const Json& object) {
  const Json* metadata = FindPath(object, "metadata");
  if (!metadata) return;
  if (const Json* found = FindPath(*metadata, "labels"); found && found->is_object()) {
    for (auto it = found->begin(); it != found->end(); ++it) {
      if (it->is_string()) labels.emplace_back(it.key(), it->get<std::string>());
    }
  }
  if (const Json* refs = FindPath(*metadata, "ownerReferences"); refs && refs->is_array()) {
    for (const Json& ref : *refs) {
      owners.push_back({StringAt(ref, "apiVersion"), StringAt(ref, "kind"), StringAt(ref, "name"), StringAt(ref, "uid"),
                        BoolAt(ref, "controller"), BoolAt(ref, "blockOwnerDeletion")});
    }
  }
  if (const Json* names = FindPath(*metadata, "finalizers"); names && names->is_array()) {
    for (const Json& name : *names) {
      if (name.is_string()) finalizers.push_back(name.get<std::string>());
    }
  }
  Time time;
  if (ParseTime(StringAt(*metadata, "deletionTimestamp"), &time)) deletion_timestamp = time;
  if (ParseTime(StringAt(*metadata, "creationTimestamp"), &time)) creation_timestamp = time;
  generation = IntAt(*metadata, "generation");
}

const std::string* MetaView::label(std::string_view key) const {
  auto it = std::lower_bound(labels.begin(), labels.end(), key,
                             [](const auto& pair, std::string_view wanted) { return pair.first < wanted; });
  return it != labels.end() && it->first == key ? &it->second : nullptr;
}

const OwnerRef* MetaView::controller() const {
  for (const OwnerRef& ref : owners) {
    if (ref.controller) return &ref;
  }
  return nullptr;
}

}  // namespace wherry
