#pragma once

#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/agent/addresses.h"
#include "core/agent/agent_options.h"
#include "core/agent/container_runtime.h"
#include "core/agent/evictor.h"
#include "core/agent/found_containers.h"
#include "core/agent/heartbeats.h"
#include "core/agent/local_volumes.h"
#include "core/agent/logs.h"
#include "core/agent/node_status.h"
#include "core/agent/pod_worker.h"
#include "core/agent/runtime/simulated_runtime.h"
#include "core/agent/stream_targets.h"
#include "core/runtime/controller.h"

namespace wherry {

// On a Node, label or annotation: "external" when another process is its agent.
inline constexpr std::string_view kAgentKey = "wherry.dev/agent";

// On a Node, label or annotation: anything but "false" cuts it off, as a broken network would. Its agent falls silent:
// no lease, no status of the node or its pods, nothing started and nothing stopped, while its processes run on. Taking
// it away lets the agent catch up.
inline constexpr std::string_view kFailKey = "wherry.dev/fail";

// The node agents of this process: one for every Node object that is not somebody else's. A Node that appears gets its
// agent, one that goes takes its pods' processes along. All share one set of bus handlers: an event on a pod finds its
// worker by the pod's name, and its node by spec.nodeName, each in one look-up; heartbeats of all nodes share one
// timer.
//
// Agents meet the rest of the cluster only through stored objects. Control thread only; everything given outlives it.
class NodeAgentPool {
 public:
  // `process` runs the pods of ordinary nodes, `simulated` those of nodes that say wherry.dev/runtime: simulated.
  NodeAgentPool(RuntimeContext context, AgentOptions options, ContainerRuntime& process, SimulatedRuntime& simulated);
  ~NodeAgentPool();
  NodeAgentPool(const NodeAgentPool&) = delete;
  NodeAgentPool& operator=(const NodeAgentPool&) = delete;

  // Adopts what an earlier server left running, ends what belongs to no pod, puts the shipped Image objects in place,
  // and follows the cluster from then on.
  Task<Status> Start();
  // No further work begins. Processes are left running, to be adopted.
  void Stop();
  // After Stop: ends every process of every pod, SIGTERM first, SIGKILL after `grace`. Nothing is written: the pods
  // start again with the next server.
  Task<> StopPods(Duration grace);

  // Makes a Node object unless there is one; its agent follows by itself. `metadata` may bring labels and annotations.
  Task<Status> EnsureNode(std::string name, Json metadata);

  // The log of a container of `pod`, "" = its only or default one. Errors as FindLog's. The stream must not outlive the
  // pool.
  Result<std::unique_ptr<LogStream>> OpenLog(const ObjectPtr& pod, const std::string& container, LogOptions options);

  // The running container of `pod` that a stream is asked for, "" = its only or default one. `purpose` as in "cannot
  // exec in a container in a completed pod". Errors: kBadRequest as OpenLog, kNotFound when it does not run.
  Result<ContainerTarget> FindContainer(const ObjectPtr& pod, const std::string& container,
                                        const std::string& purpose) const;
  // Where the ports of `pod` are served. kBadRequest when it does not run.
  Result<AddressTarget> FindAddress(const ObjectPtr& pod) const;

  size_t node_count() const { return nodes_.size(); }
  size_t pod_count() const { return workers_.size(); }
  // The worker of a pod, or null.
  const PodWorker* Find(const std::string& uid) const;
  const AgentOptions& options() const { return services_.options; }
  struct Counters {
    uint64_t node_writes = 0;  // spec and status of nodes
    uint64_t lease_writes = 0;
    uint64_t pod_status_writes = 0;
  };
  Counters counters() const;

 private:
  struct NodeAgent {
    std::shared_ptr<NodeSite> site;
    uint64_t synced_revision = 0;
    Duration status_beat{};    // monotonic: when heartbeat times were last written
    std::string not_ready;     // why, besides what the simulation asks
    bool pods_called = false;  // the pods bound before the agent came were put on the queue
  };

  Task<ReconcileResult> ReconcileNode(std::string name);
  Task<ReconcileResult> ReconcilePod(std::string key);
  void Meet(const ObjectPtr& node);
  void Part(const std::string& name);
  Task<Status> WriteNodeSpec(std::string name);
  void CallPods(const std::string& name);
  void WakeWorkers(const NodeSite& site);
  Task<Status> WriteNodeStatus(std::string name, bool beat);
  void TellOfPressure(const std::string& name);
  void TakeBlock(NodeAgent& agent, const std::string& cidr);
  Task<> Beat(std::string name);
  bool StillFresh(const std::string& name);
  Task<Status> RenewLease(std::string name, bool simulated);
  void OnPodEvent(const Event& event, WorkQueue& queue);
  void OnConfigEvent(const Event& event);
  void OnImageEvent(const Event& event);
  void Follow(const PodWorker& worker, bool follow);
  void OnVolumeEvent(const Event& event);
  Task<> EndOrphans();
  void RemoveOrphanFiles() const;
  std::vector<ObjectPtr> ActivePods(const NodeSite& site, const std::string& but_uid) const;
  std::vector<std::string> ImageNames() const;

  // Constant after construction.
  const HostFacts host_;
  ContainerRuntime& process_;
  SimulatedRuntime& simulated_;

  AgentServices services_;
  NodeBlocks blocks_;
  std::unordered_map<std::string, NodeAgent> nodes_;                       // by name
  std::unordered_map<std::string, std::shared_ptr<PodWorker>> workers_;    // by uid
  std::unordered_map<std::string, std::vector<std::string>> uids_by_key_;  // "ns/name" → uids
  FoundContainers found_;
  // Uids of the pods that name a ConfigMap or Secret: "configmaps/<ns>/<name>" → uids.
  std::unordered_map<std::string, std::set<std::string>> followers_;
  std::vector<EventBus::HandlerId> handlers_;
  Counters counters_;
  bool stopped_ = false;
  Heartbeats heartbeats_;
  Evictor evictor_;
  LocalVolumes volumes_;
  std::unique_ptr<Controller> node_controller_, pod_controller_;
};

}  // namespace wherry
