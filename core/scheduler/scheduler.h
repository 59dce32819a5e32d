#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/runtime/controller.h"
#include "core/runtime/event_recorder.h"
#include "core/scheduler/placement.h"
#include "core/scheduler/queue.h"
#include "core/scheduler/snapshot.h"

namespace wherry {

struct SchedulerOptions {
  // One per schedulerName that is ours; empty = only "default-scheduler", with every plugin.
  std::vector<Profile> profiles;
  // Binds under way at once. As many as the store takes into one transaction, so that they share its fsync.
  size_t max_binds = 512;
};

// Gives every pod that waits for a node its node.
//
// Flow: events of pods and nodes update the snapshot and the queue at once, and post one Pump; Pump wakes refused pods
// that a change helps, then takes pods off the queue one by one: filter, score, assume, and start the bind. Decisions
// are made one after another on the control thread and depend only on the order of events and the seed; binds run
// beside them. Pods with another schedulerName, with scheduling gates, or on their way out are left alone.
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
  size_t binding() const { return binding_; }
  uint64_t decisions() const { return decisions_; }  // since Start, refusals included

 private:
  struct ProfileEntry {
    Profile profile;
    FilterMask far_sighted = 0;  // filters that are not node_local
    std::unique_ptr<EventRecorder> recorder;
  };
  // What a pod's PodScheduled condition should say, and what was last told in an event.
  struct Report {
    ObjectPtr pod;
    std::string reason, message;
    bool writing = false;
    std::string told;
    Duration told_at{};
  };

  void OnNode(const Event& event);
  void OnPod(const Event& event);
  ProfileEntry* ProfileOf(const PodDemand& pod);
  void Wake();
  void Pump();
  void WakeRefused();
  bool Helps(QueuedPod& queued, const std::string& node, ClusterEvents events);
  void Decide(QueuedPod& queued);
  Task<> Bind(ObjectPtr pod, std::string node);
  void RequeueOrDrop(const ObjectPtr& pod);
  void Say(const ObjectPtr& pod, std::string reason, std::string message);
  Task<> WriteCondition(std::string uid);

  RuntimeContext context_;
  const size_t max_binds_;
  std::unordered_map<std::string, ProfileEntry> profiles_;  // by schedulerName
  Snapshot snapshot_;
  SchedulingQueue queue_;
  Placer placer_;
  std::unordered_map<std::string, Report> reports_;  // by uid, while the pod waits
  std::vector<EventBus::HandlerId> handlers_;
  size_t binding_ = 0;
  uint64_t decisions_ = 0;
  bool pump_posted_ = false;
  bool stopped_ = false;
  std::shared_ptr<Scheduler*> self_;  // what a posted Pump holds; null once destroyed
};

}  // namespace wherry
