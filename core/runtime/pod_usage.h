#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/runtime/task.h"
#include "core/runtime/time.h"

namespace wherry {

// What the containers of a pod use, as metrics.k8s.io and the autoscaler know it.
struct ContainerUsage {
  std::string name;
  int64_t cpu_nanocores = 0;  // over the window
  int64_t memory_bytes = 0;   // the working set at `at`
};
struct PodUsage {
  Time at{};           // the end of the window
  Duration window{0};  // what cpu_nanocores is an average over
  std::vector<ContainerUsage> containers;
};

// Usage by pod uid; pods that nothing is known of (yet) are left out. This is no state of the cluster and never stored:
// who runs the pods measures it when somebody asks. Control thread only.
using PodUsages = std::map<std::string, PodUsage>;
using PodUsageSource = std::function<Task<PodUsages>(std::vector<std::string> pod_uids)>;

}  // namespace wherry
