#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "store/json.h"

namespace wherry {

// Which nodes a pod may run on, as the scheduler and the DaemonSet controller both decide it. Pure functions of
// documents; whatever a schema would refuse matches nothing.

// The pod's nodeSelector and required node affinity. Terms are OR-ed, a term's requirements AND-ed, an empty term
// matches nothing (API docs of NodeSelector).
bool MatchesNodeAffinity(const Json& pod_spec, const Json& node);
// A NodeSelector ({nodeSelectorTerms}) alone.
bool MatchesNodeSelector(const Json& node_selector, const Json& node);
// The sum of the weights of the preferred terms that the node matches; an empty preference matches every node.
int64_t PreferredNodeScore(const Json& pod_spec, const Json& node);

enum class TaintEffect : uint8_t { kNoSchedule, kPreferNoSchedule, kNoExecute };

struct Taint {
  std::string key, value;
  TaintEffect effect = TaintEffect::kNoSchedule;

  bool operator==(const Taint&) const = default;
};

struct Toleration {
  enum class Operator : uint8_t { kEqual, kExists, kGreater, kLess };
  std::string key;  // "" with kExists: every taint
  Operator op = Operator::kEqual;
  std::string value;
  bool any_effect = false;
  TaintEffect effect = TaintEffect::kNoSchedule;
  bool for_ever = true;  // else `seconds`, of NoExecute
  int64_t seconds = 0;

  bool operator==(const Toleration&) const = default;
  bool Tolerates(const Taint& taint) const;
};

// From spec.taints and spec.tolerations; unknown effects and operators are left out.
std::vector<Taint> ParseTaints(const Json& taints);
std::vector<Toleration> ParseTolerations(const Json& tolerations);
std::string_view TaintEffectName(TaintEffect effect);

// The first taint of one of `effects` that no toleration tolerates; null when all are.
const Taint* FindUntolerated(const std::vector<Taint>& taints, const std::vector<Toleration>& tolerations,
                             std::initializer_list<TaintEffect> effects);

}  // namespace wherry
