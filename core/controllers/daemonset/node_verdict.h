#pragma once

#include <string>

namespace wherry {

// Two questions, not one: may a new daemon pod run on a node, and may one that runs there stay.
struct NodeVerdict {
  bool should_run = true;
  bool should_continue = true;
  std::string why_not;  // for people, when !should_run: "it has the untolerated taint gpu=true:NoSchedule"

  bool operator==(const NodeVerdict&) const = default;
};

}  // namespace wherry
