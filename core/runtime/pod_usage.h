#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/runtime/task.h"
#include "core/runtime/time.h"
#include "store/object.h"

namespace wherry {

// What the containers of a pod were measured to use, as the autoscaler looks at it.
struct MeasuredContainer {
  std::string name;
  int64_t cpu_nanocores = 0;  // over the window
  int64_t memory_bytes = 0;   // the working set at `at`
};
struct MeasuredPod {
  Time at{};           // the end of the window
  Duration window{0};  // what cpu_nanocores is an average over
  std::vector<MeasuredContainer> containers;
};

// Usage by pod uid; pods that nothing is known of (yet) are left out. This is no state of the cluster and never stored:
// who runs the pods measures it when somebody asks. Control thread only.
using MeasuredPods = std::map<std::string, MeasuredPod>;
using PodUsageSource = std::function<Task<MeasuredPods>(std::vector<ObjectPtr> pods)>;

}  // namespace wherry
