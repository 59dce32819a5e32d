#include "core/scheduler/placement.h"

#include <algorithm>

namespace wherry {
namespace {

// Templates whose prepared plugins are kept.
constexpr size_t kKept = 32;

}  // namespace

size_t Placer::EnoughOf(size_t nodes) {
  constexpr size_t kAlwaysAll = 100;
  if (nodes <= kAlwaysAll) return nodes;
  const size_t percent = nodes / 125 >= 45 ? 5 : 50 - nodes / 125;
  return std::max(kAlwaysAll, nodes * percent / 100);
}

Placer::Kept::Kept(const Profile& profile, const PodDemand& pod, const ClusterView& cluster)
    : hash(pod.request_hash),
      request(pod.request),
      nodes_version(cluster.snapshot.nodes_version()),
      deltas_at(cluster.snapshot.deltas_end()),
      prepared(profile, pod, cluster) {}

Placer::Kept& Placer::Find(const Profile& profile, const PodDemand& pod, const ClusterView& cluster) {
  const Snapshot& snapshot = cluster.snapshot;
  for (auto it = kept_.begin(); it != kept_.end(); ++it) {
    if (it->hash != pod.request_hash || &it->prepared.profile() != &profile || !(it->request == pod.request)) continue;
    const bool current = !it->prepared.once() && it->nodes_version == snapshot.nodes_version() &&
                         snapshot.DeltasSince(it->deltas_at, [&](const Snapshot::Delta& delta) {
                           it->prepared.Adjust(pod, delta.pod->view<PodDemand>(), *delta.node, delta.by);
                         });
    if (!current) {
      kept_.erase(it);
      break;
    }
    it->deltas_at = snapshot.deltas_end();
    kept_.splice(kept_.begin(), kept_, it);
    return kept_.front();
  }
  kept_.emplace_front(profile, pod, cluster);
  if (kept_.size() > kKept) kept_.pop_back();
  return kept_.front();
}

Placement Placer::Place(const Profile& profile, const PodDemand& pod, const ClusterView& cluster) {
  const Snapshot& snapshot = cluster.snapshot;
  Kept& kept = Find(profile, pod, cluster);
  PreparedPod& prepared = kept.prepared;
  const bool nominated = !snapshot.NominationOf(pod.uid).empty();
  if (kept.refused && kept.refused_at == snapshot.version() && !nominated && !prepared.once()) return *kept.refused;
  Placement placement;
  placement.diagnosis = Diagnosis(snapshot.nodes().size());
  if (prepared.only()) placement.tied_to = *prepared.only();
  fitting_.clear();
  resolvable_.clear();
  if (snapshot.nodes().empty()) {
    placement.diagnosis.SetWhole("", kAllFilters);
    return placement;
  }
  if (!prepared.refusal().empty()) {
    placement.diagnosis.SetWhole(prepared.refusal(), prepared.refusal_mask());
  } else if (prepared.only()) {
    SearchOnly(prepared, pod, snapshot, placement.diagnosis);
  } else {
    Search(kept, pod, snapshot, placement.diagnosis);
  }
  if (fitting_.empty()) return Refuse(kept, pod, cluster, std::move(placement));
  placement.node = Best(prepared, pod, cluster);
  return placement;
}

Placement Placer::Refuse(Kept& kept, const PodDemand& pod, const ClusterView& cluster, Placement placement) {
  for (const Profile::Enabled& enabled : kept.prepared.profile().plugins) {
    if (enabled.plugin->post_filter == nullptr || placement.post.node != nullptr) continue;
    placement.post = enabled.plugin->post_filter(kept.prepared, pod, cluster, resolvable_, NextRandom());
  }
  if (placement.post.node == nullptr)
    placement.diagnosis.SetAfterwards(placement.post.message, placement.post.refused_by);
  // A pod that waits for its victims was told something that concerns it alone.
  if (placement.post.node == nullptr && cluster.snapshot.NominationOf(pod.uid).empty()) {
    kept.refused = placement;
    kept.refused_at = cluster.snapshot.version();
  }
  return placement;
}

bool Placer::Look(PreparedPod& prepared, const PodDemand& pod, const NodeInfo& node, Diagnosis& diagnosis) {
  Refusal refusal;
  FilterMask refused_by = 0;
  if (prepared.Fits(pod, node, refusal, refused_by)) {
    fitting_.push_back(&node);
    return true;
  }
  diagnosis.Add(refusal, refused_by);
  if (refusal.resolvable()) resolvable_.push_back(&node);
  return false;
}

void Placer::Search(Kept& kept, const PodDemand& pod, const Snapshot& snapshot, Diagnosis& diagnosis) {
  const auto nodes = snapshot.nodes();
  // Where room was made for the pod it goes first, so that the room is not given away.
  if (const std::string& name = snapshot.NominationOf(pod.uid); !name.empty()) {
    Diagnosis unused;
    const NodeInfo* nominated = snapshot.Find(name);
    if (nominated != nullptr && Look(kept.prepared, pod, *nominated, unused)) return;
    resolvable_.clear();
  }
  const size_t enough = EnoughOf(nodes.size());
  if (!kept.candidates && kept.looked_at >= nodes.size()) {
    kept.candidates.emplace();
    for (const NodeInfo* node : nodes) {
      if (kept.prepared.MayEverFit(pod, *node)) kept.candidates->push_back(node);
    }
    if (kept.candidates->size() == nodes.size()) kept.candidates->clear();  // nobody is ruled out
  }
  if (kept.candidates && !kept.candidates->empty()) {
    Diagnosis unused;
    Walk(kept.prepared, pod, *kept.candidates, enough, &kept.next_start, unused);
    if (!fitting_.empty()) return;
    resolvable_.clear();  // why nobody takes it is said of all nodes
  }
  kept.looked_at += Walk(kept.prepared, pod, nodes, enough, &next_start_, diagnosis);
}

size_t Placer::Walk(PreparedPod& prepared, const PodDemand& pod, std::span<const NodeInfo* const> nodes, size_t enough,
                    size_t* start, Diagnosis& diagnosis) {
  size_t looked_at = 0;
  size_t at = *start % nodes.size();
  while (looked_at < nodes.size() && fitting_.size() < enough) {
    Look(prepared, pod, *nodes[at], diagnosis);
    ++looked_at;
    if (++at == nodes.size()) at = 0;
  }
  *start = at;
  return looked_at;
}

void Placer::SearchOnly(PreparedPod& prepared, const PodDemand& pod, const Snapshot& snapshot, Diagnosis& diagnosis) {
  size_t looked_at = 0;
  for (const std::string& name : *prepared.only()) {
    const NodeInfo* node = snapshot.Find(name);
    if (node == nullptr) continue;
    ++looked_at;
    Look(prepared, pod, *node, diagnosis);
  }
  diagnosis.AddUnseen(snapshot.nodes().size() - looked_at, prepared.only_by(), prepared.only_mask());
}

const NodeInfo* Placer::Best(PreparedPod& prepared, const PodDemand& pod, const ClusterView& cluster) {
  if (fitting_.size() == 1) return fitting_[0];
  prepared.Score(pod, cluster, fitting_, totals_, scores_);
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
