#include "core/controllers/daemonset/node_pods.h"

#include <algorithm>
#include <tuple>

namespace wherry {
namespace {

bool ComesFirst(const DaemonPod& a, const DaemonPod& b) {
  auto rank = [](const DaemonPod& pod) {
    const PodView& view = *pod.view;
    return std::tuple(view.deleting, view.node_name.empty(), !view.ready, view.created, pod.name);
  };
  return rank(a) < rank(b);
}

}  // namespace

PodsByNode::PodsByNode(const DaemonSetInputs& inputs) {
  pods_.reserve(inputs.pods.size());
  for (const DaemonPod& pod : inputs.pods) {
    const bool over = pod.view->terminal() && pod.view->deleting;
    if (!over && !pod.view->target_node.empty()) pods_.push_back(pod);
  }
  std::sort(pods_.begin(), pods_.end(), [](const DaemonPod& a, const DaemonPod& b) {
    const int order = a.view->target_node.compare(b.view->target_node);
    return order != 0 ? order < 0 : ComesFirst(a, b);
  });

  nodes_.reserve(inputs.nodes.size());
  size_t next = 0;
  auto take = [&](std::string_view node) {
    const size_t first = next;
    while (next < pods_.size() && pods_[next].view->target_node == node) ++next;
    return std::span<const DaemonPod>(pods_.data() + first, next - first);
  };
  for (const DaemonNode& node : inputs.nodes) {
    while (next < pods_.size() && pods_[next].view->target_node < node.name) {
      const std::string_view absent = pods_[next].view->target_node;
      nodes_.push_back({absent, nullptr, take(absent)});
    }
    if (node.verdict->should_run) ++desired_;
    nodes_.push_back({node.name, node.verdict, take(node.name)});
  }
  while (next < pods_.size()) {
    const std::string_view absent = pods_[next].view->target_node;
    nodes_.push_back({absent, nullptr, take(absent)});
  }
}

}  // namespace wherry
