#include "core/kinds/catalog_builder.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/kinds/formats.h"
#include "core/kinds/hooks.h"

namespace wherry {
namespace {

struct ScalarName {
  std::string_view name;
  TypeKind kind;
};
constexpr std::array<ScalarName, 13> kScalars = {{{"string", TypeKind::kString},
                                                  {"bool", TypeKind::kBool},
                                                  {"int32", TypeKind::kInt32},
                                                  {"int64", TypeKind::kInt64},
                                                  {"double", TypeKind::kDouble},
                                                  {"bytes", TypeKind::kBytes},
                                                  {"quantity", TypeKind::kQuantity},
                                                  {"intorstring", TypeKind::kIntOrString},
                                                  {"time", TypeKind::kTime},
                                                  {"microtime", TypeKind::kMicroTime},
                                                  {"duration", TypeKind::kDuration},
                                                  {"any", TypeKind::kAny}}};

// The next word of `line`, "" at its end.
std::string_view Word(std::string_view& line) {
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

bool Consume(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

template <typename Number>
bool ReadNumber(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

// Text after " -- " is a description.
std::string TakeDescription(std::string_view& line) {
  const size_t at = line.find(" -- ");
  if (at == std::string_view::npos) return {};
  std::string text(line.substr(at + 4));
  line = line.substr(0, at);
  return text;
}

}  // namespace

CatalogBuilder::CatalogBuilder()
    : catalog_(std::make_shared<KindCatalog>()), rep_(*(catalog_->rep_ = std::make_shared<KindCatalog::Rep>())) {
  for (const ScalarName& scalar : kScalars) {
    Type& type = rep_.types.emplace_back();
    type.kind = scalar.kind;
    scalars_[static_cast<size_t>(scalar.kind)] = &type;
  }
}

void CatalogBuilder::Fail(std::string_view why) const {
  throw std::invalid_argument(package_.name + ": \"" + std::string(line_) + "\": " + std::string(why));
}

void CatalogBuilder::Add(std::string_view text) {
  package_ = {};
  kind_ = nullptr;
  type_ = nullptr;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    line_ = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line_.empty() && line_.front() != '#') Line(line_);
  }
}

void CatalogBuilder::Line(std::string_view line) {
  if (line.front() == ' ') {
    if (type_) return ReadField(line);
    if (kind_) return ReadKindPart(line);
    Fail("belongs to nothing");
  }
  kind_ = nullptr;
  type_ = nullptr;
  std::string description = TakeDescription(line);
  const std::string_view word = Word(line);
  if (word == "package") {
    package_.name = Word(line);
    const std::string_view group = Word(line);
    package_.group = group == "core" ? "" : std::string(group);
    package_.version = Word(line);
    package_.full_prefix = Word(line);
    packages_[package_.name] = package_;
  } else if (word == "enum") {
    std::pair key(package_.name, std::string(Word(line)));
    for (std::string_view value = Word(line); !value.empty(); value = Word(line)) {
      enums_[key].emplace_back(value == "\"\"" ? std::string_view() : value);
    }
  } else if (word == "type") {
    type_ = Named(package_.name, Word(line));
    if (!defined_.emplace(type_, true).second) Fail("defined twice");
    type_->description = std::move(description);
    if (Word(line) == "open") type_->preserve_unknown = true;
  } else if (word == "kind" || word == "virtual") {
    ReadKind(line, word == "virtual");
  } else if (word == "body") {
    for (std::string_view name = Word(line); !name.empty(); name = Word(line)) {
      const GroupVersionKind gvk = ReadGvk(name);
      rep_.bodies[GvkKey(gvk.group, gvk.version, gvk.kind)] = Named(package_.name, gvk.kind);
    }
  } else if (word == "anybody") {
    for (std::string_view name = Word(line); !name.empty(); name = Word(line)) {
      rep_.any_bodies[std::string(name)] = Named(package_.name, name);
    }
  } else {
    Fail("unknown statement");
  }
}

GroupVersionKind CatalogBuilder::ReadGvk(std::string_view text) const {
  const std::vector<std::string> parts = Split(text, '/');
  if (parts.size() == 1) return {package_.group, package_.version, parts[0]};
  if (parts.size() == 2) return {"", parts[0], parts[1]};
  if (parts.size() == 3) return {parts[0], parts[1], parts[2]};
  Fail("not a group/version/kind");
}

void CatalogBuilder::ReadKind(std::string_view line, bool is_virtual) {
  auto kind = std::make_unique<Kind>();
  kind->gvk = {package_.group, package_.version, std::string(Word(line))};
  kind->plural = Word(line);
  kind->singular = Word(line);
  if (kind->singular.empty()) Fail("kind wants a name, a plural and a singular");
  kind->list_kind = kind->gvk.kind + "List";
  kind->resource = kind->qualified_plural();
  if (is_virtual) {
    kind->verbs = {"create"};
  } else {
    kind->verbs = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
  }
  kind_ = kind.get();
  kind_types_.emplace_back(kind_, Named(package_.name, kind->gvk.kind));
  auto& list = is_virtual ? catalog_->virtual_kinds_ : catalog_->kinds_;
  if (is_virtual) {
    rep_.bodies[GvkKey(kind->gvk.group, kind->gvk.version, kind->gvk.kind)] = kind_types_.back().second;
  }
  list.push_back(std::move(kind));
}

void CatalogBuilder::ReadKindPart(std::string_view line) {
  Kind& kind = *kind_;
  std::string description = TakeDescription(line);
  const std::string_view word = Word(line);
  const auto words = [&line] {
    std::vector<std::string> all;
    for (std::string_view next = Word(line); !next.empty(); next = Word(line)) all.emplace_back(next);
    return all;
  };
  if (word == "short") {
    kind.short_names = words();
  } else if (word == "categories") {
    kind.categories = words();
  } else if (word == "verbs") {
    kind.verbs = words();
  } else if (word == "name") {
    kind.name_format = Word(line);
  } else if (word == "storage") {
    views_.emplace_back(kind_, std::string(Word(line)));
  } else if (word == "also") {
    for (std::string& version : words()) aliases_.emplace_back(kind_, std::move(version));
  } else if (word == "flags") {
    for (const std::string& flag : words()) {
      if (flag == "cluster") {
        kind.namespaced = false;
      } else if (flag == "status") {
        kind.has_status = true;
      } else if (flag == "generation") {
        kind.has_generation = true;
      } else if (flag == "create-on-update") {
        kind.create_on_update = true;
      } else if (flag == "returns-object") {
        kind.returns_deleted_object = true;
      } else if (flag == "conditional-update") {
        kind.unconditional_update = false;
      } else {
        Fail("unknown flag " + flag);
      }
    }
  } else if (word == "sub") {
    Subresource sub;
    sub.name = Word(line);
    sub.gvk = ReadGvk(Word(line));
    sub.verbs = words();
    if (sub.verbs.empty()) Fail("a subresource wants verbs");
    kind.subresources.push_back(std::move(sub));
  } else if (word == "select") {
    for (const std::string& label : words()) {
      const size_t at = label.find('=');
      kind.selectable[label.substr(0, at)] = at == std::string::npos ? label : label.substr(at + 1);
    }
  } else if (word == "col") {
    Column column;
    column.name = Word(line);
    std::replace(column.name.begin(), column.name.end(), '_', ' ');
    column.type = Word(line);
    column.format = Word(line);
    if (column.format == "-") column.format.clear();
    std::string_view where = Word(line);
    if (where.empty()) Fail("a column wants a name, a type, a format or -, and a path or @printer");
    if (Consume(where, "@")) {
      column.printer = where;
    } else {
      column.path = where;
    }
    if (Word(line) == "wide") column.priority = 1;
    column.description = std::move(description);
    kind.columns.push_back(std::move(column));
  } else {
    Fail("unknown part of a kind");
  }
}

void CatalogBuilder::ReadField(std::string_view line) {
  Field field;
  field.description = TakeDescription(line);
  std::string_view name = Word(line);
  if (name == "+") {
    field.inlined = true;
  } else {
    if (name.ends_with('?')) {
      field.omitempty = true;
      name.remove_suffix(1);
    }
    field.name = name;
  }
  field.type = ReadType(Word(line), &field);
  if (!ReadNumber(Word(line), field.number) || field.number > 10'000) Fail("wants a protobuf number after the type");
  for (std::string_view flag = Word(line); !flag.empty(); flag = Word(line)) ReadFlag(field, flag);
  type_->fields.push_back(std::move(field));
}

void CatalogBuilder::ReadFlag(Field& field, std::string_view flag) {
  std::string_view value = flag;
  int64_t number = 0;
  if (flag == "required") {
    field.required = true;
  } else if (flag == "immutable") {
    field.immutable = true;
  } else if (flag == "set-once") {
    field.set_once = true;
  } else if (flag == "unique") {
    field.unique = true;
  } else if (flag == "set") {
    field.list_type = ListType::kSet;
  } else if (Consume(value, "map=")) {
    field.list_type = ListType::kMap;
    field.list_keys = Split(value, ',');
  } else if (flag == "merge") {
    field.patch_merge = true;
  } else if (Consume(value, "merge=")) {
    field.patch_merge = true;
    field.patch_key = value;
  } else if (flag == "replace") {
    field.patch_replace = true;
  } else if (flag == "retain") {
    field.patch_retain_keys = true;
  } else if (Consume(value, "default=")) {
    field.default_value = std::make_shared<const Json>(Json::parse(value));
  } else if (Consume(value, "when=")) {
    const size_t at = value.find(':');
    if (at == std::string_view::npos) Fail("when= wants field:value|value");
    field.default_when = value.substr(0, at);
    field.default_when_values = Split(value.substr(at + 1), '|');
  } else if (Consume(value, "enum=")) {
    field.enum_values = Split(value, '|');
  } else if (Consume(value, "min=") && ReadNumber(value, number)) {
    field.minimum = number;
  } else if (Consume(value, "max=") && ReadNumber(value, number)) {
    field.maximum = number;
  } else if (Consume(value, "format=")) {
    field.format = value;
    if (!IsKnownFormat(field.format)) Fail("unknown format");
  } else {
    Fail("unknown flag " + std::string(flag));
  }
}

const Type* CatalogBuilder::ReadType(std::string_view text, Field* field) {
  if (field && Consume(text, "*")) field->pointer = true;
  if (Consume(text, "[]")) return Derived(TypeKind::kList, ReadType(text, field));  // enum: of the items
  if (Consume(text, "map:")) return Derived(TypeKind::kMap, ReadType(text, nullptr));
  for (const ScalarName& scalar : kScalars) {
    if (scalar.name == text) return scalars_[static_cast<size_t>(scalar.kind)];
  }
  std::string_view package = package_.name;
  std::string_view name = text;
  if (const size_t dot = text.rfind('.'); dot != std::string_view::npos) {
    package = text.substr(0, dot);
    name = text.substr(dot + 1);
  }
  if (name.empty()) Fail("wants a type");
  if (auto it = enums_.find(std::pair(std::string(package), std::string(name))); it != enums_.end()) {
    if (field) field->enum_values = it->second;
    return scalars_[static_cast<size_t>(TypeKind::kString)];
  }
  return Named(package, name);
}

Type* CatalogBuilder::Named(std::string_view package, std::string_view name) {
  auto [it, is_new] = rep_.named.try_emplace(std::pair(std::string(package), std::string(name)), nullptr);
  if (is_new) {
    Type& type = rep_.types.emplace_back();
    type.kind = TypeKind::kObject;
    type.name = name;
    it->second = &type;
  }
  return it->second;
}

const Type* CatalogBuilder::Derived(TypeKind kind, const Type* element) {
  const Type*& type = derived_[{kind, element}];
  if (!type) {
    Type& made = rep_.types.emplace_back();
    made.kind = kind;
    made.element = element;
    type = &made;
  }
  return type;
}

void CatalogBuilder::SealAll() {
  // Inlined types first: they are few and never inline each other in a circle.
  std::unordered_map<const Type*, int> state;  // 1 = being sealed, 2 = done
  const std::function<void(Type&)> seal = [&](Type& type) {
    int& mine = state[&type];
    if (mine == 2) return;
    if (mine == 1) throw std::invalid_argument(type.name + " inlines itself");
    mine = 1;
    for (const Field& field : type.fields) {
      if (field.inlined) seal(const_cast<Type&>(*field.type));  // ours: rep_ owns it
    }
    if (type.kind == TypeKind::kObject) type.Seal();
    state[&type] = 2;
  };
  for (Type& type : rep_.types) seal(type);
  // Whether defaults lie below: a fixed point, because types are recursive.
  for (bool changed = true; changed;) {
    changed = false;
    for (Type& type : rep_.types) {
      if (type.deep_defaults) continue;
      bool deep = !type.defaulted.empty() || (type.element && type.element->deep_defaults);
      for (const Field* field : type.flat) deep = deep || field->type->deep_defaults;
      if (deep) type.deep_defaults = changed = true;
    }
  }
}

// The same kind under another version: a view that differs in its apiVersion and in what its own hooks convert.
std::unique_ptr<Kind> CatalogBuilder::Alias(const Kind& of, const std::string& version) {
  auto alias = std::make_unique<Kind>(of);
  alias->gvk.version = version;
  alias->storage = of.storage ? of.storage : &of;
  for (Subresource& sub : alias->subresources) {
    if (sub.gvk.group == of.gvk.group && sub.gvk.version == of.gvk.version) sub.gvk.version = version;
  }
  const auto convert = [](std::string api_version, std::function<Json(const Json&)> first,
                          std::function<Json(const Json&)> second) {
    return
        [api_version = std::move(api_version), first = std::move(first), second = std::move(second)](const Json& in) {
          Json out = first ? first(in) : in;
          if (second) out = second(out);
          out["apiVersion"] = api_version;
          return out;
        };
  };
  const KindHooks own = HooksFor(alias->gvk);
  alias->hooks.from_storage = convert(alias->gvk.api_version(), of.hooks.from_storage, own.from_storage);
  alias->hooks.to_storage = convert(alias->storage->gvk.api_version(), own.to_storage, of.hooks.to_storage);
  return alias;
}

std::shared_ptr<KindCatalog> CatalogBuilder::Finish() {
  for (const auto& [key, type] : rep_.named) {
    if (!defined_.contains(type))
      throw std::invalid_argument("type " + key.first + "." + key.second + " is not defined");
    type->full_name = packages_.at(key.first).full_prefix + "." + key.second;
  }
  SealAll();
  for (const auto& [kind, type] : kind_types_) kind->type = type;
  for (const auto& [kind, of] : views_) {
    const size_t dot = of.rfind('.');
    const Package& package = packages_.at(of.substr(0, dot));
    const GroupVersionKind wanted{package.group, package.version, of.substr(dot + 1)};
    const auto stored = std::find_if(catalog_->kinds_.begin(), catalog_->kinds_.end(),
                                     [&wanted](const auto& other) { return other->gvk == wanted; });
    if (stored == catalog_->kinds_.end()) throw std::invalid_argument("storage " + of + " is not a kind");
    kind->storage = stored->get();
    kind->resource = kind->storage->resource;
  }
  for (const auto& kind : catalog_->kinds_) {
    kind->hooks = HooksFor(kind->gvk);
    if (!kind->storage) rep_.by_resource[kind->resource] = kind.get();
  }
  for (const auto& [kind, version] : aliases_) catalog_->kinds_.push_back(Alias(*kind, version));
  for (const auto& kind : catalog_->kinds_) {
    const GroupVersionKind& gvk = kind->gvk;
    rep_.by_plural[GvkKey(gvk.group, gvk.version, kind->plural)] = kind.get();
    rep_.by_kind[GvkKey(gvk.group, gvk.version, gvk.kind)] = kind.get();
  }
  for (const auto& kind : catalog_->virtual_kinds_) {
    rep_.virtual_by_plural[GvkKey(kind->gvk.group, kind->gvk.version, kind->plural)] = kind.get();
  }
  return catalog_;
}

}  // namespace wherry
