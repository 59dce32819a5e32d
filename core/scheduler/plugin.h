#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/scheduler/cluster_event.h"
#include "core/scheduler/pod_demand.h"
#include "core/scheduler/snapshot.h"

namespace wherry {

// What a plugin worked out about the pod at hand before it looks at nodes. Lives for one decision.
struct PluginState {
  virtual ~PluginState() = default;
};

// Why a node was refused. The texts live in the plugin's state, the node or the program.
class Refusal {
 public:
  void Add(std::string_view reason) {
    if (count_ < reasons_.size()) reasons_[count_++] = reason;
  }
  // Evicting pods from the node would not help.
  void SetUnresolvable() { resolvable_ = false; }

  std::span<const std::string_view> reasons() const { return {reasons_.data(), count_}; }
  bool resolvable() const { return resolvable_; }

 private:
  std::array<std::string_view, 8> reasons_;
  size_t count_ = 0;
  bool resolvable_ = true;
};

// The outcome of looking at the pod alone.
struct PreFilter {
  // The pod gives this filter nothing to check: it is left out of this decision.
  bool skip = false;
  std::unique_ptr<PluginState> state;  // may be null
  // The only nodes that can pass, by name, when that is known beforehand: the others are not even looked at.
  std::optional<std::vector<std::string>> only;
  // No node at all can pass, and why; "" = some may.
  std::string refusal;
};

// One rule that a node must satisfy to take a pod: a row of the filter table (plugins.cc).
struct FilterPlugin {
  std::string_view name;
  // What may make it pass where it refused.
  ClusterEvents events;
  // Its verdict on a node depends on nothing but that node and its pods. A refused pod is then woken only when a node
  // that changed passes.
  bool node_local;
  PreFilter (*pre_filter)(const PodDemand& pod, const Snapshot& snapshot);
  // True when the node may take the pod, else says why. Hot: no allocation when it passes.
  bool (*filter)(const PluginState* state, const PodDemand& pod, const NodeInfo& node, Refusal& refusal);
};

inline constexpr int64_t kMaxScore = 100;

// The outcome of looking at the pod before scoring.
struct PreScore {
  bool skip = false;  // all nodes are alike to this plugin
  std::unique_ptr<PluginState> state;
};

// One preference among the nodes that passed: a row of the score table.
struct ScorePlugin {
  std::string_view name;
  int64_t weight;  // in the default profile
  PreScore (*pre_score)(const PodDemand& pod, const Snapshot& snapshot);
  // Higher is better; 0 … kMaxScore, or anything when `normalise` follows.
  int64_t (*score)(const PluginState* state, const PodDemand& pod, const NodeInfo& node);
  // Brings the scores of all nodes into 0 … kMaxScore; null = they are.
  void (*normalise)(std::span<int64_t> scores);
};

// Scales so that the highest becomes kMaxScore; `NormaliseReversed` so that the lowest raw score is the best.
void Normalise(std::span<int64_t> scores);
void NormaliseReversed(std::span<int64_t> scores);

// Every plugin there is, in the order the default profile runs them.
std::span<const FilterPlugin* const> FilterPlugins();
std::span<const ScorePlugin* const> ScorePlugins();

}  // namespace wherry
