#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/agent/addresses.h"
#include "core/agent/agent_options.h"
#include "core/agent/container_builder.h"
#include "core/agent/container_runtime.h"
#include "core/agent/pod_plan.h"
#include "core/agent/pod_status.h"
#include "core/agent/runtime/simulated_runtime.h"
#include "core/runtime/controller.h"
#include "core/runtime/event_recorder.h"

namespace wherry {

// What the workers of one node share. Owned by the NodeAgentPool; outlives its workers.
struct NodeSite {
  std::string name;
  ObjectPtr node;  // the newest state; null once it is deleted
  ContainerRuntime* runtime = nullptr;
  SimulatedRuntime* simulation = nullptr;  // the runtime, when it is the simulated one
  bool simulated() const { return simulation != nullptr; }
  std::unique_ptr<PodAddressPool> addresses;  // null until the node has a block
  std::unique_ptr<EventRecorder> recorder;    // made at the first event
  std::set<std::string> pods;                 // uids of the workers here
  bool silent = false;                        // cut off: nothing is read or written, nothing started or stopped
};

// What all workers of the process share.
struct AgentServices {
  RuntimeContext context;
  AgentOptions options;
  // Puts a pod ("namespace/name") on the work queue.
  std::function<void(const std::string& key)> wake;
  // Other pods on the node that are not finished: for the check of host ports.
  std::function<std::vector<ObjectPtr>(const NodeSite&, const std::string& but_uid)> active_pods;
  // Counts, for tests and metrics.
  uint64_t status_writes = 0;
};

// Runs one pod on its node: the thin executor around PlanPod. The pool calls Sync whenever something may have changed,
// never twice at once for one pod; everything slow (a start) runs beside it and wakes it when done. Identified by the
// pod's uid: a pod that is deleted and made again under its name has another worker.
//
// Control thread only. Held by shared_ptr, since a start under way keeps it alive.
class PodWorker : public std::enable_shared_from_this<PodWorker> {
 public:
  // `found` are the containers of this pod that the runtime already has: adopted, never started again.
  PodWorker(AgentServices& services, std::shared_ptr<NodeSite> site, ObjectPtr pod, std::vector<ContainerState> found);
  ~PodWorker();

  // Brings the pod one step on. `pod` is its newest state, or null when the object is gone; then everything is killed.
  Task<ReconcileResult> Sync(ObjectPtr pod);
  // A container of this pod ended.
  void OnExit(const ContainerState& state);
  // A container has something to say about its ports.
  void OnNote(const ContainerState& state);
  // The node is gone: the processes are stopped, nothing is written any more.
  void Abandon();
  // Something that a start waits for (a ConfigMap, an Image) may be there now.
  void RetryNow();
  bool obstructed() const;

  // Nothing is left of the pod: its object is gone, its processes, files and address too.
  bool done() const { return done_; }
  const PodInfo& info() const { return info_; }
  const ObjectPtr& pod() const { return pod_; }
  const std::string& key() const { return key_; }
  const NodeSite& site() const { return *site_; }
  bool finished() const { return record_.terminal; }
  const PodRecord& record() const { return record_; }
  std::filesystem::path log_directory() const { return place_.log_directory; }

 private:
  void Adopt(const std::vector<ContainerState>& found);
  void TakeOrders();
  void Admit();
  Task<> Act(PodAction action);
  void PrepareSandbox();
  Task<> StartContainer(size_t i);
  void StartFailed(size_t i, int attempt, const Status& why);
  void Started(size_t i, int attempt, const ContainerState& state);
  void ApplyExit(Run& run, const ContainerState& state) const;
  int StopSignalOf(size_t i) const;
  Task<> SignalContainer(size_t i, int signal);
  Task<Status> WriteStatus(const Json& status);
  Task<> ForgetEnded();
  Task<Status> FinishDeletion();
  Task<> CleanUp();
  Result<ContainerSpec> BuildSpec(size_t i, int attempt);
  Result<ContainerSpec> SimulatedSpec(size_t i, int attempt);
  void DropOldLogs(size_t i, int attempt);
  void LinkLog(size_t i, int attempt);
  void AnnounceWaiting(const PodPlan& plan);
  PodAddresses Addresses() const;

  enum class EventType : uint8_t { kNormal, kWarning };
  void Record(EventType type, std::string reason, std::string message, size_t container = SIZE_MAX);

  AgentServices& services_;
  const std::shared_ptr<NodeSite> site_;
  const PodInfo info_;
  const std::string key_;

  ObjectPtr pod_;           // the newest state seen
  bool gone_ = false;       // the object is
  bool abandoned_ = false;  // the node is
  bool done_ = false;
  bool dirty_ = true;  // something besides the object changed since the last sync
  uint64_t synced_revision_ = 0;
  Time wake_at_ = Time::max();
  PodRecord record_;
  PodSite place_;
  int sandbox_failures_ = 0;
  std::optional<Time> status_held_since_;
  std::vector<std::optional<ContainerState>> early_exits_;  // that arrived before their start returned
  std::vector<std::string> announced_;  // waiting reason + attempt last told by an event, per container
  std::set<std::string> in_runtime_;    // ids the runtime still knows
};

}  // namespace wherry
