#include "core/controllers/daemonset/eligibility_cache.h"

namespace wherry {

EligibilityCache::PerSet& EligibilityCache::Find(const Object& set) {
  PerSet& per_set = sets_[set.uid()];
  const uint64_t fingerprint = set.view<DaemonPlacement>().fingerprint();
  if (per_set.fingerprint != fingerprint) {
    per_set.nodes.clear();
    per_set.fingerprint = fingerprint;
  }
  return per_set;
}

const NodeVerdict& EligibilityCache::Judge(const Object& set, const Object& node) {
  Entry& entry = Find(set).nodes[node.name()];
  const NodeView& view = node.view<NodeView>();
  if (entry.placement_hash != view.placement_hash) {
    entry.verdict = set.view<DaemonPlacement>().Judge(view);
    entry.placement_hash = view.placement_hash;
  }
  return entry.verdict;
}

bool EligibilityCache::NodeChanged(const Object& set, const Object& node, const Object* previous, bool gone) {
  PerSet& per_set = Find(set);
  if (gone) {
    per_set.nodes.erase(node.name());
    return true;
  }
  auto known = per_set.nodes.find(node.name());
  if (known == per_set.nodes.end()) {
    if (!previous) return true;
    return set.view<DaemonPlacement>().Judge(previous->view<NodeView>()) != Judge(set, node);
  }
  const NodeVerdict before = known->second.verdict;
  return before != Judge(set, node);
}

}  // namespace wherry
