#include "core/kinds/budget_view.h"

#include <nlohmann/json.hpp>
#include <string_view>

namespace wherry {
namespace {

constexpr std::string_view kNoSuchLabel = "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match";

Json Requirement(std::string_view op) {
  return {{"matchExpressions", Json::array({{{"key", kNoSuchLabel}, {"operator", op}}})}};
}

// `empty` is what {} becomes, `made_empty` what becomes {}.
Json Convert(const Json& from, const Json& empty, const Json& made_empty) {
  Json out = from;
  const auto spec = out.find("spec");
  if (spec == out.end() || !spec->is_object()) return out;
  const auto selector = spec->find("selector");
  if (selector == spec->end() || !selector->is_object()) return out;
  if (selector->empty()) {
    *selector = empty;
  } else if (*selector == made_empty) {
    *selector = Json::object();
  }
  return out;
}

}  // namespace

Json BetaBudgetFromStorage(const Json& stored) {
  return Convert(stored, Requirement("DoesNotExist"), Requirement("Exists"));
}

Json BetaBudgetToStorage(const Json& view) { return Convert(view, Requirement("Exists"), Requirement("DoesNotExist")); }

}  // namespace wherry
