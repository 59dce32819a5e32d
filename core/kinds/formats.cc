#include "core/kinds/formats.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/kinds/field_error.h"
#include "core/kinds/names.h"
#include "core/kinds/validate_metadata.h"

namespace wherry {
namespace {

using Checker = void (*)(const Json& value, const std::string& path, FieldErrors& errors);

void Add(const std::string& why, const Json& value, const std::string& path, FieldErrors& errors) {
  if (!why.empty()) errors.push_back(Invalid(path, value, why));
}

void CheckPortOrName(const Json& value, const std::string& path, FieldErrors& errors) {
  if (value.is_number_integer()) Add(CheckPort(value.get<int64_t>()), value, path, errors);
  if (value.is_string()) Add(CheckPortName(value.get_ref<const std::string&>()), value, path, errors);
}

void CheckIntOrPercent(const Json& value, const std::string& path, FieldErrors& errors) {
  if (value.is_number_integer() && value.get<int64_t>() < 0) {
    Add("must be greater than or equal to 0", value, path, errors);
  } else if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    const bool percent = text.size() > 1 && text.back() == '%' &&
                         std::all_of(text.begin(), text.end() - 1, [](char c) { return c >= '0' && c <= '9'; });
    if (!percent) Add("must be an integer or a percentage (e.g. '5%')", value, path, errors);
  }
}

void CheckConfigKeys(const Json& value, const std::string& path, FieldErrors& errors) {
  if (!value.is_object()) return;
  for (const auto& [key, unused] : value.items()) Add(CheckConfigKey(key), Json(key), Key(path, key), errors);
}

void CheckNothing(const Json&, const std::string&, FieldErrors&) {}

constexpr std::array<std::pair<std::string_view, Checker>, 5> kCheckers = {{
    {"port", CheckNothing},
    {"portorname", CheckPortOrName},
    {"intorpercent", CheckIntOrPercent},
    {"labels", ValidateLabels},
    {"configkeys", CheckConfigKeys},
}};

Checker FindChecker(std::string_view format) {
  for (const auto& [name, checker] : kCheckers) {
    if (name == format) return checker;
  }
  return nullptr;
}

}  // namespace

bool IsKnownFormat(std::string_view format) { return FindChecker(format) || FindNameCheck(format); }

void CheckFormat(const std::string& format, const Json& value, const std::string& path, FieldErrors& errors) {
  if (const Checker checker = FindChecker(format)) return checker(value, path, errors);
  const NameCheck check = FindNameCheck(format);
  // An empty string is an absent one: whether it may be is said by `required`.
  if (!check || !value.is_string() || value.get_ref<const std::string&>().empty()) return;
  Add(check(value.get_ref<const std::string&>()), value, path, errors);
}

}  // namespace wherry
