#pragma once

#include <functional>
#include <map>
#include <string>

#include "core/agent/node_status.h"
#include "core/agent/pod_volumes.h"
#include "core/runtime/time.h"

namespace wherry {

// Enough for large servers, and little enough that a machine survives a fork bomb.
inline constexpr int64_t kDefaultMaxPids = 4096;

// How the node agents of this process are set up. Constant after start.
struct AgentOptions {
  std::string data_dir;  // pods/ and logs/ live here; absolute
  std::string version = "0.1.0";
  std::string pod_cidr = "127.64.0.0/10";  // of all nodes; within 127.0.0.0/8
  uint32_t first_block = 0;                // which /24 of it the first node gets: clusters of one machine begin apart
  std::map<std::string, std::string> capacity;  // of every node, over what the host has
  // Added to ports below 1024 that pods may not bind: 0 as root, else 8000.
  int privileged_port_offset = 0;
  std::string service_host, service_port;  // KUBERNETES_SERVICE_HOST and _PORT: where pods reach the API; "" = not told
  // Why volumes cannot be mounted at their mountPath here; "" = they are. See warden::HostFacilities.
  std::string no_mounts;
  TokenSource tokens;  // for projected service account tokens; empty = none are issued

  // Node-pressure eviction: the thresholds of every node, how long a condition stays after it, and where what the
  // machine has left is read (NodeAgentPool fills it in when it is empty).
  EvictionThresholds eviction_hard = DefaultEvictionThresholds();
  Duration pressure_transition_period = std::chrono::minutes(5);
  std::function<SignalReadings()> read_machine;
  // How many processes and threads a container may have; 0 = any number. wherry.dev/max-pids on a pod says otherwise.
  int64_t max_pids = kDefaultMaxPids;

  // Leases of nodes with real processes, as the kubelet's defaults.
  Duration lease_interval = std::chrono::seconds(10);
  int lease_seconds = 40;
  // Leases of simulated nodes: few writes, and a duration that says so to whoever judges them.
  Duration simulated_lease_interval = std::chrono::minutes(5);
  int simulated_lease_seconds = 900;
  // Heartbeat times of an unchanged status.
  Duration status_interval = std::chrono::minutes(5);
  // A status of a pod that only says "being created" is held back so long, in case the start is done by then.
  Duration status_delay = std::chrono::milliseconds(25);
  // Pulled, Created, Started … events of simulated pods as well.
  bool simulated_events = false;
};

}  // namespace wherry
