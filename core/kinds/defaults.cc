#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/codec.h"

namespace wherry {
namespace {

// A value that Go cannot tell from an absent one: a field that is no pointer and holds its zero.
bool IsUnset(const Field& field, const Json& value) {
  if (value.is_null()) return true;
  if (field.pointer || !field.omitempty) return false;
  switch (value.type()) {
    case Json::value_t::string:
      return value.get_ref<const std::string&>().empty();
    case Json::value_t::boolean:
      return !value.get<bool>();
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return value.get<int64_t>() == 0;
    default:
      return false;
  }
}

bool Applies(const Field& field, const Json& object) {
  if (field.default_when.empty()) return true;
  const auto it = object.find(field.default_when);
  if (it == object.end() || !it->is_string()) return false;
  const auto& wanted = field.default_when_values;
  return std::find(wanted.begin(), wanted.end(), it->get_ref<const std::string&>()) != wanted.end();
}

}  // namespace

void ApplyDefaults(const Type& type, Json& value) {
  if (!type.deep_defaults) return;
  if (type.kind == TypeKind::kList || type.kind == TypeKind::kMap) {
    if (!value.is_structured()) return;
    for (Json& element : value) ApplyDefaults(*type.element, element);
    return;
  }
  if (type.kind != TypeKind::kObject || !value.is_object()) return;
  for (const Field* field : type.defaulted) {
    const auto it = value.find(field->name);
    if (it != value.end() && !IsUnset(*field, *it)) continue;
    if (Applies(*field, value)) value[field->name] = *field->default_value;
  }
  for (auto it = value.begin(); it != value.end(); ++it) {
    const Field* field = type.FindField(it.key());
    if (field && field->type->deep_defaults) ApplyDefaults(*field->type, *it);
  }
}

void ApplyDefaults(const Kind& kind, Json& object) {
  ApplyDefaults(*kind.type, object);
  if (kind.hooks.set_defaults) kind.hooks.set_defaults(object);
}

}  // namespace wherry
