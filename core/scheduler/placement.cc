#include "core/scheduler/placement.h"

#include <algorithm>
#include <cassert>

namespace wherry {

Profile DefaultProfile(std::string scheduler_name) {
  Profile profile;
  profile.scheduler_name = std::move(scheduler_name);
  profile.filters.assign(FilterPlugins().begin(), FilterPlugins().end());
  for (const ScorePlugin* plugin : ScorePlugins()) profile.scores.push_back({plugin, plugin->weight});
  return profile;
}

PreparedPod::PreparedPod(const Profile& profile, const PodDemand& pod, const Snapshot& snapshot) : pod_(pod) {
  assert(profile.filters.size() <= 64);
  for (size_t i = 0; i < profile.filters.size(); ++i) {
    const FilterPlugin* plugin = profile.filters[i];
    const FilterMask bit = FilterMask{1} << i;
    PreFilter result = plugin->pre_filter(pod, snapshot);
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
    steps_.push_back({plugin, bit, std::move(result.state)});
  }
}

std::string PreparedPod::only_by() const {
  std::string names;
  for (const std::string_view name : only_by_) names.append(names.empty() ? "" : " ").append(name);
  return names;
}

bool PreparedPod::Fits(const NodeInfo& node, Refusal& refusal, FilterMask& refused_by) const {
  for (const Step& step : steps_) {
    if (!step.plugin->filter(step.state.get(), pod_, node, refusal)) {
      refused_by = step.bit;
      return false;
    }
  }
  return true;
}

size_t Placer::EnoughOf(size_t nodes) {
  constexpr size_t kAlwaysAll = 100;
  if (nodes <= kAlwaysAll) return nodes;
  const size_t percent = nodes / 125 >= 45 ? 5 : 50 - nodes / 125;
  return std::max(kAlwaysAll, nodes * percent / 100);
}

Placement Placer::Place(const Profile& profile, const PodDemand& pod, const Snapshot& snapshot) {
  Placement placement;
  placement.diagnosis = Diagnosis(snapshot.nodes().size());
  const PreparedPod prepared(profile, pod, snapshot);
  if (prepared.only()) placement.tied_to = *prepared.only();
  if (snapshot.nodes().empty()) {
    placement.diagnosis.SetWhole("", kAllFilters);
    return placement;
  }
  if (!prepared.refusal().empty()) {
    placement.diagnosis.SetWhole(prepared.refusal(), prepared.refusal_mask());
    return placement;
  }
  fitting_.clear();
  if (prepared.only()) {
    SearchOnly(prepared, snapshot, placement.diagnosis);
  } else {
    Search(prepared, snapshot, placement.diagnosis);
  }
  if (!fitting_.empty()) placement.node = Best(profile, pod, snapshot);
  return placement;
}

void Placer::Search(const PreparedPod& prepared, const Snapshot& snapshot, Diagnosis& diagnosis) {
  const auto nodes = snapshot.nodes();
  const size_t enough = EnoughOf(nodes.size());
  size_t looked_at = 0;
  size_t at = next_start_ % nodes.size();
  while (looked_at < nodes.size() && fitting_.size() < enough) {
    const NodeInfo& node = *nodes[at];
    Refusal refusal;
    FilterMask refused_by = 0;
    if (prepared.Fits(node, refusal, refused_by)) {
      fitting_.push_back(&node);
    } else {
      diagnosis.Add(refusal, refused_by);
    }
    ++looked_at;
    if (++at == nodes.size()) at = 0;
  }
  next_start_ = at;
}

void Placer::SearchOnly(const PreparedPod& prepared, const Snapshot& snapshot, Diagnosis& diagnosis) {
  size_t looked_at = 0;
  for (const std::string& name : *prepared.only()) {
    const NodeInfo* node = snapshot.Find(name);
    if (node == nullptr) continue;
    ++looked_at;
    Refusal refusal;
    FilterMask refused_by = 0;
    if (prepared.Fits(*node, refusal, refused_by)) {
      fitting_.push_back(node);
    } else {
      diagnosis.Add(refusal, refused_by);
    }
  }
  diagnosis.AddUnseen(snapshot.nodes().size() - looked_at, prepared.only_by(), prepared.only_mask());
}

const NodeInfo* Placer::Best(const Profile& profile, const PodDemand& pod, const Snapshot& snapshot) {
  if (fitting_.size() == 1) return fitting_[0];
  totals_.assign(fitting_.size(), 0);
  scores_.resize(fitting_.size());
  for (const Profile::Weighted& weighted : profile.scores) {
    const ScorePlugin& plugin = *weighted.plugin;
    const PreScore before = plugin.pre_score(pod, snapshot);
    if (before.skip) continue;
    for (size_t i = 0; i < fitting_.size(); ++i) scores_[i] = plugin.score(before.state.get(), pod, *fitting_[i]);
    if (plugin.normalise != nullptr) plugin.normalise(scores_);
    for (size_t i = 0; i < fitting_.size(); ++i) totals_[i] += weighted.weight * scores_[i];
  }
  // Of the best, each is as likely as any other.
  size_t best = 0;
  uint64_t ties = 1;
  for (size_t i = 1; i < fitting_.size(); ++i) {
    if (totals_[i] > totals_[best]) {
      best = i;
      ties = 1;
    } else if (totals_[i] == totals_[best] && NextRandom() % ++ties == 0) {
      best = i;
    }
  }
  return fitting_[best];
}

// splitmix64: the same numbers on every platform.
uint64_t Placer::NextRandom() {
  uint64_t z = random_ += 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

}  // namespace wherry
