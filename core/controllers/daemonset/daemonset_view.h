#pragma once

#include <string>
#include <vector>

#include "core/controllers/int_or_percent.h"
#include "core/kinds/selector.h"
#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// What the planner needs of a DaemonSet: `object->view<DaemonSetView>()`.
struct DaemonSetView {
  DaemonSetView() = default;
  explicit DaemonSetView(const Json& set);

  std::string ns, name, uid;
  int64_t generation = 0;
  bool deleting = false;

  LabelSelector selector = LabelSelector::Nothing();
  bool selects_all = false;         // an empty selector: refused with an event
  std::string template_generation;  // annotation deprecated.daemonset.template.generation; "" = none
  Duration min_ready{0};
  int64_t revision_history_limit = 10;

  bool on_delete = false;  // updateStrategy OnDelete
  IntOrPercent max_unavailable{1, false};
  IntOrPercent max_surge{0, false};

  // A surge of any size may have two pods on a node.
  bool surges() const { return !on_delete && max_surge.RoundedUpOf(1) > 0; }
};

inline constexpr char kDaemonTemplateGeneration[] = "deprecated.daemonset.template.generation";

}  // namespace wherry
