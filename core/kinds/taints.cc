#include "core/kinds/taints.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"

namespace wherry {
namespace {

constexpr std::string_view kEffectNames[] = {"NoSchedule", "PreferNoSchedule", "NoExecute"};

std::optional<TaintEffect> ParseEffect(std::string_view name) {
  for (size_t i = 0; i < std::size(kEffectNames); ++i) {
    if (kEffectNames[i] == name) return static_cast<TaintEffect>(i);
  }
  return std::nullopt;
}

}  // namespace

std::optional<int64_t> LabelInteger(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool Toleration::Tolerates(const Taint& taint) const {
  if (!any_effect && effect != taint.effect) return false;
  if (!key.empty() && key != taint.key) return false;
  switch (op) {
    case Operator::kExists:
      return true;
    case Operator::kEqual:
      return !key.empty() && value == taint.value;
    case Operator::kGreater:
    case Operator::kLess: {
      const std::optional<int64_t> have = LabelInteger(taint.value), want = LabelInteger(value);
      if (key.empty() || !have || !want) return false;
      return op == Operator::kGreater ? *have > *want : *have < *want;
    }
  }
  return false;
}

std::vector<Taint> ParseTaints(const Json& taints) {
  std::vector<Taint> out;
  if (!taints.is_array()) return out;
  for (const Json& t : taints) {
    if (const auto effect = ParseEffect(StringAt(t, "effect")))
      out.push_back({StringAt(t, "key"), StringAt(t, "value"), *effect, StringAt(t, "timeAdded")});
  }
  return out;
}

std::vector<Toleration> ParseTolerations(const Json& tolerations) {
  using Operator = Toleration::Operator;
  static constexpr std::pair<std::string_view, Operator> kOperators[] = {{"", Operator::kEqual},
                                                                         {"Equal", Operator::kEqual},
                                                                         {"Exists", Operator::kExists},
                                                                         {"Gt", Operator::kGreater},
                                                                         {"Lt", Operator::kLess}};
  std::vector<Toleration> out;
  if (!tolerations.is_array()) return out;
  for (const Json& t : tolerations) {
    const std::string& op = StringAt(t, "operator");
    const auto* known =
        std::find_if(std::begin(kOperators), std::end(kOperators), [&](const auto& o) { return o.first == op; });
    const std::string& effect = StringAt(t, "effect");
    const std::optional<TaintEffect> parsed = ParseEffect(effect);
    if (known == std::end(kOperators) || (!parsed && !effect.empty())) continue;
    Toleration toleration;
    toleration.key = StringAt(t, "key");
    toleration.op = known->second;
    toleration.value = StringAt(t, "value");
    toleration.any_effect = !parsed;
    toleration.effect = parsed.value_or(TaintEffect::kNoSchedule);
    toleration.for_ever = !Has(t, "tolerationSeconds");
    toleration.seconds = IntAt(t, "tolerationSeconds");
    out.push_back(std::move(toleration));
  }
  return out;
}

std::string_view TaintEffectName(TaintEffect effect) { return kEffectNames[static_cast<size_t>(effect)]; }

std::string Taint::ToString() const {
  return key + (value.empty() ? "" : "=" + value) + ":" + std::string(TaintEffectName(effect));
}

Json ToJson(const Taint& taint) {
  Json out = {{"key", taint.key}, {"effect", std::string(TaintEffectName(taint.effect))}};
  if (!taint.value.empty()) out["value"] = taint.value;
  if (!taint.time_added.empty()) out["timeAdded"] = taint.time_added;
  return out;
}

const Taint* FindUntolerated(const std::vector<Taint>& taints, const std::vector<Toleration>& tolerations,
                             std::initializer_list<TaintEffect> effects) {
  for (const Taint& taint : taints) {
    if (std::find(effects.begin(), effects.end(), taint.effect) == effects.end()) continue;
    const bool tolerated =
        std::any_of(tolerations.begin(), tolerations.end(), [&](const Toleration& t) { return t.Tolerates(taint); });
    if (!tolerated) return &taint;
  }
  return nullptr;
}

}  // namespace wherry
