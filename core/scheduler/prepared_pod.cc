#include "core/scheduler/prepared_pod.h"

#include <algorithm>
#include <cassert>

namespace wherry {

PreparedPod::PreparedPod(const Profile& profile, const PodDemand& pod, const ClusterView& cluster) : profile_(profile) {
  assert(profile.plugins.size() <= 64);
  for (size_t i = 0; i < profile.plugins.size(); ++i) {
    const Plugin* plugin = profile.plugins[i].plugin;
    if (plugin->filter == nullptr && plugin->pre_filter == nullptr) continue;
    const FilterMask bit = FilterMask{1} << i;
    PreFilter result;
    if (plugin->pre_filter != nullptr) result = plugin->pre_filter(pod, cluster);
    once_ = once_ || result.once;
    if (result.skip) continue;
    if (!result.refusal.empty()) {
      refusal_ = std::move(result.refusal);
      refusal_mask_ = bit;
      return;
    }
    if (result.only) {
      only_by_.push_back(plugin->name);
      only_mask_ |= bit;
      if (!only_) {
        only_ = std::move(result.only);
      } else {
        std::erase_if(*only_, [&](const std::string& name) {
          return std::find(result.only->begin(), result.only->end(), name) == result.only->end();
        });
      }
    }
    if (plugin->filter == nullptr) continue;
    if (plugin->node_fixed && fixed_steps_ == steps_.size()) ++fixed_steps_;
    steps_.push_back({plugin, bit, std::move(result.state)});
  }
}

bool PreparedPod::MayEverFit(const PodDemand& pod, const NodeInfo& node) const {
  Refusal unused;
  for (size_t i = 0; i < fixed_steps_; ++i) {
    if (!steps_[i].plugin->filter(steps_[i].state.get(), pod, node, unused)) return false;
  }
  return true;
}

std::string PreparedPod::only_by() const {
  std::string names;
  for (const std::string_view name : only_by_) names.append(names.empty() ? "" : " ").append(name);
  return names;
}

bool PreparedPod::Check(const PodDemand& pod, const NodeInfo& node, Refusal& refusal, FilterMask& refused_by) const {
  for (const Step& step : steps_) {
    if (!step.plugin->filter(step.state.get(), pod, node, refusal)) {
      refused_by = step.bit;
      return false;
    }
  }
  return true;
}

bool PreparedPod::Fits(const PodDemand& pod, const NodeInfo& node, Refusal& refusal, FilterMask& refused_by) {
  // It must fit beside those that go before it, and also without them: they may end up elsewhere, and then cannot be
  // the ones that an affinity wants. First without: what the node itself refuses must be told by the node, not by the
  // copy below, whose texts end with it.
  if (!Check(pod, node, refusal, refused_by)) return false;
  if (node.nominated.empty()) return true;
  std::vector<ObjectPtr> before;
  for (const ObjectPtr& other : node.nominated) {
    const PodDemand& info = other->view<PodDemand>();
    if (info.uid != pod.uid && info.request.priority >= pod.request.priority) before.push_back(other);
  }
  if (before.empty()) return true;
  NodeInfo crowded = node;
  for (const ObjectPtr& other : before) {
    crowded.Add(other);
    Adjust(pod, other->view<PodDemand>(), crowded, 1);
  }
  const bool fits = Check(pod, crowded, refusal, refused_by);
  for (const ObjectPtr& other : before) Adjust(pod, other->view<PodDemand>(), crowded, -1);
  return fits;
}

void PreparedPod::Adjust(const PodDemand& pod, const PodDemand& other, const NodeInfo& node, int by) {
  for (Step& step : steps_) {
    if (step.plugin->adjust != nullptr) step.plugin->adjust(*step.state, pod, other, node, by);
  }
  if (!scores_) return;
  for (ScoreStep& step : *scores_) {
    if (step.plugin->adjust_score != nullptr) step.plugin->adjust_score(*step.state, pod, other, node, by);
  }
}

void PreparedPod::PrepareScores(const PodDemand& pod, const ClusterView& cluster) {
  scores_.emplace();
  for (const Profile::Enabled& enabled : profile_.plugins) {
    if (enabled.weight == 0 || enabled.plugin->score == nullptr) continue;
    PreScore before;
    if (enabled.plugin->pre_score != nullptr) before = enabled.plugin->pre_score(pod, cluster);
    once_ = once_ || before.once;
    if (!before.skip) scores_->push_back({enabled.plugin, enabled.weight, std::move(before.state)});
  }
}

void PreparedPod::Score(const PodDemand& pod, const ClusterView& cluster, std::span<const NodeInfo* const> nodes,
                        std::vector<int64_t>& totals, std::vector<int64_t>& scratch) {
  if (!scores_) PrepareScores(pod, cluster);
  totals.assign(nodes.size(), 0);
  scratch.resize(nodes.size());
  for (ScoreStep& step : *scores_) {
    step.plugin->score(step.state.get(), pod, nodes, scratch);
    for (size_t i = 0; i < nodes.size(); ++i) totals[i] += step.weight * scratch[i];
  }
}

}  // namespace wherry
