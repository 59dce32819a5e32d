#include "core/kinds/schema.h"

#include <nlohmann/json.hpp>

namespace wherry {
namespace {

uint32_t Hash(std::string_view text) {
  uint32_t hash = 2166136261u;
  for (unsigned char c : text) hash = (hash ^ c) * 16777619u;
  return hash;
}

}  // namespace

void Type::Seal() {
  flat.clear();
  by_number.clear();
  for (const Field& field : fields) {
    if (field.number != 0) {
      if (by_number.size() <= field.number) by_number.resize(field.number + 1);
      by_number[field.number] = &field;
    }
    if (field.inlined) {
      flat.insert(flat.end(), field.type->flat.begin(), field.type->flat.end());
    } else {
      flat.push_back(&field);
    }
  }
  size_t capacity = 4;
  while (capacity < flat.size() * 2) capacity *= 2;
  slots.assign(capacity, 0);
  defaulted.clear();
  checked.clear();
  for (size_t i = 0; i < flat.size(); ++i) {
    const Field& field = *flat[i];
    if (field.default_value) defaulted.push_back(&field);
    if (field.required || field.immutable || field.set_once) checked.push_back(&field);
    size_t at = Hash(field.name) & (capacity - 1);
    while (slots[at] != 0) at = (at + 1) & (capacity - 1);
    slots[at] = static_cast<uint16_t>(i + 1);
  }
}

const Field* Type::FindField(std::string_view wanted) const {
  if (slots.empty()) return nullptr;
  const size_t mask = slots.size() - 1;
  for (size_t at = Hash(wanted) & mask; slots[at] != 0; at = (at + 1) & mask) {
    const Field* field = flat[slots[at] - 1];
    if (field->name == wanted) return field;
  }
  return nullptr;
}

const char* JsonTypeName(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object:
      return "object";
    case Json::value_t::array:
      return "array";
    case Json::value_t::string:
      return "string";
    case Json::value_t::boolean:
      return "bool";
    case Json::value_t::null:
      return "null";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      return "number";
    default:
      return "binary";
  }
}

}  // namespace wherry
