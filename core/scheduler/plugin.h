#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/runtime/controller.h"
#include "core/scheduler/cluster_event.h"
#include "core/scheduler/pod_demand.h"
#include "core/scheduler/snapshot.h"

namespace wherry {

struct Plugin;
class PreparedPod;

// What a plugin worked out about the pod at hand before it looks at nodes. Kept for further pods of the same template
// for as long as it stays true.
struct PluginState {
  virtual ~PluginState() = default;
};

// What a plugin remembers from one decision to the next: one for each scheduler, made by Plugin::make_memory.
struct PluginMemory {
  virtual ~PluginMemory() = default;
};
using PluginMemories = std::unordered_map<const Plugin*, std::unique_ptr<PluginMemory>>;

// What plugins may look at. Control thread only.
struct ClusterView {
  const Snapshot& snapshot;
  // Other resources than pods and nodes; null where there are none (table tests of one plugin).
  const WatchCache* cache = nullptr;
  const PluginMemories* memories = nullptr;

  // The plugin's own memory; null when nobody made it.
  template <typename Memory>
  Memory* memory(const Plugin& plugin) const {
    if (memories == nullptr) return nullptr;
    const auto it = memories->find(&plugin);
    return it == memories->end() ? nullptr : static_cast<Memory*>(it->second.get());
  }
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
  // The state holds for this one decision only, not for later pods of the same template.
  bool once = false;
};

inline constexpr int64_t kMaxScore = 100;

// The outcome of looking at the pod before scoring.
struct PreScore {
  bool skip = false;  // all nodes are alike to this plugin
  std::unique_ptr<PluginState> state;
  bool once = false;
};

// What could make room for a pod that no node takes.
struct PostFilter {
  const NodeInfo* node = nullptr;  // where the pod would go; null = nothing helps
  std::vector<ObjectPtr> victims;  // the pods of that node to evict, most important first
  std::string message;             // why nothing helps
  bool wait = false;               // nothing more, but what was done before still will
  // The filters, as bits in profile order, that stood in the way even so: what moves them may help too.
  uint64_t refused_by = 0;
};

// Another resource than pods and nodes that a plugin's verdicts depend on.
struct ResourceWatch {
  std::string_view resource;
  // Whether the event can change what the plugin says at all; null = each can. Then kept states are made anew.
  bool (*matters)(const Event& event) = nullptr;
  // Whether it may cure a pod that the plugin refused; null = each that matters may.
  bool (*helps)(const PodDemand& pod, const Event& event) = nullptr;
  // Whether what the plugin says of pods of this sort depends on the resource; null = of all sorts. The states of
  // others are kept.
  bool (*concerns)(const PodDemand::Request& request) = nullptr;
};

// One rule or preference about where pods go: a row of the table in plugins.cc. Every hook may be null; the order of
// the hooks here is the order in which a decision calls them (the extension points of the scheduling framework,
// KEP-624).
struct Plugin {
  std::string_view name;

  // -- Filter: a node must satisfy it to take the pod.
  // What may make it pass where it refused. Other resources' events come through `watches`.
  ClusterEvents events = 0;
  // Its verdict on a node depends on nothing but that node and its pods. A refused pod is then woken only when a node
  // that changed passes.
  bool node_local = true;
  // It depends on no pods either, and of the pod at hand on its Request alone: what it says of a node stands for all
  // pods of a template until a node changes.
  bool node_fixed = false;
  PreFilter (*pre_filter)(const PodDemand& pod, const ClusterView& cluster) = nullptr;  // null = no state
  // True when the node may take the pod, else says why. Hot: no allocation when it passes. May read the node and its
  // state only: it is also asked about nodes as they would be without some of their pods.
  bool (*filter)(const PluginState* state, const PodDemand& pod, const NodeInfo& node, Refusal& refusal) = nullptr;
  // For states that count pods: `other` came to the node (by = 1) or left it (by = -1), perhaps only in thought. With
  // it, neither pre_filter nor pre_score may skip because of the pods that happen to be there.
  void (*adjust)(PluginState& state, const PodDemand& pod, const PodDemand& other, const NodeInfo& node,
                 int by) = nullptr;
  // For filters that are not node_local: whether the change may cure a pod that this plugin refused; null = any of its
  // events may.
  bool (*helps)(const PodDemand& pod, const Snapshot::Change& change, const ClusterView& cluster) = nullptr;
  std::span<const ResourceWatch> watches = {};

  // -- PostFilter: no node passed; `resolvable` are those where evictions may help. `start` is a random number.
  PostFilter (*post_filter)(PreparedPod& prepared, const PodDemand& pod, const ClusterView& cluster,
                            std::span<const NodeInfo* const> resolvable, uint64_t start) = nullptr;

  // -- Score: a preference among the nodes that passed.
  int64_t weight = 0;  // in the default profile; 0 = not part of it
  PreScore (*pre_score)(const PodDemand& pod, const ClusterView& cluster) = nullptr;  // null = no state
  // Fills `scores`, one for each node, 0 … kMaxScore, higher is better.
  void (*score)(PluginState* state, const PodDemand& pod, std::span<const NodeInfo* const> nodes,
                std::span<int64_t> scores) = nullptr;
  // As `adjust`, for the state of pre_score.
  void (*adjust_score)(PluginState& state, const PodDemand& pod, const PodDemand& other, const NodeInfo& node,
                       int by) = nullptr;

  // -- Reserve: the node is chosen; take what the pod will use there, at once and without waiting. An error gives the
  // pod back to the queue. Unreserve undoes it, also when it was never done.
  Status (*reserve)(const ObjectPtr& pod, const NodeInfo& node, const ClusterView& cluster) = nullptr;
  void (*unreserve)(const ObjectPtr& pod, const std::string& node, const ClusterView& cluster) = nullptr;
  // -- PreBind: what must be done before the pod is bound, and may wait; other decisions go on. An error unreserves,
  // and the pod is tried again after a back-off.
  Task<Status> (*pre_bind)(RuntimeContext context, ObjectPtr pod, std::string node, PluginMemory* memory) = nullptr;
  // Whether pre_bind has anything to do for the pod; null = it has.
  bool (*needs_pre_bind)(const PodDemand& pod) = nullptr;

  std::unique_ptr<PluginMemory> (*make_memory)(RuntimeContext context) = nullptr;
};

// Scales so that the highest becomes kMaxScore; `NormaliseReversed` so that the lowest raw score is the best.
void Normalise(std::span<int64_t> scores);
void NormaliseReversed(std::span<int64_t> scores);

// Every plugin there is, in the order that profiles run them.
std::span<const Plugin* const> AllPlugins();

}  // namespace wherry
