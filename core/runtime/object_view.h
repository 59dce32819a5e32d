#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/runtime/time.h"
#include "store/object.h"

namespace wherry {

struct OwnerRef {
  std::string api_version, kind, name, uid;
  bool controller = false;
  bool block_owner_deletion = false;
};

// The metadata that everybody looks at again and again: `object->view<MetaView>()`.
struct MetaView {
  explicit MetaView(const Json& object);

  std::vector<std::pair<std::string, std::string>> labels;  // sorted by key
  std::vector<OwnerRef> owners;
  std::vector<std::string> finalizers;
  std::optional<Time> deletion_timestamp;
  Time creation_timestamp{};
  int64_t generation = 0;

  const std::string* label(std::string_view key) const;
  const OwnerRef* controller() const;  // null when nobody manages it
  bool deleting() const { return deletion_timestamp.has_value(); }
};

// Reading a document without tripping over what is absent. `path` is dotted ("spec.nodeName"); no list indices.
const Json* FindPath(const Json& document, std::string_view path);          // null when absent
std::string StringAt(const Json& document, std::string_view path, std::string_view otherwise = "");
int64_t IntAt(const Json& document, std::string_view path, int64_t otherwise = 0);
bool BoolAt(const Json& document, std::string_view path, bool otherwise = false);

}  // namespace wherry
