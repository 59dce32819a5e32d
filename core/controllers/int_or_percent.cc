#include "core/controllers/int_or_percent.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string>

namespace wherry {

std::optional<IntOrPercent> IntOrPercent::FromJson(const Json* json) {
  if (!json) return std::nullopt;
  if (json->is_number_integer()) return IntOrPercent{json->get<int64_t>(), false};
  if (!json->is_string()) return std::nullopt;
  const auto& text = json->get_ref<const std::string&>();
  IntOrPercent out;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out.value);
  if (error != std::errc()) return std::nullopt;
  if (stop == end) return out;
  if (stop + 1 != end || *stop != '%') return std::nullopt;
  out.percent = true;
  return out;
}

int64_t IntOrPercent::RoundedUpOf(int64_t total) const {
  return std::max<int64_t>(0, percent ? (value * total + 99) / 100 : value);
}

int64_t IntOrPercent::RoundedDownOf(int64_t total) const {
  return std::max<int64_t>(0, percent ? value * total / 100 : value);
}

}  // namespace wherry
