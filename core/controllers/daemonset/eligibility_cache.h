#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "core/controllers/daemonset/eligibility.h"
#include "store/object.h"

namespace wherry {

// The verdict of every set on every node, remembered for as long as neither the template's placement nor the node's
// labels and taints change: a reconcile over thousands of nodes judges only what is new, and a heartbeat judges
// nothing. Control thread only.
class EligibilityCache {
 public:
  // The reference is valid until the next call that changes this node or set.
  const NodeVerdict& Judge(const Object& set, const Object& node);
  // A node came, changed or (`gone`) went: true when this set's verdict did. Call for each set.
  bool NodeChanged(const Object& set, const Object& node, const Object* previous, bool gone);
  void ForgetSet(const std::string& uid) { sets_.erase(uid); }

 private:
  struct Entry {
    uint64_t placement_hash = 0;
    NodeVerdict verdict;
  };
  struct PerSet {
    uint64_t fingerprint = 0;
    std::unordered_map<std::string, Entry> nodes;
  };
  PerSet& Find(const Object& set);

  std::unordered_map<std::string, PerSet> sets_;  // by uid
};

}  // namespace wherry
