#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/scheduler/profile.h"
#include "core/scheduler/queue.h"

namespace wherry {

// The plugins of a profile made ready for the pods of one template. Follows pods that come to nodes and leave them
// through Adjust; valid while no node and no other watched object changes.
class PreparedPod {
 public:
  PreparedPod(const Profile& profile, const PodDemand& pod, const ClusterView& cluster);

  // Whether the node may take the pod, also with the pods that are nominated to it and go before this one. If not: the
  // refusal, and the bit of the filter that gave it. `node` may be a copy with other pods; then the states must have
  // been adjusted to it.
  bool Fits(const PodDemand& pod, const NodeInfo& node, Refusal& refusal, FilterMask& refused_by);

  // Whether the filters pass that say the same of this node for all pods of the template until a node changes
  // (Plugin::node_fixed). False = Fits is false as well.
  bool MayEverFit(const PodDemand& pod, const NodeInfo& node) const;

  // `other` came to the node (by = 1) or left it (by = -1).
  void Adjust(const PodDemand& pod, const PodDemand& other, const NodeInfo& node, int by);

  // Fills `totals` with the weighted scores of the nodes, `scratch` being room to work in.
  void Score(const PodDemand& pod, const ClusterView& cluster, std::span<const NodeInfo* const> nodes,
             std::vector<int64_t>& totals, std::vector<int64_t>& scratch);

  const Profile& profile() const { return profile_; }
  // The nodes that the filters leave to look at, when they can tell, and which filters did ("A B").
  const std::optional<std::vector<std::string>>& only() const { return only_; }
  std::string only_by() const;
  FilterMask only_mask() const { return only_mask_; }
  // Why no node can pass at all; "" = some may.
  const std::string& refusal() const { return refusal_; }
  FilterMask refusal_mask() const { return refusal_mask_; }
  // Some state holds for one decision only.
  bool once() const { return once_; }

 private:
  struct Step {
    const Plugin* plugin;
    FilterMask bit;
    std::unique_ptr<PluginState> state;
  };
  struct ScoreStep {
    const Plugin* plugin;
    int64_t weight;
    std::unique_ptr<PluginState> state;
  };
  bool Check(const PodDemand& pod, const NodeInfo& node, Refusal& refusal, FilterMask& refused_by) const;
  void PrepareScores(const PodDemand& pod, const ClusterView& cluster);

  const Profile& profile_;
  std::vector<Step> steps_;
  size_t fixed_steps_ = 0;                        // so many at the beginning are of node_fixed plugins
  std::optional<std::vector<ScoreStep>> scores_;  // made when first needed
  std::optional<std::vector<std::string>> only_;
  std::vector<std::string_view> only_by_;
  FilterMask only_mask_ = 0;
  std::string refusal_;
  FilterMask refusal_mask_ = 0;
  bool once_ = false;
};

}  // namespace wherry
