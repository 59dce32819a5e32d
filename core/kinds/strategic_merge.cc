#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/kinds/patch.h"

namespace wherry {
namespace {

constexpr std::string_view kPatch = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kSetElementOrder = "$setElementOrder/";
constexpr std::string_view kDeleteFromPrimitiveList = "$deleteFromPrimitiveList/";

// Why a patch is refused; never leaves this file.
struct BadPatch : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string Text(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

// The directive of a map or a list element; "" when it has none.
std::string Directive(const Json& map) {
  const auto it = map.find(kPatch);
  if (it == map.end()) return {};
  if (it->is_string()) {
    const std::string& directive = it->get_ref<const std::string&>();
    if (directive == "merge" || directive == "replace" || directive == "delete") return directive;
  }
  throw BadPatch("unknown patch type: " + Text(*it) + " in map: " + Text(map));
}

// What an item of a merge list is recognised by: its merge key, or itself in a list of scalars (`key` is empty).
const Json& Identity(const Json& item, const std::string& key) {
  if (key.empty()) return item;
  if (item.is_object()) {
    if (const auto it = item.find(key); it != item.end()) return *it;
  }
  throw BadPatch("map: " + Text(item) + " does not contain declared merge key: " + key);
}

// Where the items of a list are, by identity; the first of several. Items without the key have no place.
class Places {
 public:
  Places(const Json& list, const std::string& key) : key_(key) {
    for (size_t i = 0; i < list.size(); ++i) Add(list[i], i);
  }

  void Add(const Json& item, size_t at) {
    if (const Json* identity = Of(item)) places_.emplace(*identity, at);
  }
  // kNowhere when absent.
  size_t Find(const Json& identity) const {
    const auto it = places_.find(identity);
    return it == places_.end() ? kNowhere : it->second;
  }
  size_t FindItem(const Json& item) const {
    const Json* identity = Of(item);
    return identity ? Find(*identity) : kNowhere;
  }

  static constexpr size_t kNowhere = static_cast<size_t>(-1);

 private:
  const Json* Of(const Json& item) const {
    if (key_.empty()) return &item;
    if (!item.is_object()) return nullptr;
    const auto it = item.find(key_);
    return it == item.end() ? nullptr : &*it;
  }

  const std::string& key_;
  std::map<Json, size_t> places_;
};

// Orders `merged`: items that `order` names stand in that order; the others (the server's own) keep their places
// relative to those of the named that the `original` list had too.
Json Reorder(const Json& merged, const Json& order, const Json& original, const std::string& key) {
  struct Placed {
    const Json* item;
    size_t in_order, in_original;
  };
  const Places ordered(order, key), before(original, key);
  std::vector<Placed> named, others;
  for (const Json& item : merged) {
    const Placed placed{&item, ordered.FindItem(item), before.FindItem(item)};
    (placed.in_order != Places::kNowhere ? named : others).push_back(placed);
  }
  std::stable_sort(named.begin(), named.end(),
                   [](const Placed& a, const Placed& b) { return a.in_order < b.in_order; });
  std::stable_sort(others.begin(), others.end(),
                   [](const Placed& a, const Placed& b) { return a.in_original < b.in_original; });
  Json out = Json::array();
  size_t i = 0, j = 0;
  while (i < others.size() || j < named.size()) {
    bool other_first = j == named.size();
    if (i < others.size() && j < named.size()) {
      other_first = named[j].in_original != Places::kNowhere && others[i].in_original < named[j].in_original;
    }
    out.push_back(other_first ? *others[i++].item : *named[j++].item);
  }
  return out;
}

class Merger {
 public:
  // `type` may be null: no schema below this point. `original` is null when there is none.
  Json Map(const Type* type, Json original, const Json& patch) {
    const std::string directive = Directive(patch);
    if (directive == "delete") return Json::object();
    if (directive == "replace") original = nullptr;
    if (!original.is_object()) original = Json::object();
    if (const auto it = patch.find(kRetainKeys); it != patch.end()) RetainKeys(original, patch, *it);
    for (const auto& [name, value] : patch.items()) {
      if (std::string_view(name).starts_with(kSetElementOrder)) {
        Ordered(type, original, patch, name.substr(kSetElementOrder.size()), value);
      }
    }
    for (const auto& [name, value] : patch.items()) Member(type, original, patch, name, value);
    return original;
  }

 private:
  // The type of a member and, for a field, the field.
  static const Type* MemberType(const Type* type, const std::string& name, const Field** field) {
    *field = type && type->kind == TypeKind::kObject ? type->FindField(name) : nullptr;
    if (*field) return (*field)->type;
    return type && type->kind == TypeKind::kMap ? type->element : nullptr;
  }

  void Member(const Type* type, Json& original, const Json& patch, const std::string& name, const Json& value) {
    if (name == kPatch || name == kRetainKeys || name.starts_with(kSetElementOrder)) return;
    if (name.starts_with(kDeleteFromPrimitiveList)) {
      return DeleteFromList(original, name.substr(kDeleteFromPrimitiveList.size()), value);
    }
    if (type && type->kind == TypeKind::kObject && name.starts_with('$'))
      throw BadPatch("unknown directive " + Text(Json(name)));
    if (value.is_null()) {
      original.erase(name);
      return;
    }
    if (patch.contains(std::string(kSetElementOrder) + name)) return;  // done with its order
    const Field* field = nullptr;
    const Type* member = MemberType(type, name, &field);
    Json& slot = original[name];
    slot = Value(member, field, std::move(slot), value);
  }

  Json Value(const Type* type, const Field* field, Json original, const Json& patch) {
    if (type && type->kind == TypeKind::kAny) type = nullptr;
    if (patch.is_object()) {
      if (field && field->patch_replace) original = nullptr;
      return Map(type, std::move(original), patch);
    }
    if (patch.is_array() && field && field->patch_merge) {
      if (!original.is_array()) original = Json::array();
      return List(*field, std::move(original), patch);
    }
    return patch;
  }

  static void RetainKeys(Json& original, const Json& patch, const Json& keys) {
    const auto bad = [&keys] {
      return BadPatch("$retainKeys is no list of all the fields of the patch: " + Text(keys));
    };
    if (!keys.is_array()) throw bad();
    const auto kept = [&keys](const std::string& name) {
      return std::find(keys.begin(), keys.end(), Json(name)) != keys.end();
    };
    for (const auto& [name, value] : patch.items()) {
      if (!name.starts_with('$') && !value.is_null() && !kept(name)) throw bad();
    }
    for (auto it = original.begin(); it != original.end();) it = kept(it.key()) ? std::next(it) : original.erase(it);
  }

  static void DeleteFromList(Json& original, const std::string& name, const Json& values) {
    if (!values.is_array()) throw BadPatch(std::string(kDeleteFromPrimitiveList) + name + " is no list");
    const auto it = original.find(name);
    if (it == original.end() || !it->is_array()) return;
    const std::string no_key;
    const Places unwanted(values, no_key);
    Json rest = Json::array();
    for (Json& item : *it) {
      if (unwanted.Find(item) == Places::kNowhere) rest.push_back(std::move(item));
    }
    *it = std::move(rest);
  }

  // A list whose patch comes with the order of the whole list.
  void Ordered(const Type* type, Json& original, const Json& patch, const std::string& name, const Json& order) {
    if (!order.is_array()) throw BadPatch("$setElementOrder/" + name + " is no list");
    const Field* field = nullptr;
    MemberType(type, name, &field);
    if (!field || field->type->kind != TypeKind::kList) throw BadPatch("$setElementOrder/" + name + " is of no list");
    const std::string& key = field->patch_key;
    for (const Json& item : order) Identity(item, key);
    const auto patch_list = patch.find(name);
    const auto original_list = original.find(name);
    if (patch_list != patch.end()) {
      if (patch_list->is_null()) return;
      if (!patch_list->is_array()) throw BadPatch(name + " is no list");
      CheckOrder(*patch_list, order, key, name);
    } else if (original_list == original.end()) {
      return;
    }
    const Json before = original_list != original.end() && original_list->is_array() ? *original_list : Json::array();
    const Json merged = patch_list == patch.end() ? before : Value(field->type, field, before, *patch_list);
    original[name] = Reorder(merged, order, before, key);
  }

  static void CheckOrder(const Json& list, const Json& order, const std::string& key, const std::string& name) {
    const Places places(order, key);
    size_t from = 0;
    for (const Json& item : list) {
      if (item.is_object() && item.contains(kPatch)) continue;
      const size_t at = places.Find(Identity(item, key));
      if (at == Places::kNowhere || at < from) {
        throw BadPatch("the order in patch list " + Text(list) + " doesn't match $setElementOrder/" + name + " list " +
                       Text(order));
      }
      from = at;
    }
  }

  Json List(const Field& field, Json original, const Json& patch) {
    if (field.type->element->kind != TypeKind::kObject) return Union(original, patch);
    const std::string& key = field.patch_key;
    if (key.empty()) throw BadPatch("cannot merge lists without merge key for " + field.name);
    std::vector<const Json*> items;  // of the patch, without special ones
    Json deleted = Json::array();
    bool replace = false;
    for (const Json& item : patch) {
      if (!item.is_object()) throw BadPatch("a list of objects holds " + Text(item));
      const std::string directive = Directive(item);
      if (directive == "replace") {
        replace = true;
      } else if (directive == "delete") {
        deleted.push_back({{key, Identity(item, key)}});
      } else {
        items.push_back(&item);
      }
    }
    if (replace) original = Json::array();
    Json merged = Json::array();
    const Places unwanted(deleted, key);
    for (const Json& item : original) {
      if (unwanted.FindItem(item) == Places::kNowhere) merged.push_back(item);
    }
    Places places(merged, key);
    Json order = Json::array();
    for (const Json* item : items) {
      const Json& identity = Identity(*item, key);
      order.push_back({{key, identity}});
      size_t at = places.Find(identity);
      if (at == Places::kNowhere) {
        at = merged.size();
        merged.push_back(nullptr);
        places.Add(*item, at);
      }
      merged[at] = Map(field.type->element, std::move(merged[at]), *item);
    }
    return Reorder(merged, order, original, key);
  }

  static Json Union(const Json& original, const Json& patch) {
    const std::string no_key;
    Json merged = Json::array();
    Places places(merged, no_key);
    for (const Json* list : {&original, &patch}) {
      for (const Json& item : *list) {
        if (item.is_structured()) throw BadPatch("a list of scalars holds " + Text(item));
        if (places.Find(item) != Places::kNowhere) continue;
        places.Add(item, merged.size());
        merged.push_back(item);
      }
    }
    return Reorder(merged, patch, original, no_key);
  }
};

}  // namespace

Result<Json> ApplyStrategicMergePatch(const Type& type, Json document, const Json& patch) {
  if (!patch.is_object()) return Status::BadRequest("error decoding strategic merge patch: the patch is no object");
  try {
    return Merger().Map(&type, std::move(document), patch);
  } catch (const BadPatch& error) {
    return Status::BadRequest("error decoding strategic merge patch: " + std::string(error.what()));
  }
}

}  // namespace wherry
