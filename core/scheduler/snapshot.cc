#include "core/scheduler/snapshot.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/kinds/quantity.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// Kept Deltas: as many as a scheduler that prepared a pod is likely to be behind.
constexpr size_t kDeltasKept = 4096;

int64_t AmountOf(const Json& quantity, bool milli) {
  if (quantity.is_number()) return quantity.get<int64_t>() * (milli ? 1000 : 1);
  if (!quantity.is_string()) return 0;
  const Result<Quantity> parsed = Quantity::Parse(quantity.get_ref<const std::string&>());
  if (!parsed.ok()) return 0;  // validation lets none through
  return milli ? parsed->milli() : parsed->value();
}

// The parts of a Node that matter here, parsed in one go.
struct NodeParts {
  bool unschedulable = false;
  std::vector<NodeInfo::TaintEntry> taints;
  std::vector<std::pair<Symbols::Symbol, Symbols::Symbol>> labels;
  Amounts allocatable;
  int64_t allowed_pods = 0;
  std::vector<std::pair<std::string, int64_t>> images;
};

void ReadAllocatable(const Json& node, NodeParts& parts) {
  const Json* list = FindPath(node, "status.allocatable");
  if (list == nullptr || !list->is_object()) return;
  for (const auto& [resource, quantity] : list->items()) {
    if (resource == "cpu") {
      parts.allocatable.milli_cpu = AmountOf(quantity, true);
    } else if (resource == "memory") {
      parts.allocatable.memory = AmountOf(quantity, false);
    } else if (resource == "ephemeral-storage") {
      parts.allocatable.ephemeral_storage = AmountOf(quantity, false);
    } else if (resource == "pods") {
      parts.allowed_pods = AmountOf(quantity, false);
    } else {
      parts.allocatable.AddExtended(resource, AmountOf(quantity, false));
    }
  }
}

void ReadImages(const Json& node, NodeParts& parts) {
  const Json* images = FindPath(node, "status.images");
  if (images == nullptr || !images->is_array()) return;
  for (const auto& image : *images) {
    auto names = image.find("names");
    if (names == image.end() || !names->is_array()) continue;
    const int64_t size = IntAt(image, "sizeBytes");
    for (const auto& name : *names) {
      if (name.is_string()) parts.images.emplace_back(name.get<std::string>(), size);
    }
  }
  std::sort(parts.images.begin(), parts.images.end());
  parts.images.erase(std::unique(parts.images.begin(), parts.images.end(),
                                 [](const auto& a, const auto& b) { return a.first == b.first; }),
                     parts.images.end());
}

NodeParts Read(const Json& node, Symbols& symbols) {
  NodeParts parts;
  parts.unschedulable = BoolAt(node, "spec.unschedulable");
  const Json* taints = FindPath(node, "spec.taints");
  for (Taint& taint : ParseTaints(taints != nullptr ? *taints : Json())) {
    std::string refusal = "node(s) had untolerated taint {" + taint.key + ": " + taint.value + "}";
    parts.taints.push_back({std::move(taint), std::move(refusal)});
  }
  if (const Json* labels = FindPath(node, "metadata.labels"); labels != nullptr && labels->is_object()) {
    for (const auto& [key, value] : labels->items()) {
      if (value.is_string()) {
        parts.labels.emplace_back(symbols.Intern(key), symbols.Intern(value.get_ref<const std::string&>()));
      }
    }
    std::sort(parts.labels.begin(), parts.labels.end());
  }
  ReadAllocatable(node, parts);
  ReadImages(node, parts);
  return parts;
}

bool HasAffinity(const PodDemand& pod) { return !pod.request.affinity.empty() || !pod.request.anti_affinity.empty(); }

bool HasAntiAffinity(const PodDemand& pod) { return !pod.request.anti_affinity.required.empty(); }

}  // namespace

NodeInfo::Symbol NodeInfo::label(Symbol key) const {
  if (key == Symbols::kUnknown) return Symbols::kUnknown;
  for (const auto& [have, value] : labels) {
    if (have == key) return value;
    if (have > key) break;
  }
  return Symbols::kUnknown;
}

void NodeInfo::Add(const ObjectPtr& pod) {
  const PodDemand& info = pod->view<PodDemand>();
  requested.Add(info.request.amounts);
  score_milli_cpu += info.score_milli_cpu;
  score_memory += info.score_memory;
  host_ports.insert(host_ports.end(), info.request.host_ports.begin(), info.request.host_ports.end());
  with_affinity += HasAffinity(info) ? 1 : 0;
  with_anti_affinity += HasAntiAffinity(info) ? 1 : 0;
  pods.push_back(pod);
}

void NodeInfo::Remove(size_t slot) {
  const ObjectPtr pod = std::move(pods[slot]);
  const PodDemand& info = pod->view<PodDemand>();
  requested.Subtract(info.request.amounts);
  score_milli_cpu -= info.score_milli_cpu;
  score_memory -= info.score_memory;
  for (const HostPort& port : info.request.host_ports) {
    host_ports.erase(std::find(host_ports.begin(), host_ports.end(), port));
  }
  with_affinity -= HasAffinity(info) ? 1 : 0;
  with_anti_affinity -= HasAntiAffinity(info) ? 1 : 0;
  if (slot + 1 != pods.size()) pods[slot] = std::move(pods.back());
  pods.pop_back();
}

