#include "core/scheduler/snapshot.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "core/kinds/quantity.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

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

}  // namespace

NodeInfo::Symbol NodeInfo::label(Symbol key) const {
  if (key == Symbols::kUnknown) return Symbols::kUnknown;
  for (const auto& [have, value] : labels) {
    if (have == key) return value;
    if (have > key) break;
  }
  return Symbols::kUnknown;
}

void Snapshot::PutNode(const Object& object) {
  NodeParts parts = Read(*object.json(), symbols_);
  NodeInfo& node = Entry(object.name());
  ClusterEvents events = 0;
  if (!node.exists) {
    node.exists = true;
    node.position = nodes_.size();
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
  if (events != 0) Note(node, events);
}

void Snapshot::RemoveNode(const std::string& name) {
  auto it = by_name_.find(name);
  if (it == by_name_.end() || !it->second->exists) return;
  NodeInfo& node = *it->second;
  SetImages(node, {});
  NodeInfo* last = by_name_.at(nodes_.back()->name).get();
  nodes_[node.position] = last;
  last->position = node.position;
  nodes_.pop_back();
  node.exists = false;
  Note(node, kNodeRemoved);
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
      if (before.request.amounts == info.request.amounts && before.request.host_ports == info.request.host_ports) {
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

const NodeInfo* Snapshot::Find(const std::string& name) const {
  auto it = by_name_.find(name);
  return it != by_name_.end() && it->second->exists ? it->second.get() : nullptr;
}

size_t Snapshot::NodesWithImage(const std::string& image) const {
  auto it = image_nodes_.find(image);
  return it == image_nodes_.end() ? 0 : it->second;
}

Snapshot::Changes Snapshot::TakeChanges() {
  Changes changes;
  changes.reserve(changed_.size());
  for (std::string& name : changed_) {
    auto it = by_name_.find(name);
    ClusterEvents events = kNodeRemoved;
    if (it != by_name_.end()) events = std::exchange(it->second->changes, 0);
    changes.emplace_back(std::move(name), events);
  }
  changed_.clear();
  return changes;
}

void Snapshot::DropChanges() {
  for (const std::string& name : changed_) {
    auto it = by_name_.find(name);
    if (it != by_name_.end()) it->second->changes = 0;
  }
  changed_.clear();
}

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
  if (!node.exists && node.pods.empty()) by_name_.erase(std::string(node.name));
}

void Snapshot::AddPod(const ObjectPtr& pod, NodeInfo& node, bool assumed) {
  const PodDemand& info = pod->view<PodDemand>();
  node.requested.Add(info.request.amounts);
  node.score_milli_cpu += info.score_milli_cpu;
  node.score_memory += info.score_memory;
  node.host_ports.insert(node.host_ports.end(), info.request.host_ports.begin(), info.request.host_ports.end());
  pods_.emplace(pod->uid(), Place{&node, node.pods.size(), assumed});
  node.pods.push_back(pod);
  Note(node, kPodAssigned);
}

void Snapshot::TakeOff(std::unordered_map<std::string, Place>::iterator it) {
  const auto [place_node, slot, assumed] = it->second;
  NodeInfo& node = *place_node;
  const ObjectPtr pod = node.pods[slot];
  const PodDemand& info = pod->view<PodDemand>();
  node.requested.Subtract(info.request.amounts);
  node.score_milli_cpu -= info.score_milli_cpu;
  node.score_memory -= info.score_memory;
  for (const HostPort& port : info.request.host_ports) {
    node.host_ports.erase(std::find(node.host_ports.begin(), node.host_ports.end(), port));
  }
  pods_.erase(it);
  if (slot + 1 != node.pods.size()) {
    node.pods[slot] = std::move(node.pods.back());
    pods_.at(node.pods[slot]->uid()).slot = slot;
  }
  node.pods.pop_back();
  Note(node, kPodGone);
  DropIfEmpty(node);
}

void Snapshot::SetImages(NodeInfo& node, std::vector<std::pair<std::string, int64_t>> images) {
  if (node.images == images) return;
  for (const auto& [name, size] : node.images) {
    if (--image_nodes_[name] == 0) image_nodes_.erase(name);
  }
  for (const auto& [name, size] : images) ++image_nodes_[name];
  node.images = std::move(images);
}

void Snapshot::Note(NodeInfo& node, ClusterEvents events) {
  // A pod on a node that is not there frees nothing that could be used.
  if (!node.exists && (events & kNodeRemoved) == 0) return;
  if (node.changes == 0) changed_.push_back(node.name);
  node.changes |= events;
}

std::string Snapshot::Inconsistency() const {
  size_t existing = 0;
  size_t counted = 0;
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
    if (node->exists) {
      ++existing;
      if (nodes_[node->position] != node.get()) return "node " + name + " is not at its position";
    } else if (node->pods.empty()) {
      return "node " + name + " is neither stored nor used";
    }
    counted += node->pods.size();
  }
  if (existing != nodes_.size()) return "wrong number of nodes";
  if (counted != pods_.size()) return "wrong number of pods";
  return "";
}

}  // namespace wherry
