#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/kinds/selector.h"
#include "store/json.h"
#include "store/watch_cache.h"

namespace wherry {

struct PodDemand;

// A PodAffinityTerm: which pods, of which namespaces, and within which topology. matchLabelKeys and mismatchLabelKeys
// (KEP-3633) are part of the selector already.
struct AffinityTerm {
  int64_t weight = 0;  // of a preferred term
  std::string topology_key;
  std::vector<std::string> namespaces;  // the pod's own when the term names none
  std::optional<LabelSelector> namespace_selector;
  LabelSelector selector;
  std::string text;  // all of the above as written, for comparing

  bool operator==(const AffinityTerm& other) const { return text == other.text && weight == other.weight; }
  // Whether the term speaks of `other`. `cache` tells the labels of namespaces; null = they have none.
  bool Matches(const PodDemand& other, const WatchCache* cache) const;
};

struct PodAffinity {
  std::vector<AffinityTerm> required, preferred;
  bool operator==(const PodAffinity&) const = default;
  bool empty() const { return required.empty() && preferred.empty(); }
};

// `member` is "podAffinity" or "podAntiAffinity"; `ns` and `labels` are the pod's own.
PodAffinity ReadPodAffinity(const Json& pod_spec, const char* member, const std::string& ns, const Labels& labels);

// One topologySpreadConstraint.
struct SpreadConstraint {
  int64_t max_skew = 1;
  std::string topology_key;
  bool required = true;  // DoNotSchedule
  LabelSelector selector;
  int64_t min_domains = 1;
  bool honor_affinity = true;  // nodeAffinityPolicy
  bool honor_taints = false;   // nodeTaintsPolicy
  std::string text;

  bool operator==(const SpreadConstraint& other) const { return text == other.text; }
};

std::vector<SpreadConstraint> ReadSpreadConstraints(const Json& pod_spec, const Labels& labels);

}  // namespace wherry
