#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "core/kinds/fields.h"
#include "core/network/slice_view.h"

namespace wherry {

// What of a node matters to those who lead traffic to it: `node->view<NodeSpot>()`.
struct NodeSpot {
  explicit NodeSpot(const Json& node) {
    for (const Json& address : ListAt(node, "status.addresses")) {
      if (StringAt(address, "type") == "InternalIP") ip = ParseIpv4(StringAt(address, "address"));
    }
    cidr = StringAt(node, "spec.podCIDR");
    const auto& labels = MapAt(node, "metadata.labels");
    auto it = labels.find("wherry.dev/runtime");
    simulated = it != labels.end() && it->second == "simulated";
  }
  // Whether the proxy may listen at its address.
  bool reachable() const { return ip >> 24 == 127 && !simulated; }

  uint32_t ip = 0;
  std::string cidr;
  bool simulated = false;  // nothing runs there that could be reached
  bool operator==(const NodeSpot&) const = default;
};

}  // namespace wherry
