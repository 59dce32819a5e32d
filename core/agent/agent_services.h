#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/agent/addresses.h"
#include "core/agent/agent_options.h"
#include "core/agent/container_runtime.h"
#include "core/agent/runtime/simulated_runtime.h"
#include "core/agent/simulation.h"
#include "core/runtime/controller.h"
#include "core/runtime/event_recorder.h"

namespace wherry {

// What the workers of one node share. Owned by the NodeAgentPool; outlives its workers.
struct NodeSite {
  std::string name;
  ObjectPtr node;  // the newest state; null once it is deleted
  ContainerRuntime* runtime = nullptr;
  SimulatedRuntime* simulation = nullptr;  // the runtime, when it is the simulated one
  SimulationAsked asked;                   // of simulated containers here
  bool simulated() const { return simulation != nullptr; }
  std::unique_ptr<PodAddressPool> addresses;  // null until the node has a block
  std::unique_ptr<EventRecorder> recorder;    // made at the first event
  std::set<std::string> pods;                 // uids of the workers here
  bool silent = false;                        // cut off: nothing is read or written, nothing started or stopped

  // What is short here: as measured, kept for the transition period, and as a simulation asks. The Evictor writes it.
  HostPressure measured_pressure, asked_pressure;
  std::string told_thresholds;  // of the annotation, so that it is complained of once
  HostPressure pressure() const {
    return {measured_pressure.memory || asked_pressure.memory, measured_pressure.disk || asked_pressure.disk,
            measured_pressure.pid || asked_pressure.pid};
  }
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

// The recorder of a node's events, made at the first.
EventRecorder& RecorderOf(const AgentServices& services, NodeSite& site);

// On a Node: capacity that replaces the host's, a JSON object of quantities: {"cpu":"64","pods":"500"}.
inline constexpr std::string_view kCapacityKey = "wherry.dev/capacity";

}  // namespace wherry
