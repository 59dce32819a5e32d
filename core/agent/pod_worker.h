#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/agent/agent_services.h"
#include "core/agent/container_runtime.h"
#include "core/agent/pod_plan.h"
#include "core/agent/pod_sandbox.h"
#include "core/agent/pod_status.h"
#include "core/agent/probes/probe.h"
#include "core/agent/volume_usage.h"
#include "core/runtime/controller.h"

namespace wherry {

// Runs one pod on its node: the thin executor around PlanPod. The pool calls Sync whenever something may have changed,
// never twice at once for one pod; everything slow (a start, a probe, a hook) runs beside it and wakes it when done.
// Identified by the pod's uid: a pod that is deleted and made again under its name has another worker.
//
// Its parts: pod_worker.cc the sync; pod_starts.cc how containers start and end; pod_checks.cc probes and hooks.
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
  // A ConfigMap or Secret that the pod names ("configmaps/<name>", "secrets/<name>") has changed, come or gone.
  void OnConfig(const std::string& what);
  // How simulated probes of the pod go may have changed.
  void OnSimulation();
  // The node is gone: the processes are stopped, nothing is written any more.
  void Abandon();
  // The node is short of something and this pod has to go: it ends at once, as Failed. False when it is ending already.
  bool Evict(std::string message);
  bool ending() const;
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

 private:
  // pod_worker.cc
  Time Now();
  void Look(ObjectPtr pod);
  void MakeRoom();                                      // for all that is parallel to info_.containers
  const Json& SpecOf(const Json& pod, size_t i) const;  // the container in the pod's document
  void TakeOrders();
  void Admit();
  void Reject(const std::string& reason, const std::string& why);
  Task<> Act(PodAction action);
  void TellOfKilling(size_t i);
  void PrepareSandbox();
  void FollowVolumes();
  void WatchUsage();
  Task<> MeasureVolumes();
  int StopSignalOf(size_t i) const;
  Task<> SignalContainer(size_t i, int signal);
  Task<Status> WriteStatus(Json status);
  Task<> ForgetEnded();
  Task<Status> FinishDeletion();
  Task<> CleanUp();
  void AnnounceWaiting(const PodPlan& plan);
  PodAddresses Addresses() const;
  bool AnyAlive() const;
  void Wake();

  // pod_starts.cc
  void Adopt(const std::vector<ContainerState>& found);
  Task<> StartContainer(size_t i);
  Task<Status> EnsurePause();
  void StartFailed(size_t i, int attempt, const Status& why);
  void Started(size_t i, int attempt, const ContainerState& state);
  void ApplyExit(size_t i, Run& run, const ContainerState& state);
  Result<ContainerSpec> BuildSpec(size_t i, int attempt);
  Result<Json> Simulation(size_t i) const;
  Result<ContainerSpec> SimulatedSpec(size_t i, int attempt);

  // pod_checks.cc
  void BeginProbes(size_t i);
  void ResumeProbes(size_t i);
  void ReadVerdicts(size_t i);
  void StartChecks();
  Time NextCheckAt() const;
  Task<> RunCheck(size_t i, int attempt, size_t probe);
  void TellOfCheck(size_t i, const ProbeSpec& spec, const CheckResult& result);
  void Condemn(size_t i, const ProbeSpec& probe);
  Task<CheckResult> Perform(size_t i, int attempt, Action action, Duration timeout, std::string what);
  Task<> RunPostStart(size_t i, int attempt);
  Task<> RunPreStop(size_t i, int attempt);
  bool IsCurrent(size_t i, int attempt) const;  // that run is still up

  enum class EventType : uint8_t { kNormal, kWarning };
  void Record(EventType type, std::string reason, std::string message, size_t container = SIZE_MAX);

  AgentServices& services_;
  const std::shared_ptr<NodeSite> site_;
  PodInfo info_;
  const std::string key_;

  ObjectPtr pod_;           // the newest state seen
  bool gone_ = false;       // the object is
  bool abandoned_ = false;  // the node is
  bool done_ = false;
  bool dirty_ = true;  // something besides the object changed since the last sync
  uint64_t synced_revision_ = 0;
  Time wake_at_ = Time::max();
  Duration wall_ahead_;  // wall minus monotonic clock, by which all moments here are
  PodRecord record_;
  PodSandbox sandbox_;
  int sandbox_failures_ = 0;
  std::optional<Time> status_held_since_;
  std::vector<std::optional<ContainerState>> early_exits_;  // that arrived before their start returned
  std::vector<std::string> announced_;  // waiting reason + attempt last told by an event, per container
  std::set<std::string> in_runtime_;    // ids the runtime still knows
  std::string pause_;                   // the id of the pod's pause that runs; see pod_namespaces.h
  std::string ended_pause_;             // that ended last
  int next_pause_ = 0;

  std::vector<std::optional<ContainerProbes>> probes_;  // of the current runs; none where there are no probes
  std::vector<bool> held_back_;                         // simulated containers that are not to become ready

  std::set<std::string> changed_;  // what PodSandbox::Refresh is to be told
  // What it could not do, and when that is tried again: a disk that was full tells nobody when it has room.
  std::set<std::string> refused_;
  Time refresh_at_ = Time::max();
  int refresh_failures_ = 0;
  std::string refresh_error_;  // as last told by an event
  Json shown_metadata_;        // labels and annotations, when volumes show them
  std::vector<VolumeLimit> limits_;
  Time measure_at_ = Time::max();
  bool measuring_ = false;
};

// "<uid>/<name>/<attempt>" without the uid; false when it is no such id.
bool SplitRunId(const std::string& id, std::string* name, int* attempt);
std::string RunId(const PodInfo& info, size_t container, int attempt);

}  // namespace wherry
