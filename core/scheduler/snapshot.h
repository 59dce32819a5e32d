#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/kinds/node_match.h"
#include "core/scheduler/amounts.h"
#include "core/scheduler/cluster_event.h"
#include "core/scheduler/pod_demand.h"
#include "core/scheduler/symbols.h"
#include "store/object.h"

namespace wherry {

// A node with its pods, in the form that filters and scores read: no JSON, no allocation. Those of a Snapshot are
// changed by it alone; a copy is the node as it would be with other pods.
struct NodeInfo {
  using Symbol = Symbols::Symbol;

  // A taint with what a pod that does not tolerate it is told.
  struct TaintEntry {
    Taint taint;
    std::string refusal;  // "node(s) had untolerated taint {key: value}"
    bool operator==(const TaintEntry&) const = default;
  };

  std::string name;
  Symbol name_symbol = Symbols::kUnknown;
  bool unschedulable = false;
  std::vector<TaintEntry> taints;
  std::vector<std::pair<Symbol, Symbol>> labels;  // sorted by key
  Amounts allocatable;
  int64_t allowed_pods = 0;
  std::vector<std::pair<std::string, int64_t>> images;  // name and bytes, sorted

  Amounts requested;            // of all its pods, assumed ones included
  int64_t score_milli_cpu = 0;  // as PodDemand::score_milli_cpu, summed
  int64_t score_memory = 0;
  std::vector<HostPort> host_ports;
  std::vector<ObjectPtr> pods;
  // Pods that evictions make room for here: others of lower or equal priority must leave that room alone.
  std::vector<ObjectPtr> nominated;
  size_t with_affinity = 0;       // pods with (anti-)affinity terms of any sort
  size_t with_anti_affinity = 0;  // pods with required anti-affinity terms

  // Its place in Snapshot::nodes(), which holds until a node comes or goes.
  size_t position() const { return position_; }
  void Add(const ObjectPtr& pod);
  // REQUIRES: slot < pods.size(). The last pod takes the slot.
  void Remove(size_t slot);
  // The value of a label, or kUnknown.
  Symbol label(Symbol key) const;

 private:
  friend class Snapshot;
  bool exists_ = false;  // a Node object stands behind it; else only pods name it
  size_t position_ = 0;
  ptrdiff_t change_ = -1;  // in Snapshot::changes_
};

// The cluster as the scheduler sees it, kept up to date event by event: each costs the size of what changed, however
// large the cluster. Pods whose bind is under way are already counted ("assumed"), so decisions need not wait for
// binds.
//
// What changed since the last TakeChanges is remembered per node, for waking refused pods; heartbeats and statuses that
// move nothing are no change. Control thread only.
class Snapshot {
 public:
  // What happened to a node since the last TakeChanges.
  struct Change {
    std::string node;
    ClusterEvents events = 0;
    std::vector<ObjectPtr> came, went;  // pods; one that changed is in both
  };
  using Changes = std::vector<Change>;  // in the order of first change
  // A pod that was counted on a node (by = 1), or no longer is (-1).
  struct Delta {
    ObjectPtr pod;
    const NodeInfo* node;
    int by;
  };

  // A node as stored now.
  void PutNode(const Object& node);
  void RemoveNode(const std::string& name);

  // A pod as stored now: counted on its node, or not at all while it has none or is finished. An assumed pod that is
  // not bound yet stays where it was assumed.
  void PutPod(const ObjectPtr& pod);
  void RemovePod(const std::string& uid);

  // Counts an unbound pod on `node` from now on. REQUIRES: not counted yet.
  void Assume(const ObjectPtr& pod, const std::string& node);
  // Takes an assumption back; nothing happens when the pod was meanwhile seen bound, or is gone.
  void Forget(const std::string& uid);

  // Room on `node` is being made for a pod that waits; any older nomination of it ends. "" = none any more. Nothing is
  // noted for a node that is not there.
  void Nominate(const ObjectPtr& pod, const std::string& node);
  void Unnominate(const std::string& uid);
  // The node that a pod is nominated to, or "".
  const std::string& NominationOf(const std::string& uid) const;

  // Existing nodes; the order is stable between changes.
  std::span<const NodeInfo* const> nodes() const { return nodes_; }
  const NodeInfo* Find(const std::string& name) const;  // null when no Node object is there
  const Symbols& symbols() const { return symbols_; }
  // Pods counted anywhere, and whether one of them is.
  size_t pods() const { return pods_.size(); }
  bool Counts(const std::string& uid) const { return pods_.contains(uid); }
  // How many nodes have an image.
  size_t NodesWithImage(const std::string& image) const;
  // The lowest priority of any pod counted anywhere; the highest number there is when there are none.
  int32_t LowestPriority() const;

  // Pods counted anywhere that have (anti-)affinity terms; that have required anti-affinity terms.
  size_t with_affinity() const { return with_affinity_; }
  size_t with_anti_affinity() const { return with_anti_affinity_; }

  // Moves with everything that a decision could depend on; with everything but pods and nominations.
  uint64_t version() const { return version_; }
  uint64_t nodes_version() const { return nodes_version_; }
  // Calls `f` for each Delta from number `from` on. False when they are no longer kept. Nodes in it are there for as
  // long as nodes_version() stands.
  template <typename F>
  bool DeltasSince(uint64_t from, F f) const {
    if (from < first_delta_) return false;
    for (uint64_t i = from; i < deltas_end(); ++i) f(deltas_[i - first_delta_]);
    return true;
  }
  uint64_t deltas_end() const { return first_delta_ + deltas_.size(); }

  Changes TakeChanges();
  void DropChanges();
  bool changed() const { return !changes_.empty(); }

  // Whether everything derived equals what a fresh snapshot of the same objects holds; for tests. "" = yes.
  std::string Inconsistency() const;

 private:
  struct Place {
    NodeInfo* node;
    size_t slot;  // in node->pods
    bool assumed;
  };
  NodeInfo& Entry(const std::string& name);
  void DropIfEmpty(NodeInfo& node);
  void AddPod(const ObjectPtr& pod, NodeInfo& node, bool assumed);
  void TakeOff(std::unordered_map<std::string, Place>::iterator it);
  void SetImages(NodeInfo& node, std::vector<std::pair<std::string, int64_t>> images);
  Change* Note(NodeInfo& node, ClusterEvents events);
  void Log(const ObjectPtr& pod, const NodeInfo& node, int by);

  Symbols symbols_;
  std::unordered_map<std::string, std::unique_ptr<NodeInfo>> by_name_;
  std::vector<const NodeInfo*> nodes_;
  std::unordered_map<std::string, Place> pods_;  // by uid
  std::unordered_map<std::string, size_t> image_nodes_;
  std::unordered_map<std::string, std::string> nominations_;  // node by uid
  std::map<int32_t, size_t> priorities_;                      // of pods counted: how many have each
  size_t with_affinity_ = 0;
  size_t with_anti_affinity_ = 0;
  Changes changes_;
  std::deque<Delta> deltas_;
  uint64_t first_delta_ = 0;
  uint64_t version_ = 1;
  uint64_t nodes_version_ = 1;
};

}  // namespace wherry
