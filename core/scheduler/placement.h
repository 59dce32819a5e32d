#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/scheduler/diagnosis.h"
#include "core/scheduler/plugin.h"
#include "core/scheduler/queue.h"
#include "core/scheduler/snapshot.h"

namespace wherry {

// The rules that pods of one schedulerName are placed by.
struct Profile {
  struct Weighted {
    const ScorePlugin* plugin;
    int64_t weight;
  };
  std::string scheduler_name;
  std::vector<const FilterPlugin*> filters;  // at most 64, in order
  std::vector<Weighted> scores;
};

// Every plugin, with its own weight.
Profile DefaultProfile(std::string scheduler_name = "default-scheduler");

// A pod with its filters made ready against one state of the snapshot; valid until the snapshot changes.
class PreparedPod {
 public:
  PreparedPod(const Profile& profile, const PodDemand& pod, const Snapshot& snapshot);

  // Whether the node may take the pod. If not: the refusal, and the bit of the filter that gave it.
  bool Fits(const NodeInfo& node, Refusal& refusal, FilterMask& refused_by) const;

  const PodDemand& pod() const { return pod_; }
  // The nodes that the filters leave to look at, when they can tell, and which filter did.
  const std::optional<std::vector<std::string>>& only() const { return only_; }
  std::string only_by() const;
  FilterMask only_mask() const { return only_mask_; }
  // Why no node can pass at all; "" = some may.
  const std::string& refusal() const { return refusal_; }
  FilterMask refusal_mask() const { return refusal_mask_; }

 private:
  struct Step {
    const FilterPlugin* plugin;
    FilterMask bit;
    std::unique_ptr<PluginState> state;
  };
  const PodDemand& pod_;
  std::vector<Step> steps_;
  std::optional<std::vector<std::string>> only_;
  std::vector<std::string_view> only_by_;
  FilterMask only_mask_ = 0;
  std::string refusal_;
  FilterMask refusal_mask_ = 0;
};

// The decision for one pod.
struct Placement {
  const NodeInfo* node = nullptr;  // null = refused
  Diagnosis diagnosis;             // when refused
  std::vector<std::string> tied_to;
};

// Decides where pods go: filters, then scores, over a snapshot. Of large clusters only as many nodes as make a good
// choice likely are scored, starting each time where the last search ended, so that every node gets its turn.
// Deterministic: same snapshot, same seed, same order of calls, same answers.
class Placer {
 public:
  explicit Placer(uint64_t seed) : random_(seed) {}

  Placement Place(const Profile& profile, const PodDemand& pod, const Snapshot& snapshot);

  // How many fitting nodes end the search in a cluster of `nodes` (kube-scheduler's adaptive percentageOfNodesToScore:
  // all of up to 100 nodes, then 50 % falling to 5 %).
  static size_t EnoughOf(size_t nodes);

 private:
  void Search(const PreparedPod& prepared, const Snapshot& snapshot, Diagnosis& diagnosis);
  void SearchOnly(const PreparedPod& prepared, const Snapshot& snapshot, Diagnosis& diagnosis);
  const NodeInfo* Best(const Profile& profile, const PodDemand& pod, const Snapshot& snapshot);
  uint64_t NextRandom();

  uint64_t random_;
  size_t next_start_ = 0;
  std::vector<const NodeInfo*> fitting_;  // kept for their capacity
  std::vector<int64_t> totals_, scores_;
};

}  // namespace wherry
