#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/agent/agent_services.h"
#include "core/agent/node_pressure.h"
#include "core/agent/pod_worker.h"

namespace wherry {

// On a Node: thresholds over the server's --eviction-hard, in its form.
inline constexpr std::string_view kEvictionHardKey = "wherry.dev/eviction-hard";

// Watches what the machine and the nodes have left, and evicts pods while it is too little: the executor around
// node_pressure.h. Every ten seconds it reads a few small files; what pods take is measured while something is short,
// and of nodes that declare less memory or storage than the machine has. One pod goes at a time for the whole machine,
// and one for each node that is short of its own; the next look comes a second later until it is gone.
//
// Owned by the NodeAgentPool. Control thread only; everything given outlives it.
class Evictor {
 public:
  // What the pool knows.
  struct Pool {
    std::function<std::vector<std::shared_ptr<NodeSite>>()> sites;
    std::function<std::shared_ptr<PodWorker>(const std::string& uid)> worker;  // null when there is none
    std::function<void(const std::string& node)> tell;                         // the conditions of the node changed
  };
  Evictor(AgentServices& services, ContainerRuntime& process, Pool pool);
  ~Evictor();
  Evictor(const Evictor&) = delete;
  Evictor& operator=(const Evictor&) = delete;

  // Reads the machine, so that nodes begin with conditions that are true, and looks again from then on.
  void Start();
  void Stop();
  // A node that is new, or whose annotations changed: what its conditions say now. Evicts nothing.
  void Judge(NodeSite& site);
  // A node that is gone.
  void Forget(const std::string& node);

 private:
  struct Underway {
    std::string scope;
    Duration since{};
  };
  void Arm();
  Task<> Look();
  NodeReadings ReadingsOf(const NodeSite& site) const;
  void Note(NodeSite& site, HostPressure met);
  Task<std::vector<PodUse>> Measure(std::vector<std::shared_ptr<NodeSite>> sites, bool disk);
  Task<> MeasureDisk(std::shared_ptr<PodWorker> worker, PodUse* use);
  void Evict(const Eviction& eviction);
  void ForgetGone();

  AgentServices& services_;
  ContainerRuntime& process_;
  const Pool pool_;
  SignalReadings machine_;
  std::unordered_map<std::string, PressureHistory> histories_;  // by node
  std::unordered_map<std::string, SignalReadings> own_;         // by node, as last measured
  std::unordered_map<std::string, Underway> underway_;          // by uid: chosen, and not gone yet
  Clock::TimerId timer_ = 0;
  Duration disk_due_{};  // monotonic: when declared storage is looked at again
  bool stopped_ = false;
  bool nothing_to_evict_ = false;  // and that was said
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace wherry
