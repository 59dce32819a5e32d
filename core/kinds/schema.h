#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/json.h"

namespace wherry {

// The types of API fields. The scalar kinds name both the JSON form and the protobuf wire form.
enum class TypeKind : uint8_t {
  kObject,  // named fields
  kMap,     // string keys; `element` is the value type
  kList,    // `element` is the item type
  kString,
  kBool,
  kInt32,
  kInt64,
  kDouble,
  kBytes,        // base64 in JSON
  kQuantity,     // resource.Quantity
  kIntOrString,  // intstr.IntOrString
  kTime,         // metav1.Time, RFC 3339 seconds
  kMicroTime,
  kDuration,  // metav1.Duration, "1h0m0s"
  kAny,       // any JSON value: RawExtension, JSON, FieldsV1; protobuf carries JSON bytes in field 1 unless noted
};

// How a list merges: x-kubernetes-list-type (server-side apply).
enum class ListType : uint8_t { kAtomic, kSet, kMap };

struct Type;

// One field of an object type: everything the tables upstream say about it.
struct Field {
  std::string name;            // JSON name
  const Type* type = nullptr;  // never null; owned by the Schema
  uint32_t number = 0;         // protobuf field number; 0 = not on the wire
  bool pointer = false;        // Go pointer: presence matters, a zero value is kept
  bool omitempty = false;      // else a zero value is written
  bool required = false;       // must be present and not empty (validation)
  bool inlined = false;        // flattened in JSON, a nested message in protobuf (name is then "")
  ListType list_type = ListType::kAtomic;
  std::vector<std::string> list_keys;            // for kMap lists
  bool patch_merge = false;                      // strategic merge: patchStrategy merge
  bool patch_replace = false;                    // patchStrategy replace
  bool patch_retain_keys = false;                // patchStrategy retainKeys
  std::string patch_key;                         // patchMergeKey
  JsonPtr default_value;                         // null = none
  std::string default_when;                      // the default applies only when this sibling (declared before) …
  std::vector<std::string> default_when_values;  // … has one of these values
  std::vector<std::string> enum_values;          // empty = any
  bool immutable = false;                        // may not change (reported by path); additions count as changes
  bool set_once = false;                         // may not change once it has a value
  bool unique = false;                           // kMap lists: repeated keys are refused
  std::optional<int64_t> minimum, maximum;
  std::string format;  // a named validator of core/kinds/formats.h; "" = none
  std::string description;
};

struct Type {
  std::string name;       // "DaemonSetSpec"; "" for scalars, lists and maps
  std::string full_name;  // "io.k8s.api.apps.v1.DaemonSetSpec", for OpenAPI; "" likewise
  TypeKind kind = TypeKind::kAny;
  std::vector<Field> fields;      // kObject, in declaration order; inlined types' fields are reached through FindField
  const Type* element = nullptr;  // kMap, kList
  bool preserve_unknown = false;  // kObject: unknown fields are kept

  // The field with this JSON name, looking through inlined types; null when unknown. O(1).
  const Field* FindField(std::string_view name) const;
  // The field with this protobuf number, inlined messages as themselves; null when unknown. O(1).
  const Field* FindNumber(uint64_t number) const { return number < by_number.size() ? by_number[number] : nullptr; }

  // Derived from `fields` by Seal(), for kObject: every JSON field (through inlined types) in declaration order, and
  // those of them that have a default.
  std::vector<const Field*> flat, defaulted;
  std::vector<const Field*> checked;  // of `flat`: required, immutable or set_once, looked at even when absent
  std::vector<const Field*> by_number;
  std::vector<uint16_t> slots;  // open-addressed hash over `flat`; 0 = free, else index + 1
  bool deep_defaults = false;   // a value of this type may contain something with a default
  std::string description;

  // Builds the derived members. REQUIRES: `fields` is complete and inlined types are sealed.
  void Seal();
};

// "object", "array", "string" …: what a JSON value is called in error messages.
const char* JsonTypeName(const Json& value);

}  // namespace wherry
