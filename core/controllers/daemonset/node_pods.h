#pragma once

#include <span>
#include <vector>

#include "core/controllers/daemonset/daemonset_plan.h"

namespace wherry {

// One node and the set's pods there, first the one to keep: scheduled, ready, oldest, then by name; going pods come
// last. Pods that have ended and are being deleted are left out: nothing remains to be done about them.
struct NodePods {
  std::string_view node;
  const NodeVerdict* verdict = nullptr;  // null: there is no such node
  std::span<const DaemonPod> pods;

  bool should_run() const { return verdict && verdict->should_run; }
};

// The snapshot by node: every node of the inputs, and those that only pods speak of, sorted by name.
class PodsByNode {
 public:
  explicit PodsByNode(const DaemonSetInputs& inputs);
  PodsByNode(const PodsByNode&) = delete;
  PodsByNode& operator=(const PodsByNode&) = delete;

  const std::vector<NodePods>& nodes() const { return nodes_; }
  int64_t desired() const { return desired_; }

 private:
  std::vector<DaemonPod> pods_;  // sorted by node
  std::vector<NodePods> nodes_;
  int64_t desired_ = 0;
};

}  // namespace wherry
