#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/printers.h"

namespace wherry::printers {
namespace {

// "pods: 1/4, requests.cpu: 250m/1"; limits.* in a cell of their own.
std::string UsedOfHard(const Json& quota, bool limits) {
  const auto& used = MapAt(quota, "status.used");
  std::string text;
  for (const auto& [name, hard] : MapAt(quota, "status.hard")) {
    if (name.starts_with("limits.") != limits) continue;
    const auto it = used.find(name);
    text.append(text.empty() ? "" : ", ").append(name).append(": ");
    text.append(it != used.end() && it->second.is_string() ? it->second.get_ref<const std::string&>() : "0");
    text.append("/").append(hard.is_string() ? hard.get_ref<const std::string&>() : "0");
  }
  return text;
}

}  // namespace

Json QuotaRequest(const Json& quota, Time) { return UsedOfHard(quota, false); }
Json QuotaLimit(const Json& quota, Time) { return UsedOfHard(quota, true); }

}  // namespace wherry::printers
