#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/runtime/time.h"

namespace wherry {

// How one Service is served, made on the control thread, immutable, and handed to the proxy thread, which never looks
// anything up. Addresses are IPv4 in host byte order.

// Somebody who answers.
struct Backend {
  uint32_t address = 0;
  uint16_t port = 0;
  std::string node;  // "" = not told
  bool ready = false;
  bool serving = false;  // also while terminating
  bool operator==(const Backend&) const = default;
};

// A place to listen.
struct ListenAt {
  uint32_t address = 0;
  uint16_t port = 0;
  std::string node;         // the node whose address it is; "" = nobody's
  bool local_only = false;  // lead to backends of the node (or of the client's node, where node is "") only
  bool operator==(const ListenAt&) const = default;
};

struct PortRule {
  std::string name;  // of the port, "" when it has none
  bool udp = false;
  Duration affinity{0};  // a client stays with its backend so long after it last came; 0 = it does not
  std::vector<ListenAt> listens;
  std::vector<Backend> backends;
  bool operator==(const PortRule&) const = default;
};

struct ServiceRule {
  std::vector<PortRule> ports;
  bool operator==(const ServiceRule&) const = default;
};
using ServiceRulePtr = std::shared_ptr<const ServiceRule>;

// Which node an address belongs to: the pods' blocks.
struct NodeBlock {
  uint32_t base = 0;
  uint32_t mask = 0;
  std::string node;
};
using NodeBlocksPtr = std::shared_ptr<const std::vector<NodeBlock>>;

}  // namespace wherry
