#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "store/status.h"

namespace wherry {

// An IPv4 block, "127.64.3.0/24".
struct Cidr {
  uint32_t base = 0;
  int bits = 32;
  static Result<Cidr> Parse(std::string_view text);
  std::string ToString() const;
  bool Contains(uint32_t address) const { return bits == 0 || ((address ^ base) >> (32 - bits)) == 0; }
  uint32_t size() const { return bits == 0 ? ~0u : 1u << (32 - bits); }
};

std::string FormatAddress(uint32_t address);
bool ParseAddress(std::string_view text, uint32_t* out);  // dotted quad

// Hands out the /24 blocks of the cluster's loopback range to nodes. A block goes back when its node is gone, and the
// search moves on from the last one given, so that a block rests before it is used again.
class NodeBlocks {
 public:
  // REQUIRES: range is a block of at least one /24. The search begins at the /24 number `first`.
  explicit NodeBlocks(Cidr range, uint32_t first = 0) : range_(range), next_(first) {}

  // Notes the block a node already has (spec.podCIDR). False when it is not a block of 4 to 65,536 addresses, another
  // node has it, or it lies outside 127.0.0.0/8 and `loopback` is asked for, as real processes need.
  bool Reserve(const std::string& node, const std::string& cidr, bool loopback);
  // A free block; the same again for the same node. kServiceUnavailable when all are taken.
  Result<std::string> Allocate(const std::string& node);
  void Release(const std::string& node);

 private:
  const Cidr range_;
  std::map<std::string, std::string> block_of_;  // node → cidr
  std::unordered_map<std::string, std::string> node_of_;
  uint32_t next_;
};

// The addresses of one node's block: the first usable one is the node's own, the others go to pods, and stay with a pod
// while its object still tells them.
class PodAddressPool {
 public:
  explicit PodAddressPool(Cidr block) : block_(block), next_(2) {}

  std::string node_address() const { return FormatAddress(block_.base + 1); }
  // The address a pod's status already tells. False when it is not of this block or another pod's.
  bool Reserve(const std::string& uid, const std::string& address);
  // A free address, the same again for the same pod; "" when none is left. Addresses of finished pods are only taken
  // when no other is free.
  std::string Allocate(const std::string& uid);
  void MarkFinished(const std::string& uid);
  void Release(const std::string& uid);
  size_t used() const { return offset_of_.size(); }

 private:
  struct Holder {
    std::string uid;
    bool finished = false;
  };
  const Cidr block_;
  std::map<uint32_t, Holder> holders_;  // by offset
  std::unordered_map<std::string, uint32_t> offset_of_;
  uint32_t next_;
};

}  // namespace wherry
