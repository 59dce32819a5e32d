#include "core/runtime/object_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace wherry {
namespace {

// Takes `"key":"text"` off the front of `bytes`; false, and nothing taken, when something else is there.
bool TakeText(std::string_view& bytes, std::string_view key, std::string* text) {
  std::string_view rest = bytes;
  const auto take = [&rest](std::string_view expected) {
    if (!rest.starts_with(expected)) return false;
    rest.remove_prefix(expected.size());
    return true;
  };
  if (!take("\"") || !take(key) || !take("\":\"")) return false;
  const size_t end = rest.find_first_of("\"\\");
  if (end == std::string_view::npos || rest[end] == '\\') return false;
  *text = rest.substr(0, end);
  bytes = rest.substr(end + 1);
  return true;
}

}  // namespace

TypeOfObject TypeOf(const Object& object) {
  TypeOfObject type;
  std::string_view bytes = object.bytes();
  if (bytes.starts_with('{')) {
    bytes.remove_prefix(1);
    if (TakeText(bytes, "apiVersion", &type.api_version) && bytes.starts_with(',')) {
      bytes.remove_prefix(1);
      if (TakeText(bytes, "kind", &type.kind)) return type;
    }
  }
  const JsonPtr document = object.json();
  return {StringAt(*document, "apiVersion"), StringAt(*document, "kind")};
}

MetaView::MetaView(const Json& object) {
  const Json* metadata = FindPath(object, "metadata");
  if (!metadata) return;
  if (const Json* found = FindPath(*metadata, "labels"); found && found->is_object()) {
    Labels pairs;
    for (auto it = found->begin(); it != found->end(); ++it) {
      if (it->is_string()) pairs.emplace_back(it.key(), it->get<std::string>());
    }
    labels = SharedLabels(std::move(pairs));
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
  auto it = std::lower_bound(labels->begin(), labels->end(), key,
                             [](const auto& pair, std::string_view wanted) { return pair.first < wanted; });
  return it != labels->end() && it->first == key ? &it->second : nullptr;
}

const OwnerRef* MetaView::controller() const {
  for (const OwnerRef& ref : owners) {
    if (ref.controller) return &ref;
  }
  return nullptr;
}

}  // namespace wherry
