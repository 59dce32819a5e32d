#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/kinds/codec.h"
#include "core/kinds/field_error.h"
#include "core/kinds/formats.h"
#include "core/kinds/validate_metadata.h"

namespace wherry {
namespace {

const Json kAbsent;

const Json& Member(const Json* object, const std::string& name) {
  if (!object || !object->is_object()) return kAbsent;
  const auto it = object->find(name);
  return it == object->end() ? kAbsent : *it;
}

bool IsEmpty(const Json& value) {
  return value.is_null() || (value.is_string() && value.get_ref<const std::string&>().empty()) ||
         (value.is_array() && value.empty());
}

class Validator {
 public:
  explicit Validator(FieldErrors& errors) : errors_(errors) {}

  // `old` is null where there is nothing to compare with: on create and below lists and maps.
  void Value(const Type& type, const Json& value, const Json* old, const std::string& path) {
    if (type.kind == TypeKind::kObject && value.is_object()) {
      Object(type, value, old, path);
    } else if (type.kind == TypeKind::kMap && value.is_object() && HasRules(*type.element)) {
      for (const auto& [key, element] : value.items()) Value(*type.element, element, nullptr, Key(path, key));
    } else if (type.kind == TypeKind::kList && value.is_array() && HasRules(*type.element)) {
      for (size_t i = 0; i < value.size(); ++i) Value(*type.element, value[i], nullptr, Item(path, i));
    }
  }

 private:
  static bool HasRules(const Type& type) {
    return type.kind == TypeKind::kObject || type.kind == TypeKind::kList || type.kind == TypeKind::kMap;
  }

  void Object(const Type& type, const Json& value, const Json* old, const std::string& path) {
    if (old && !old->is_object()) old = nullptr;
    for (const Field* field : type.checked) {
      const Json& now = Member(&value, field->name);
      if (field->required && IsEmpty(now)) errors_.push_back(Required(Child(path, field->name)));
      if (!old) continue;
      const Json& before = Member(old, field->name);
      if (field->immutable && now != before) {
        errors_.push_back(Invalid(Child(path, field->name), now, "field is immutable"));
      } else if (field->set_once && !IsEmpty(before) && now != before) {
        errors_.push_back(Forbidden(Child(path, field->name), "may not be changed once it is set"));
      }
    }
    for (const auto& [name, member] : value.items()) {
      const Field* field = type.FindField(name);
      if (field && !member.is_null()) {
        const std::string at = Child(path, name);
        Rules(*field, member, at);
        const Json& before = Member(old, name);
        Value(*field->type, member, before.is_null() ? nullptr : &before, at);
      }
    }
  }

  void Rules(const Field& field, const Json& value, const std::string& path) {
    if (!field.enum_values.empty()) {
      if (value.is_array()) {
        for (size_t i = 0; i < value.size(); ++i) OneOf(field, value[i], Item(path, i));
      } else if (field.required ? !IsEmpty(value) : field.pointer || !IsEmpty(value)) {
        OneOf(field, value, path);
      }
    }
    if (value.is_number_integer()) Range(field, value, path);
    if (!field.format.empty()) CheckFormat(field.format, value, path, errors_);
    if (field.unique && value.is_array()) Unique(field, value, path);
  }

  void OneOf(const Field& field, const Json& value, const std::string& path) {
    const auto& allowed = field.enum_values;
    if (value.is_string() &&
        std::find(allowed.begin(), allowed.end(), value.get_ref<const std::string&>()) != allowed.end()) {
      return;
    }
    std::vector<std::string> sorted = allowed;
    std::sort(sorted.begin(), sorted.end());
    errors_.push_back(NotSupported(path, value, sorted));
  }

  void Range(const Field& field, const Json& value, const std::string& path) {
    const int64_t number = value.get<int64_t>();
    if ((!field.minimum || number >= *field.minimum) && (!field.maximum || number <= *field.maximum)) return;
    std::string why;
    if (field.minimum && field.maximum) {
      why = "must be between " + std::to_string(*field.minimum) + " and " + std::to_string(*field.maximum) +
            ", inclusive";
    } else if (field.minimum) {
      why = *field.minimum == 1 ? "must be greater than 0"
                                : "must be greater than or equal to " + std::to_string(*field.minimum);
    } else {
      why = "must be less than or equal to " + std::to_string(*field.maximum);
    }
    errors_.push_back(Invalid(path, value, why));
  }

  // Items of a keyed list that repeat an earlier item's keys.
  void Unique(const Field& field, const Json& list, const std::string& path) {
    std::set<Json> seen;
    const bool single = field.list_keys.size() == 1;
    for (size_t i = 0; i < list.size(); ++i) {
      if (!list[i].is_object()) continue;
      Json key = Json::object();
      for (const std::string& name : field.list_keys) {
        if (const Json& part = Member(&list[i], name); !IsEmpty(part)) key[name] = part;
      }
      if (key.empty() || seen.insert(key).second) continue;
      std::string at = Item(path, i);
      if (single) {
        errors_.push_back(Duplicate(Child(at, field.list_keys[0]), key.front()));
      } else {
        errors_.push_back(Duplicate(std::move(at), key));
      }
    }
  }

  FieldErrors& errors_;
};

}  // namespace

FieldErrors Validate(const Kind& kind, const Json& object, const Json* old, const PartRules* part) {
  FieldErrors errors;
  ValidateMetadata(kind, object, old, errors);
  Validator(errors).Value(*kind.type, object, old, "");
  if (part) {
    part->validate(object, *old, errors);
  } else if (kind.hooks.validate) {
    kind.hooks.validate(object, old, errors);
  }
  // A hook may repeat what the schema said.
  std::set<std::pair<std::string, std::string>> seen;
  std::erase_if(errors, [&seen](const FieldError& error) { return !seen.emplace(error.field, error.message).second; });
  return errors;
}

Status InvalidStatus(const GroupVersionKind& gvk, std::string_view name, const FieldErrors& errors) {
  StatusDetails details;
  details.name = name;
  details.group = gvk.group;
  details.kind = gvk.kind;
  std::vector<std::string> texts;
  for (const FieldError& error : errors) {
    details.causes.push_back({error.reason, error.message, error.field});
    std::string text = error.field.empty() ? error.message : error.field + ": " + error.message;
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(std::move(text));
  }
  std::string message =
      gvk.kind + (gvk.group.empty() ? "" : "." + gvk.group) + " \"" + std::string(name) + "\" is invalid";
  if (texts.size() == 1) {
    message += ": " + texts[0];
  } else if (!texts.empty()) {
    for (size_t i = 0; i < texts.size(); ++i) message += (i == 0 ? ": [" : ", ") + texts[i];
    message += "]";
  }
  return Status(Reason::kInvalid, std::move(message), std::move(details));
}

}  // namespace wherry
