#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/runtime/controller.h"
#include "core/runtime/event_recorder.h"
#include "core/scheduler/placement.h"
#include "core/scheduler/profile.h"
#include "core/scheduler/queue.h"
#include "core/scheduler/snapshot.h"

namespace wherry {

struct SchedulerOptions {
  // One per schedulerName that is ours; empty = BuiltInProfiles().
  std::vector<Profile> profiles;
  // Binds under way at once. As many as the store takes into one transaction, so that they share its fsync.
  size_t max_binds = 512;
};

// Gives every pod that waits for a node its node.
//
// Flow: events of pods and nodes update the snapshot and the queue at once, and post one Pump; Pump wakes refused pods
// that a change helps, then takes pods off the queue one by one: filter, score, assume, and start the bind. Decisions
// are made one after another on the control thread and depend only on the order of events and the seed; binds run
// beside them. A pod that nothing fits may be nominated to a node, whose less important pods are then evicted beside
// the decisions; it waits for their end like any refused pod. Pods with another schedulerName, with scheduling gates,
// or on their way out are left alone.
//
// Control thread only. Before it is destroyed its executor must have stopped, as with every Controller.
class Scheduler {
 public:
  explicit Scheduler(RuntimeContext context, SchedulerOptions options = {});
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  void Start();
  // No further decision is made; binds under way end by themselves.
  void Stop();

  const Snapshot& snapshot() const { return snapshot_; }
  const SchedulingQueue& queue() const { return queue_; }
  const PluginMemories& memories() const { return memories_; }
  size_t binding() const { return binding_; }
  uint64_t decisions() const { return decisions_; }  // since Start, refusals included

 private:
  struct ProfileEntry {
    Profile profile;
    FilterMask far_sighted = 0;  // filters that are not node_local
    bool binds_late = false;     // some plugin has work before the bind
    std::unique_ptr<EventRecorder> recorder;
  };
  // What a pod's PodScheduled condition should say, and what was last told in an event.
  struct Report {
    ObjectPtr pod;
    std::string reason, message;
    std::string nominated;  // status.nominatedNodeName
    bool writing = false;
    std::string told;
    Duration told_at{};
  };

  void OnNode(const Event& event);
  void OnPod(const Event& event);
  void OnOther(const Plugin& plugin, const ResourceWatch& watch, const Event& event);
  ProfileEntry* ProfileOf(const PodDemand& pod);
  void Wake();
  void Pump();
  void WakeRefused();
  bool Helps(QueuedPod& queued, const Snapshot::Change& change);
  bool RoomIsDue(const ProfileEntry& entry, PreparedPod& prepared, const PodDemand& pod, const NodeInfo& node,
                 const Refusal& refusal, FilterMask& refused_by);
  void Decide(QueuedPod& queued);
  Status Reserve(const ProfileEntry& entry, const ObjectPtr& pod, const NodeInfo& node);
  void Unreserve(const ProfileEntry& entry, const ObjectPtr& pod, const std::string& node);
  Task<> Bind(ObjectPtr pod, std::string node);
  Task<Status> BindNow(ObjectPtr pod, std::string node);
  // Evicts the victims beside the decisions that follow; `pod` stays refused meanwhile.
  void Preempt(const ObjectPtr& pod, const PostFilter& plan);
  Task<> Evict(ObjectPtr victim, ObjectPtr preemptor, std::string node);
  void EndNomination(const ObjectPtr& pod);
  void RequeueOrDrop(const ObjectPtr& pod);
  void Say(const ObjectPtr& pod, std::string reason, std::string message);
  void WriteReport(const ObjectPtr& pod, Report& report);
  Task<> WriteCondition(std::string uid);

  RuntimeContext context_;
  const size_t max_binds_;
  std::unordered_map<std::string, ProfileEntry> profiles_;  // by schedulerName
  Snapshot snapshot_;
  PluginMemories memories_;
  ClusterView view_;
  SchedulingQueue queue_;
  Placer placer_;
  std::unordered_map<std::string, Report> reports_;  // by uid, while the pod waits
  std::unordered_map<std::string, int> evicting_;    // by uid of the preemptor: evictions that have not been answered
  std::vector<EventBus::HandlerId> handlers_;
  size_t binding_ = 0;
  uint64_t decisions_ = 0;
  bool pump_posted_ = false;
  bool stopped_ = false;
  std::shared_ptr<Scheduler*> self_;  // what a posted Pump holds; null once destroyed
};

}  // namespace wherry
