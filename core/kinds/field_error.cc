#include "core/kinds/field_error.h"

#include <nlohmann/json.hpp>

namespace wherry {
namespace {

std::string Text(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

template <typename Range>
std::string Quoted(const Range& values) {
  std::string out;
  for (const auto& value : values) {
    if (!out.empty()) out += ", ";
    out += Text(Json(std::string(value)));
  }
  return out;
}

}  // namespace

FieldError Required(std::string path, std::string_view why) {
  std::string message = "Required value";
  if (!why.empty()) message.append(": ").append(why);
  return {std::move(path), "FieldValueRequired", std::move(message)};
}

FieldError Invalid(std::string path, const Json& value, std::string_view why) {
  std::string message = "Invalid value: " + Text(value);
  if (!why.empty()) message.append(": ").append(why);
  return {std::move(path), "FieldValueInvalid", std::move(message)};
}

FieldError NotSupported(std::string path, const Json& value, std::span<const std::string> supported) {
  return {std::move(path), "FieldValueNotSupported",
          "Unsupported value: " + Text(value) + ": supported values: " + Quoted(supported)};
}

FieldError NotSupported(std::string path, const Json& value, std::initializer_list<std::string_view> supported) {
  return {std::move(path), "FieldValueNotSupported",
          "Unsupported value: " + Text(value) + ": supported values: " + Quoted(supported)};
}

FieldError Forbidden(std::string path, std::string_view why) {
  return {std::move(path), "FieldValueForbidden", "Forbidden: " + std::string(why)};
}

FieldError Duplicate(std::string path, const Json& value) {
  return {std::move(path), "FieldValueDuplicate", "Duplicate value: " + Text(value)};
}

FieldError NotFoundValue(std::string path, const Json& value) {
  return {std::move(path), "FieldValueNotFound", "Not found: " + Text(value)};
}

FieldError TooLong(std::string path, size_t max_bytes) {
  return {std::move(path), "FieldValueTooLong",
          "Too long: may not be more than " + std::to_string(max_bytes) + " bytes"};
}

FieldError TooMany(std::string path, size_t actual, size_t max) {
  return {std::move(path), "FieldValueTooMany",
          "Too many: " + std::to_string(actual) + ": must have at most " + std::to_string(max) + " items"};
}

FieldError TypeInvalid(std::string path, const Json& value, std::string_view why) {
  return {std::move(path), "FieldValueTypeInvalid", "Invalid value: " + Text(value) + ": " + std::string(why)};
}

std::string Child(std::string_view path, std::string_view name) {
  std::string out(path);
  if (!out.empty()) out += '.';
  return out.append(name);
}

std::string Item(std::string_view path, size_t index) {
  return std::string(path).append("[").append(std::to_string(index)).append("]");
}

std::string Key(std::string_view path, std::string_view key) {
  return std::string(path).append("[").append(key).append("]");
}

}  // namespace wherry
