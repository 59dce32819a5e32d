#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "core/kinds/kind.h"

namespace wherry {

// The refusals of one field, in the words Kubernetes users know (k8s.io/apimachinery field errors). Values are printed
// as JSON. `path` is the full path of the field: "spec.containers[0].image", `metadata.labels[a/b]`.

FieldError Required(std::string path, std::string_view why = {});
FieldError Invalid(std::string path, const Json& value, std::string_view why);
FieldError NotSupported(std::string path, const Json& value, std::span<const std::string> supported);
FieldError NotSupported(std::string path, const Json& value, std::initializer_list<std::string_view> supported);
FieldError Forbidden(std::string path, std::string_view why);
FieldError Duplicate(std::string path, const Json& value);
FieldError NotFoundValue(std::string path, const Json& value);
FieldError TooLong(std::string path, size_t max_bytes);
FieldError TooMany(std::string path, size_t actual, size_t max);
FieldError TypeInvalid(std::string path, const Json& value, std::string_view why);

// Paths: "spec" + "ports" → "spec.ports"; "spec.ports", 2 → "spec.ports[2]"; "metadata.labels", "a/b" →
// "metadata.labels[a/b]".
std::string Child(std::string_view path, std::string_view name);
std::string Item(std::string_view path, size_t index);
std::string Key(std::string_view path, std::string_view key);

}  // namespace wherry
