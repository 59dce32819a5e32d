#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/agent/container_runtime.h"
#include "core/agent/runtime/simulated_runtime.h"
#include "core/runtime/clock.h"
#include "core/runtime/pod_usage.h"
#include "core/runtime/task.h"
#include "store/object.h"
#include "store/watch_cache.h"

namespace wherry {

// What one container takes: thousandths of millionths of a CPU, and bytes.
struct ContainerMetrics {
  std::string name;
  int64_t nano_cpu = 0;
  uint64_t memory_bytes = 0;
  Duration cpu_time{};  // since it started
  Time started_at{};
};

// What a pod's running containers take. `window` is the time over which CPU was measured.
struct PodMeasurement {
  ObjectPtr pod;
  Time timestamp{};
  Duration window{};
  std::vector<ContainerMetrics> containers;
};

// Measures what containers take, when somebody asks: metrics.k8s.io, the kubelet's summary, the autoscaler. An answer
// is kept for ten seconds. CPU is the mean since the measurement before; at the first one, since the container's start.
// Simulated containers take what the annotations of their pod and node say now (docs/simulation.md).
// Control thread only; everything given outlives it.
class UsageMeter {
 public:
  UsageMeter(Clock& clock, const WatchCache& cache, ContainerRuntime& process)
      : clock_(clock), cache_(cache), process_(process) {}

  // Measures, unless that was done a moment ago.
  Task<> Refresh();
  // For the autoscaler: Refresh, and what is known then of the pods with these uids.
  Task<PodUsages> Usages(std::vector<std::string> pod_uids);
  // Of the last measurement. False when nothing of the pod runs or was measured.
  bool Read(const ObjectPtr& pod, PodMeasurement* usage) const;

 private:
  struct Sample {
    Duration cpu{};
    int64_t nano_cpu = 0;
    uint64_t memory_bytes = 0;
    Time started_at{};
    Duration window{};
  };
  void ReadSimulated(const Json& pod, const Json& node, PodMeasurement* usage) const;

  Clock& clock_;
  const WatchCache& cache_;
  ContainerRuntime& process_;
  Time sampled_at_{};
  Duration sampled_mono_{};  // the same moment, by a clock that nobody sets
  bool sampled_ = false;
  bool sampling_ = false;
  std::unordered_map<std::string, Sample> samples_;  // by container id
};

}  // namespace wherry
