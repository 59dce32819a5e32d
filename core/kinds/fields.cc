#include "core/kinds/fields.h"

#include <nlohmann/json.hpp>

namespace wherry {

const Json* FindPath(const Json& object, std::string_view path) {
  const Json* at = &object;
  while (true) {
    if (!at->is_object()) return nullptr;
    const size_t dot = path.find('.');
    const auto it = at->find(path.substr(0, dot));
    if (it == at->end()) return nullptr;
    at = &*it;
    if (dot == std::string_view::npos) return at;
    path.remove_prefix(dot + 1);
  }
}

const Json& At(const Json& object, std::string_view path) {
  static const Json null;
  const Json* found = FindPath(object, path);
  return found == nullptr ? null : *found;
}

const std::string& StringAt(const Json& object, std::string_view path) {
  static const std::string empty;
  const auto* text = At(object, path).get_ptr<const std::string*>();
  return text == nullptr ? empty : *text;
}

std::string StringAt(const Json& object, std::string_view path, std::string_view absent) {
  const auto* text = At(object, path).get_ptr<const std::string*>();
  return text == nullptr ? std::string(absent) : *text;
}

int64_t IntAt(const Json& object, std::string_view path, int64_t absent) {
  const Json& value = At(object, path);
  return value.is_number_integer() ? value.get<int64_t>() : absent;
}

bool BoolAt(const Json& object, std::string_view path, bool absent) {
  const Json& value = At(object, path);
  return value.is_boolean() ? value.get<bool>() : absent;
}

const std::vector<Json>& ListAt(const Json& object, std::string_view path) {
  static const std::vector<Json> empty;
  const auto* list = At(object, path).get_ptr<const Json::array_t*>();
  return list == nullptr ? empty : *list;
}

const std::map<std::string, Json, std::less<>>& MapAt(const Json& object, std::string_view path) {
  static const Json::object_t empty;
  const auto* map = At(object, path).get_ptr<const Json::object_t*>();
  return map == nullptr ? empty : *map;
}

bool Has(const Json& object, std::string_view path) { return !At(object, path).is_null(); }

}  // namespace wherry
