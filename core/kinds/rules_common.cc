#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/names.h"
#include "core/kinds/quantity.h"
#include "core/kinds/rules.h"

namespace wherry::rules {
namespace {

bool IsPercent(std::string_view text) {
  return text.size() >= 2 && text.back() == '%' && text.find_first_not_of("0123456789") == text.size() - 1;
}

}  // namespace

Refusals::Refusals(FieldErrors& errors) : errors_(errors) {
  for (const FieldError& e : errors) refused_before_.insert(e.field);
}

void Refusals::Add(FieldError error) {
  if (!refused_before_.empty() && refused_before_.contains(error.field)) return;
  errors_.push_back(std::move(error));
}

void Refusals::AddIf(std::string path, const Json& value, std::string_view why) {
  if (!why.empty()) Add(Invalid(std::move(path), value, why));
}

void CheckLabels(const Json& labels, const std::string& path, Refusals& out) {
  if (!labels.is_object()) return;
  for (const auto& [key, value] : labels.items()) {
    out.AddIf(path, key, CheckQualifiedName(key));
    if (value.is_string()) out.AddIf(path, value, CheckLabelValue(value.get_ref<const std::string&>()));
  }
}

void CheckAnnotations(const Json& annotations, const std::string& path, Refusals& out) {
  static constexpr size_t kMaxBytes = 256 * 1024;
  if (!annotations.is_object()) return;
  size_t bytes = 0;
  for (const auto& [key, value] : annotations.items()) {
    std::string lower = key;  // annotation keys may have capitals in the prefix
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    out.AddIf(path, key, CheckQualifiedName(lower));
    bytes += key.size() + (value.is_string() ? value.get_ref<const std::string&>().size() : 0);
  }
  if (bytes > kMaxBytes) out.Add(TooLong(path, kMaxBytes));
}

void CheckLabelSelector(const Json& selector, const std::string& path, Refusals& out) {
  CheckLabels(At(selector, "matchLabels"), Child(path, "matchLabels"), out);
  const auto& expressions = ListAt(selector, "matchExpressions");
  for (size_t i = 0; i < expressions.size(); ++i) {
    const Json& e = expressions[i];
    const std::string at = Item(Child(path, "matchExpressions"), i);
    const std::string& op = StringAt(e, "operator");
    const auto& values = ListAt(e, "values");
    if (op == "In" || op == "NotIn") {
      if (values.empty()) {
        out.Add(Required(Child(at, "values"), "must be specified when `operator` is 'In' or 'NotIn'"));
      }
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (!values.empty()) {
        out.Add(Forbidden(Child(at, "values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
      }
    } else {
      out.Add(Invalid(Child(at, "operator"), op, "not a valid selector operator"));
    }
    out.AddIf(Child(at, "key"), StringAt(e, "key"), CheckQualifiedName(StringAt(e, "key")));
    for (size_t j = 0; j < values.size(); ++j) {
      if (!values[j].is_string()) continue;
      out.AddIf(Item(Child(at, "values"), j), values[j], CheckLabelValue(values[j].get_ref<const std::string&>()));
    }
  }
}

void CheckQuantityNotNegative(const Json& quantity, const std::string& path, Refusals& out) {
  if (!quantity.is_string()) return;
  const Result<Quantity> parsed = Quantity::Parse(quantity.get_ref<const std::string&>());
  if (!parsed.ok()) {
    out.Add(Invalid(path, quantity, parsed.status().message()));
  } else if (parsed->Compare(Quantity()) < 0) {
    out.Add(Invalid(path, quantity, "must be greater than or equal to 0"));
  }
}

void CheckIntOrPercent(const Json& value, const std::string& path, Refusals& out) {
  if (value.is_number_integer() && value.get<int64_t>() < 0) {
    out.Add(Invalid(path, value, "must be greater than or equal to 0"));
  } else if (value.is_string() && !IsPercent(value.get_ref<const std::string&>())) {
    out.Add(Invalid(path, value,
                    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
                    "regex used for validation is '[0-9]+%')"));
  }
}

void CheckAtMost100Percent(const Json& value, const std::string& path, Refusals& out) {
  if (value.is_string() && IntOrPercentValue(value) > 100)
    out.Add(Invalid(path, value, "must not be greater than 100%"));
}

int64_t IntOrPercentValue(const Json& value) {
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_string() || !IsPercent(value.get_ref<const std::string&>())) return 0;
  int64_t percent = 0;
  for (const char c : value.get_ref<const std::string&>()) {
    if (c != '%') percent = std::min<int64_t>(percent * 10 + (c - '0'), 1'000'000);
  }
  return percent;
}

void CheckImmutable(const Json& object, const Json& old, const std::string& path, Refusals& out) {
  if (const Json& now = At(object, path); now != At(old, path)) out.Add(Invalid(path, now, "field is immutable"));
}

bool Unchanged(const Json& object, const Json* old, std::string_view field) {
  return old != nullptr && At(object, field) == At(*old, field);
}

}  // namespace wherry::rules
