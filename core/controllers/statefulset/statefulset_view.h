#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/controllers/int_or_percent.h"
#include "core/kinds/selector.h"
#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// What the planner needs of a StatefulSet: `object->view<StatefulSetView>()`.
struct StatefulSetView {
  StatefulSetView() = default;
  explicit StatefulSetView(const Json& set);

  std::string ns, name, uid;
  int64_t generation = 0;
  bool deleting = false;

  LabelSelector selector = LabelSelector::Nothing();
  int64_t replicas = 1;
  int64_t start = 0;  // ordinals.start
  bool parallel = false;
  bool on_delete = false;  // updateStrategy OnDelete
  int64_t partition = 0;   // ordinals from start + partition on are updated
  IntOrPercent max_unavailable{1, false};
  Duration min_ready{0};
  int64_t revision_history_limit = 10;
  std::string current_revision;  // status.currentRevision, "" at first

  std::vector<std::string> claims;  // names of the volumeClaimTemplates
  bool delete_claims_with_set = false, delete_claims_when_scaled = false;

  bool InRange(int64_t ordinal) const { return ordinal >= start && ordinal - start < replicas; }
  int64_t end() const { return start + replicas; }
  int64_t update_from() const { return start + (partition < replicas ? partition : replicas); }

  // "web-3" → 3; absent when the pod's name is not one of this set's.
  std::optional<int64_t> OrdinalOf(std::string_view pod) const;
  std::string PodName(int64_t ordinal) const { return name + "-" + std::to_string(ordinal); }
  std::string ClaimName(const std::string& claim, int64_t ordinal) const { return claim + "-" + PodName(ordinal); }
};

}  // namespace wherry
