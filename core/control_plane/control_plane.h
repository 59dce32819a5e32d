#pragma once

#include <asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/agent/node_agent_pool.h"
#include "core/agent/usage_meter.h"
#include "core/control_plane/bootstrap.h"
#include "core/controllers/controllers.h"
#include "core/network/service_network.h"
#include "core/registry/registry.h"
#include "core/registry/service_addresses.h"
#include "core/runtime/controller.h"
#include "core/scheduler/scheduler.h"
#include "store/object_store.h"

namespace wherry {

struct ControlPlaneOptions {
  StoreOptions store;                     // `post` and `now` are filled in by the control plane
  uint64_t seed = 0;                      // 0 = from the system's entropy
  std::string ca_certificate;             // PEM, published as kube-root-ca.crt
  std::string api_address = "127.0.0.1";  // where the kubernetes Service leads
  int api_port = 6443;
  // Finds out the port instead: begins to listen and tells where. Called once the store is open and locked, so that a
  // second server on one data directory is told of that first. Empty = api_port holds.
  std::function<Result<int>()> listen;
  ServiceAddressOptions services;  // the range of cluster IPs
  // Serves the Services, with real sockets on a thread of its own; its DNS address is found out from the kube-dns
  // Service. Empty = nobody does.
  std::optional<NetworkOptions> network;
  AgentOptions agent;
  // Gives what runs the pods of nodes that are not simulated, which outlives the control plane. Called once the store
  // is open and locked, so that a start that is refused starts nothing. Empty = those pods are simulated too.
  std::function<ContainerRuntime*()> processes;
};

// Everything to the left and right of the commit, put together: store, cache, registry, and the parts that act through
// a Client. The server, the tests and embedders build this one; they differ in clock, executor and store options only.
// Control thread only. The executor's loop must have stopped, or nothing may be running in it, before destruction.
class ControlPlane {
 public:
  // Opens the store and loads the cache; nothing acts yet.
  static Result<std::unique_ptr<ControlPlane>> Open(ControlPlaneOptions options, asio::any_io_executor executor,
                                                    Clock& clock);
  ~ControlPlane();
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  // Creates the objects every cluster begins with.
  Task<Status> Bootstrap();
  // Starts controllers, scheduler and node agents; returns when the agents have adopted what runs. Stop ends them: no
  // new work begins, and processes are left running.
  Task<Status> Start();
  void Stop();

  Registry& registry() { return *registry_; }
  WatchCache& cache() { return *cache_; }
  ObjectStore& store() { return *store_; }
  Client& client() { return *client_; }
  NodeAgentPool& agents() { return *agents_; }
  Scheduler& scheduler() { return *scheduler_; }
  SimulatedRuntime& simulated() { return simulated_; }
  UsageMeter& usage() { return *usage_; }
  // For a part that acts under its own name ("daemonset-controller").
  RuntimeContext ContextFor(const std::string& name);

 private:
  ControlPlane(ControlPlaneOptions options, asio::any_io_executor executor, Clock& clock);
  void Compact();
  void StartNetwork();

  const ControlPlaneOptions options_;
  asio::any_io_executor executor_;
  Clock& clock_;
  std::shared_ptr<const KindCatalog> catalog_;
  EventBus bus_;
  std::unique_ptr<WatchCache> cache_;
  std::unique_ptr<ObjectStore> store_;
  std::unique_ptr<Registry> registry_;
  BootstrapAddresses addresses_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<UsageMeter> usage_;
  std::vector<std::unique_ptr<Controller>> controllers_;
  SimulatedRuntime simulated_;
  SimulatedRuntime stand_in_;  // for options_.processes when there is none
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<NodeAgentPool> agents_;
  std::unique_ptr<ServiceNetwork> network_;
  Clock::TimerId compaction_ = 0;
};

}  // namespace wherry
