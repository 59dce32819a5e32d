#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/agent/node_pressure.h"
#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// Facts about this machine that do not change while the process runs.
struct HostFacts {
  int cpus = 1;
  int64_t memory_bytes = 0;
  int64_t storage_bytes = 0;  // of the file system that holds the data directory
  std::string machine_id, boot_id, kernel_version, os_image, architecture;  // architecture as Go names it: "amd64"
};
HostFacts ReadHostFacts(const std::string& data_dir);

// What this machine has left: memory, disk and inodes where the data directory is, and processes. Reads a few small
// files.
SignalReadings ReadMachineSignals(const std::string& data_dir);

// What a node's agent wants its Node object to say.
struct NodeFacts {
  std::string name;
  std::string address;                          // "" until a block is assigned
  std::string runtime;                          // "process" or "simulated"
  std::string version;                          // ours, "0.1.0"
  bool simulated = false;                       // then capacity that somebody wrote into the status stays
  std::map<std::string, std::string> capacity;  // said by options or by the node's wherry.dev/capacity, over the host's
  HostPressure pressure;
  bool ready = true;
  std::string not_ready_message;
  std::vector<std::string> images;  // references that Image objects name in full
};

// The node's status: `previous` with the agent's part brought up to date. Heartbeat times are those of `previous`
// unless a condition changed or `beat` asks for new ones. Resources and conditions that are not the agent's stay. Pure.
Json RenderNodeStatus(const NodeFacts& facts, const HostFacts& host, const Json& previous, bool beat, Time now);

// metadata.labels that every node of ours has.
std::map<std::string, std::string> NodeLabels(const std::string& name, const HostFacts& host);

}  // namespace wherry
