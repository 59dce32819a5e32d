#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/kinds/taints.h"
#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// What controllers look at in a node again and again: `object->view<NodeView>()`.
struct NodeView {
  NodeView() = default;
  explicit NodeView(const Json& node);

  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;  // sorted by key
  std::vector<Taint> taints;
  bool unschedulable = false;
  Time created{};

  std::string ready;             // status of the condition Ready; "" = it never spoke
  Time heartbeat{};              // that condition's lastHeartbeatTime
  std::vector<std::string> bad;  // other conditions that are True: "MemoryPressure" …

  // Of all that decides who may run there (name, labels, taints): equal for every heartbeat.
  uint64_t placement_hash = 0;

  const std::string* label(std::string_view key) const;
};

// FNV-1a, for fingerprints that never leave the process and for the short names of revisions.
uint64_t Fnv1a64(std::string_view text, uint64_t seed = 14695981039346656037ULL);

}  // namespace wherry
