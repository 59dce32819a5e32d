#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/agent/agent_options.h"
#include "core/agent/container_runtime.h"
#include "store/json.h"
#include "store/watch_cache.h"

namespace wherry {

// On a Pod with hostNetwork: "machine" leaves its wildcard binds alone, so that it listens on every address of the
// machine. Without it such a pod listens on its node's own address, so that each pseudo-node can run one.
inline constexpr std::string_view kHostNetworkKey = "wherry.dev/host-network";
// On a Pod: "false" leaves mount paths in commands, arguments and env values as they are written.
inline constexpr std::string_view kTranslateKey = "wherry.dev/translate-paths";

// Where one pod lives: what the agent gave it on its node.
struct PodSite {
  std::string node_name, node_address, pod_ip;
  std::filesystem::path directory;             // <data>/pods/<uid>
  std::filesystem::path log_directory;         // <data>/logs/<ns>_<pod>_<uid>
  std::map<std::string, std::string> volumes;  // name → path
  int64_t node_milli_cpu = 0, node_memory = 0, node_ephemeral = 0;
};

struct BuiltContainer {
  ContainerSpec spec;
  std::string image_id;
  std::vector<std::string> notes;  // what was not done as the pod asks, for events
};

// A container of whichever kind by its name, which is one pod's alone; null when there is none.
const Json* ContainerNamed(const Json& pod, const std::string& name);

// Resolves `container`, one of the pod's, to what its runtime starts: image, command, environment, directories and the
// image's files. Blocks for small file operations. Errors carry the waiting reason in details().causes[0].reason:
// ErrImagePull, CreateContainerConfigError or CreateContainerError.
Result<BuiltContainer> BuildContainer(const AgentOptions& options, const WatchCache& cache, const Json& pod,
                                      const Json& container, int attempt, const PodSite& site);

}  // namespace wherry
