#pragma once

#include <cstdint>
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

// A node with its pods, in the form that filters and scores read: no JSON, no allocation. Changed only by Snapshot.
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

  // The value of a label, or kUnknown.
  Symbol label(Symbol key) const;

 private:
  friend class Snapshot;
  bool exists = false;        // a Node object stands behind it; else only pods name it
  size_t position = 0;        // in Snapshot::nodes_ when it exists
  ClusterEvents changes = 0;  // not yet taken
};

// The cluster as the scheduler sees it, kept up to date event by event: each costs the size of what changed, however
// large the cluster. Pods whose bind is under way are already counted ("assumed"), so decisions need not wait for
// binds.
//
// What changed since the last TakeChanges is remembered per node, for waking refused pods; heartbeats and statuses that
// move nothing are no change. Control thread only.
class Snapshot {
 public:
  using Changes = std::vector<std::pair<std::string, ClusterEvents>>;  // by node, in the order of first change

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

  // Existing nodes; the order is stable between changes.
  std::span<const NodeInfo* const> nodes() const { return nodes_; }
  const NodeInfo* Find(const std::string& name) const;  // null when no Node object is there
  const Symbols& symbols() const { return symbols_; }
  // Pods counted anywhere, and whether one of them is.
  size_t pods() const { return pods_.size(); }
  bool Counts(const std::string& uid) const { return pods_.contains(uid); }
  // How many nodes have an image.
  size_t NodesWithImage(const std::string& image) const;

  Changes TakeChanges();
  void DropChanges();
  bool changed() const { return !changed_.empty(); }

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
  void Note(NodeInfo& node, ClusterEvents events);

  Symbols symbols_;
  std::unordered_map<std::string, std::unique_ptr<NodeInfo>> by_name_;
  std::vector<const NodeInfo*> nodes_;
  std::unordered_map<std::string, Place> pods_;  // by uid
  std::unordered_map<std::string, size_t> image_nodes_;
  std::vector<std::string> changed_;
};

}  // namespace wherry
