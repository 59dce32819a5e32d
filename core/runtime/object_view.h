#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/kinds/fields.h"
#include "core/kinds/shared_labels.h"
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

  SharedLabels labels;
  std::vector<OwnerRef> owners;
  std::vector<std::string> finalizers;
  std::optional<Time> deletion_timestamp;
  Time creation_timestamp{};
  int64_t generation = 0;

  const std::string* label(std::string_view key) const;
  const OwnerRef* controller() const;  // null when nobody manages it
  bool deleting() const { return deletion_timestamp.has_value(); }
};

// What a reference to an object says of its type.
struct TypeOfObject {
  std::string api_version, kind;
};
// Of a stored object, without parsing it where apiVersion and kind are its first members, as they are in nearly all.
TypeOfObject TypeOf(const Object& object);

}  // namespace wherry
