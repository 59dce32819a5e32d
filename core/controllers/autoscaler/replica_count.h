#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/runtime/pod_usage.h"
#include "core/runtime/time.h"
#include "store/json.h"
#include "store/status.h"

namespace wherry {

// What the autoscaler looks at in a pod: `object->view<ScaledPodView>()`.
struct ScaledPodView {
  explicit ScaledPodView(const Json& pod);

  // Requests in thousandths of the unit, by resource. A container that requests nothing of a resource has no entry.
  struct Container {
    std::string name;
    std::map<std::string, int64_t> requests;
  };
  std::string name;
  std::vector<Container> containers;  // sidecars too
  bool deleting = false, failed = false, pending = false;
  bool ready = false;
  std::optional<Time> ready_changed;  // absent: the pod has no condition Ready yet
  std::optional<Time> started;        // status.startTime
};

// One metric of spec.metrics that is measured here: a resource of whole pods, or of one container of each.
struct ResourceMetric {
  std::string resource;                // cpu or memory
  std::string container;               // "" = all
  std::optional<int64_t> utilization;  // target in percent of what is requested …
  int64_t average_milli = 0;           // … or, without it, in thousandths of the unit for each pod
};

struct ScaledPod {
  const ScaledPodView* view;
  const PodUsage* usage;  // null: nothing is known of it
};

// How far the ratio of usage to target may be off 1 without anything being done.
struct Tolerance {
  double up = 0.1, down = 0.1;
};

// How many replicas a metric asks for, and what was measured.
struct ReplicaCount {
  int64_t replicas = 0;
  int64_t average_milli = 0;
  std::optional<int64_t> utilization;
};

// The arithmetic of the HorizontalPodAutoscaler: replicas x usage / target, rounded up, over the pods that are ready.
// Pods without a measurement count against the direction of the change (as if they used all when it is downwards, and
// nothing when it is upwards), and so do, for scaling up, those that are not ready; when that turns the direction,
// nothing changes. CPU of a pod's first five minutes counts only while it is ready throughout what was measured.
// Not ok: no pod was measured, or a container requests nothing of the resource.
// Source: "Horizontal Pod Autoscaling: algorithm details" of the Kubernetes documentation.
Result<ReplicaCount> CountReplicas(const ResourceMetric& metric, int64_t current, const std::vector<ScaledPod>& pods,
                                   const Tolerance& tolerance, Time now);

inline constexpr Duration kCpuInitializationPeriod = std::chrono::minutes(5);
inline constexpr Duration kInitialReadinessDelay = std::chrono::seconds(30);

}  // namespace wherry
