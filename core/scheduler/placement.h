#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/scheduler/diagnosis.h"
#include "core/scheduler/prepared_pod.h"
#include "core/scheduler/queue.h"
#include "core/scheduler/snapshot.h"

namespace wherry {

// The decision for one pod.
struct Placement {
  const NodeInfo* node = nullptr;  // null = refused
  Diagnosis diagnosis;             // when refused
  std::vector<std::string> tied_to;
  PostFilter post;  // when refused: what could make room
};

// Decides where pods go: filters, then scores, over a snapshot. Of large clusters only as many nodes as make a good
// choice likely are scored, starting each time where the last search ended, so that every node gets its turn.
// Deterministic: same snapshot, same seed, same order of calls, same answers.
//
// Pods of one template share their prepared plugins, which follow the snapshot's changes, and a refusal stands for all
// of them until something changes: both give what a fresh look would give. Once as many nodes were looked at for a
// template as there are, those that its labels and tolerations rule out are not looked at again until a node changes.
// One snapshot for all of a Placer's life.
class Placer {
 public:
  explicit Placer(uint64_t seed) : random_(seed) {}

  Placement Place(const Profile& profile, const PodDemand& pod, const ClusterView& cluster);
  Placement Place(const Profile& profile, const PodDemand& pod, const Snapshot& snapshot) {
    return Place(profile, pod, ClusterView{snapshot});
  }

  // The pod's plugins as of now, valid until the next call. `profile` outlives this.
  PreparedPod& Prepare(const Profile& profile, const PodDemand& pod, const ClusterView& cluster) {
    return Find(profile, pod, cluster).prepared;
  }
  // Something other than pods and nodes changed that a plugin looks at.
  void DropPrepared(const ResourceWatch& watch) {
    std::erase_if(kept_, [&](const Kept& kept) { return watch.concerns == nullptr || watch.concerns(kept.request); });
  }

  // How many fitting nodes end the search in a cluster of `nodes` (kube-scheduler's adaptive percentageOfNodesToScore:
  // all of up to 100 nodes, then 50 % falling to 5 %).
  static size_t EnoughOf(size_t nodes);

 private:
  struct Kept {
    Kept(const Profile& profile, const PodDemand& pod, const ClusterView& cluster);
    size_t hash;
    PodDemand::Request request;
    uint64_t nodes_version;
    uint64_t deltas_at;  // the snapshot's changes up to here are in `prepared`
    PreparedPod prepared;
    std::optional<Placement> refused;                        // the last refusal of such a pod
    uint64_t refused_at = 0;                                 // the version of the snapshot then
    size_t looked_at = 0;                                    // nodes, by all searches together
    std::optional<std::vector<const NodeInfo*>> candidates;  // those that may ever fit; empty = all, or none
    size_t next_start = 0;                                   // as Placer's, among the candidates
  };
  Kept& Find(const Profile& profile, const PodDemand& pod, const ClusterView& cluster);
  Placement Refuse(Kept& kept, const PodDemand& pod, const ClusterView& cluster, Placement placement);
  void Search(Kept& kept, const PodDemand& pod, const Snapshot& snapshot, Diagnosis& diagnosis);
  // Looks at `nodes` from `*start` on, until `enough` fit. How many were looked at.
  size_t Walk(PreparedPod& prepared, const PodDemand& pod, std::span<const NodeInfo* const> nodes, size_t enough,
              size_t* start, Diagnosis& diagnosis);
  void SearchOnly(PreparedPod& prepared, const PodDemand& pod, const Snapshot& snapshot, Diagnosis& diagnosis);
  bool Look(PreparedPod& prepared, const PodDemand& pod, const NodeInfo& node, Diagnosis& diagnosis);
  const NodeInfo* Best(PreparedPod& prepared, const PodDemand& pod, const ClusterView& cluster);
  uint64_t NextRandom();

  uint64_t random_;
  size_t next_start_ = 0;
  std::list<Kept> kept_;                               // the last used first
  std::vector<const NodeInfo*> fitting_, resolvable_;  // of the search at hand; kept for their capacity
  std::vector<int64_t> totals_, scores_;
};

}  // namespace wherry
