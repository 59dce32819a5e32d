#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "core/agent/node_agent_pool.h"
#include "tests/support/test_cluster.h"

namespace wherry {

// Stands for the processes of this machine, whose starts take their time if asked to.
class ProcessesOfTest : public SimulatedRuntime {
 public:
  explicit ProcessesOfTest(Clock& clock) : SimulatedRuntime(clock), clock_(clock) {}
  Task<Result<ContainerState>> Start(ContainerSpec spec) override;

  Task<std::vector<ContainerState>> List() override;

  std::function<Duration(const std::string& id)> start_latency;
  std::function<void()> after_list;  // when the list has been made and not yet arrived

 private:
  Clock& clock_;
};

// A control plane with node agents, all on the manual clock. Ordinary nodes' containers are simulated as well, by a
// second runtime that stands for the processes of this machine: it outlives the pool, as the warden does.
struct AgentCluster {
  explicit AgentCluster(std::function<void(AgentOptions&)> adjust = {});
  ~AgentCluster();

  // A server that stops and comes back; processes go on.
  void StopAgents() { pool.reset(); }
  void StartAgents();

  void AddNode(const std::string& name, bool simulated = true, Json annotations = Json::object());
  // A pod bound to `node`; `spec` is merged over one container "app" of image "app:1" with a command.
  ObjectPtr AddPod(const std::string& name, const std::string& node, Json spec = Json::object(),
                   Json annotations = Json::object());
  Json Pod(const std::string& name) { return cluster.Document("pods", "default", name); }
  Json Node(const std::string& name) { return cluster.Document("nodes", "", name); }
  std::string Phase(const std::string& name);
  // "waiting CrashLoopBackOff", "running", "terminated Completed"; of the first container.
  std::string State(const std::string& name);
  int Restarts(const std::string& name);
  std::string NodeCondition(const std::string& node, const std::string& type);
  // Reasons of the events about a pod, in order of their making.
  std::vector<std::string> Events(const std::string& pod);

  TestCluster cluster;
  std::filesystem::path data_dir;
  ProcessesOfTest processes;
  SimulatedRuntime simulated;
  AgentOptions options;
  SignalReadings machine;  // what it has left; at first nobody knows, so there is no pressure
  std::unique_ptr<NodeAgentPool> pool;
};

}  // namespace wherry