void Snapshot::PutNode(const Object& object) {
  NodeParts parts = Read(*object.json(), symbols_);
  NodeInfo& node = Entry(object.name());
  ClusterEvents events = 0;
  if (!node.exists_) {
    node.exists_ = true;
    node.position_ = nodes_.size();
    nodes_.push_back(&node);
    events = kNodeAdded;
  } else {
    if (node.allocatable != parts.allocatable || node.allowed_pods != parts.allowed_pods) events |= kNodeAllocatable;
    if (node.labels != parts.labels) events |= kNodeLabels;
    if (node.taints != parts.taints || node.unschedulable != parts.unschedulable) events |= kNodeTaints;
  }
  node.unschedulable = parts.unschedulable;
  node.taints = std::move(parts.taints);
  node.labels = std::move(parts.labels);
  node.allocatable = std::move(parts.allocatable);
  node.allowed_pods = parts.allowed_pods;
  SetImages(node, std::move(parts.images));
  if (events == 0) return;
  ++nodes_version_;
  Note(node, events);
}

void Snapshot::RemoveNode(const std::string& name) {
  auto it = by_name_.find(name);
  if (it == by_name_.end() || !it->second->exists_) return;
  NodeInfo& node = *it->second;
  SetImages(node, {});
  for (const ObjectPtr& pod : node.nominated) nominations_.erase(pod->uid());
  node.nominated.clear();
  NodeInfo* last = by_name_.at(nodes_.back()->name).get();
  nodes_[node.position_] = last;
  last->position_ = node.position_;
  nodes_.pop_back();
  ++nodes_version_;
  Note(node, kNodeRemoved);
  node.exists_ = false;
  node.change_ = -1;
  DropIfEmpty(node);
}

void Snapshot::PutPod(const ObjectPtr& pod) {
  const PodDemand& info = pod->view<PodDemand>();
  const bool counts = info.assigned() && !info.finished;
  auto it = pods_.find(pod->uid());
  if (it != pods_.end()) {
    Place& place = it->second;
    if (place.assumed && !info.assigned() && !info.finished) return;
    if (counts && place.node->name == info.node_name) {
      ObjectPtr& held = place.node->pods[place.slot];
      const PodDemand& before = held->view<PodDemand>();
      place.assumed = false;
      if (before.deleting == info.deleting && before.request == info.request) {
        held = pod;
        return;
      }
    }
    TakeOff(it);
  }
  if (counts) AddPod(pod, Entry(info.node_name), false);
}

void Snapshot::RemovePod(const std::string& uid) {
  auto it = pods_.find(uid);
  if (it != pods_.end()) TakeOff(it);
}

void Snapshot::Assume(const ObjectPtr& pod, const std::string& node) { AddPod(pod, Entry(node), true); }

void Snapshot::Forget(const std::string& uid) {
  auto it = pods_.find(uid);
  if (it != pods_.end() && it->second.assumed) TakeOff(it);
}

void Snapshot::Nominate(const ObjectPtr& pod, const std::string& node) {
  Unnominate(pod->uid());
  auto it = by_name_.find(node);
  if (it == by_name_.end() || !it->second->exists_) return;
  it->second->nominated.push_back(pod);
  nominations_[pod->uid()] = node;
  ++version_;
}

void Snapshot::Unnominate(const std::string& uid) {
  auto it = nominations_.find(uid);
  if (it == nominations_.end()) return;
  NodeInfo& node = *by_name_.at(it->second);
  nominations_.erase(it);
  auto at = std::find_if(node.nominated.begin(), node.nominated.end(),
                         [&](const ObjectPtr& pod) { return pod->uid() == uid; });
  if (Change* change = Note(node, kPodGone)) change->went.push_back(*at);
  node.nominated.erase(at);
}

const std::string& Snapshot::NominationOf(const std::string& uid) const {
  static const std::string kNone;
  auto it = nominations_.find(uid);
  return it == nominations_.end() ? kNone : it->second;
}

int32_t Snapshot::LowestPriority() const {
  return priorities_.empty() ? std::numeric_limits<int32_t>::max() : priorities_.begin()->first;
}

const NodeInfo* Snapshot::Find(const std::string& name) const {
  auto it = by_name_.find(name);
  return it != by_name_.end() && it->second->exists_ ? it->second.get() : nullptr;
}

size_t Snapshot::NodesWithImage(const std::string& image) const {
  auto it = image_nodes_.find(image);
  return it == image_nodes_.end() ? 0 : it->second;
}

Snapshot::Changes Snapshot::TakeChanges() {
  Changes changes = std::move(changes_);
  changes_.clear();
  for (const Change& change : changes) {
    auto it = by_name_.find(change.node);
    if (it != by_name_.end()) it->second->change_ = -1;
  }
  return changes;
}

