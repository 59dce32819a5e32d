#include "core/controllers/autoscaler/replica_count.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/quantity.h"

namespace wherry {
namespace {

constexpr int64_t kNanoPerMilli = 1'000'000;

std::optional<Time> TimeAt(const Json& object, std::string_view path) {
  Time time;
  if (!ParseTime(StringAt(object, path), &time)) return std::nullopt;
  return time;
}

enum class Standing { kIgnored, kUnready, kMissing, kReady };

// Whether what was measured of a pod counts.
Standing StandingOf(const ScaledPod& pod, bool cpu, Time now) {
  const ScaledPodView& view = *pod.view;
  if (view.deleting || view.failed) return Standing::kIgnored;
  if (view.pending) return Standing::kUnready;
  if (pod.usage == nullptr) return Standing::kMissing;
  if (!cpu) return Standing::kReady;
  if (!view.ready_changed || !view.started) return Standing::kUnready;
  bool unready = false;
  if (*view.started + kCpuInitializationPeriod > now) {
    // Just started: whatever was measured before it was ready is the work of starting.
    unready = !view.ready || pod.usage->at < *view.ready_changed + pod.usage->window;
  } else {
    // Never been ready since its start, or a pod that has simply become not ready: that one counts.
    unready = !view.ready && *view.started + kInitialReadinessDelay > *view.ready_changed;
  }
  return unready ? Standing::kUnready : Standing::kReady;
}

int64_t MilliOf(const ContainerUsage& usage, const std::string& resource) {
  return resource == "cpu" ? usage.cpu_nanocores / kNanoPerMilli : usage.memory_bytes * 1000;
}

Result<int64_t> UsedMilli(const ScaledPod& pod, const ResourceMetric& metric) {
  int64_t used = 0;
  bool found = metric.container.empty();
  for (const ContainerUsage& usage : pod.usage->containers) {
    if (!metric.container.empty() && usage.name != metric.container) continue;
    used += MilliOf(usage, metric.resource);
    found = true;
  }
  if (!found) {
    return Status::BadRequest("container " + metric.container + " not present in metrics for pod " + pod.view->name);
  }
  return used;
}

Result<int64_t> RequestedMilli(const ScaledPodView& pod, const ResourceMetric& metric) {
  int64_t requested = 0;
  for (const ScaledPodView::Container& container : pod.containers) {
    if (!metric.container.empty() && container.name != metric.container) continue;
    auto it = container.requests.find(metric.resource);
    if (it == container.requests.end()) {
      return Status::BadRequest("missing request for " + metric.resource + " in container " + container.name +
                                " of Pod " + pod.name);
    }
    requested += it->second;
  }
  return requested;
}

bool Within(const Tolerance& tolerance, double ratio) {
  return ratio >= 1.0 - tolerance.down && ratio <= 1.0 + tolerance.up;
}

// Usage against the target over the pods counted so far.
struct Sums {
  int64_t used = 0, requested = 0, pods = 0;

  double Ratio(const ResourceMetric& metric) const {
    if (metric.utilization) return static_cast<double>(Utilization()) / static_cast<double>(*metric.utilization);
    return static_cast<double>(used) / static_cast<double>(pods) / static_cast<double>(metric.average_milli);
  }
  int64_t Utilization() const { return requested > 0 ? used * 100 / requested : 0; }
};

}  // namespace

ScaledPodView::ScaledPodView(const Json& pod) {
  name = StringAt(pod, "metadata.name");
  deleting = Has(pod, "metadata.deletionTimestamp");
  const std::string& phase = StringAt(pod, "status.phase");
  failed = phase == "Failed";
  pending = phase == "Pending" || phase.empty();
  started = TimeAt(pod, "status.startTime");
  for (const Json& condition : ListAt(pod, "status.conditions")) {
    if (StringAt(condition, "type") != "Ready") continue;
    ready = StringAt(condition, "status") == "True";
    ready_changed = TimeAt(condition, "lastTransitionTime");
  }
  const auto add = [this](const Json& container) {
    Container added{StringAt(container, "name"), {}};
    for (const auto& [resource, amount] : MapAt(container, "resources.requests")) {
      if (!amount.is_string()) continue;
      const Result<Quantity> parsed = Quantity::Parse(amount.get_ref<const std::string&>());
      if (parsed.ok()) added.requests[resource] = parsed->milli();
    }
    containers.push_back(std::move(added));
  };
  for (const Json& container : ListAt(pod, "spec.containers")) add(container);
  for (const Json& container : ListAt(pod, "spec.initContainers")) {
    if (StringAt(container, "restartPolicy") == "Always") add(container);
  }
}

Result<ReplicaCount> CountReplicas(const ResourceMetric& metric, int64_t current, const std::vector<ScaledPod>& pods,
                                   const Tolerance& tolerance, Time now) {
  Sums ready;
  std::vector<int64_t> unready, missing;  // what each requests
  for (const ScaledPod& pod : pods) {
    const Standing standing = StandingOf(pod, metric.resource == "cpu", now);
    if (standing == Standing::kIgnored) continue;
    int64_t requested = 0;
    if (metric.utilization) {
      const Result<int64_t> of_pod = RequestedMilli(*pod.view, metric);
      if (!of_pod.ok()) return of_pod.status();
      requested = *of_pod;
    }
    if (standing == Standing::kReady) {
      const Result<int64_t> used = UsedMilli(pod, metric);
      if (!used.ok()) return used.status();
      ready.used += *used;
      ready.requested += requested;
      ++ready.pods;
    } else {
      (standing == Standing::kUnready ? unready : missing).push_back(requested);
    }
  }
  if (ready.pods == 0) {
    return Status::BadRequest("did not receive metrics for targeted pods (pods might be unready)");
  }
  ReplicaCount out{current, ready.used / ready.pods, std::nullopt};
  if (metric.utilization) out.utilization = ready.Utilization();

  const double ratio = ready.Ratio(metric);
  const bool count_unready = !unready.empty() && ratio > 1.0;
  if (!count_unready && missing.empty()) {
    if (!Within(tolerance, ratio)) {
      out.replicas = static_cast<int64_t>(std::ceil(ratio * static_cast<double>(ready.pods)));
    }
    return out;
  }

  Sums all = ready;
  for (int64_t requested : missing) {
    if (ratio < 1.0) {
      all.used +=
          metric.utilization ? requested * std::max<int64_t>(100, *metric.utilization) / 100 : metric.average_milli;
    }
    all.requested += requested;
    ++all.pods;
  }
  if (count_unready) {
    for (int64_t requested : unready) {
      all.requested += requested;
      ++all.pods;
    }
  }
  const double adjusted = all.Ratio(metric);
  if (Within(tolerance, adjusted) || (ratio < 1.0 && adjusted > 1.0) || (ratio > 1.0 && adjusted < 1.0)) return out;
  const auto wanted = static_cast<int64_t>(std::ceil(adjusted * static_cast<double>(all.pods)));
  if ((adjusted < 1.0 && wanted > current) || (adjusted > 1.0 && wanted < current)) return out;
  out.replicas = wanted;
  return out;
}

}  // namespace wherry