void Snapshot::DropChanges() { TakeChanges(); }

NodeInfo& Snapshot::Entry(const std::string& name) {
  auto& slot = by_name_[name];
  if (!slot) {
    slot = std::make_unique<NodeInfo>();
    slot->name = name;
    slot->name_symbol = symbols_.Intern(name);
  }
  return *slot;
}

void Snapshot::DropIfEmpty(NodeInfo& node) {
  if (!node.exists_ && node.pods.empty()) by_name_.erase(std::string(node.name));
}

void Snapshot::AddPod(const ObjectPtr& pod, NodeInfo& node, bool assumed) {
  pods_.emplace(pod->uid(), Place{&node, node.pods.size(), assumed});
  node.Add(pod);
  const PodDemand& info = pod->view<PodDemand>();
  ++priorities_[info.request.priority];
  with_affinity_ += HasAffinity(info) ? 1 : 0;
  with_anti_affinity_ += HasAntiAffinity(info) ? 1 : 0;
  Log(pod, node, 1);
  if (Change* change = Note(node, kPodAssigned)) change->came.push_back(pod);
}

void Snapshot::TakeOff(std::unordered_map<std::string, Place>::iterator it) {
  const auto [place_node, slot, assumed] = it->second;
  NodeInfo& node = *place_node;
  const ObjectPtr pod = node.pods[slot];
  pods_.erase(it);
  node.Remove(slot);
  if (slot < node.pods.size()) pods_.at(node.pods[slot]->uid()).slot = slot;
  const PodDemand& info = pod->view<PodDemand>();
  with_affinity_ -= HasAffinity(info) ? 1 : 0;
  with_anti_affinity_ -= HasAntiAffinity(info) ? 1 : 0;
  auto count = priorities_.find(info.request.priority);
  if (--count->second == 0) priorities_.erase(count);
  Log(pod, node, -1);
  if (Change* change = Note(node, kPodGone)) change->went.push_back(pod);
  DropIfEmpty(node);
}

void Snapshot::Log(const ObjectPtr& pod, const NodeInfo& node, int by) {
  if (!node.exists_) return;
  deltas_.push_back({pod, &node, by});
  if (deltas_.size() > kDeltasKept) {
    deltas_.pop_front();
    ++first_delta_;
  }
}

void Snapshot::SetImages(NodeInfo& node, std::vector<std::pair<std::string, int64_t>> images) {
  if (node.images == images) return;
  for (const auto& [name, size] : node.images) {
    if (--image_nodes_[name] == 0) image_nodes_.erase(name);
  }
  for (const auto& [name, size] : images) ++image_nodes_[name];
  node.images = std::move(images);
  ++nodes_version_;
  ++version_;
}

// Null when the change concerns nobody.
Snapshot::Change* Snapshot::Note(NodeInfo& node, ClusterEvents events) {
  // A pod on a node that is not there frees nothing that could be used.
  if (!node.exists_) return nullptr;
  ++version_;
  if (node.change_ < 0) {
    node.change_ = static_cast<ptrdiff_t>(changes_.size());
    changes_.push_back({node.name, 0, {}, {}});
  }
  Change& change = changes_[static_cast<size_t>(node.change_)];
  change.events |= events;
  return &change;
}

std::string Snapshot::Inconsistency() const {
  size_t existing = 0;
  size_t counted = 0;
  size_t nominated = 0;
  for (const auto& [name, node] : by_name_) {
    Amounts requested;
    int64_t cpu = 0;
    int64_t memory = 0;
    size_t ports = 0;
    for (size_t slot = 0; slot < node->pods.size(); ++slot) {
      const PodDemand& info = node->pods[slot]->view<PodDemand>();
      requested.Add(info.request.amounts);
      cpu += info.score_milli_cpu;
      memory += info.score_memory;
      ports += info.request.host_ports.size();
      auto it = pods_.find(node->pods[slot]->uid());
      if (it == pods_.end() || it->second.node != node.get() || it->second.slot != slot) {
        return "pod " + node->pods[slot]->name() + " is not where the index says";
      }
    }
    std::erase_if(requested.extended, [](const auto& entry) { return entry.second == 0; });
    if (node->requested != requested) return "node " + name + ": requested differs";
    if (node->score_milli_cpu != cpu || node->score_memory != memory) return "node " + name + ": score amounts differ";
    if (node->host_ports.size() != ports) return "node " + name + ": host ports differ";
    for (const ObjectPtr& pod : node->nominated) {
      if (NominationOf(pod->uid()) != name) return "pod " + pod->name() + " is not nominated where the index says";
    }
    nominated += node->nominated.size();
    if (node->exists_) {
      ++existing;
      if (nodes_[node->position_] != node.get()) return "node " + name + " is not at its position";
    } else if (node->pods.empty()) {
      return "node " + name + " is neither stored nor used";
    }
    counted += node->pods.size();
  }
  if (existing != nodes_.size()) return "wrong number of nodes";
  if (counted != pods_.size()) return "wrong number of pods";
  if (nominated != nominations_.size()) return "wrong number of nominations";
  return "";
}

}  // namespace wherry
