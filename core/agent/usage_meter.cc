#include "core/agent/usage_meter.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/agent/simulation.h"
#include "core/kinds/fields.h"
#include "core/kinds/resources.h"

namespace wherry {
namespace {

constexpr Duration kKeptFor = std::chrono::seconds(10);
constexpr Duration kShortestWindow = std::chrono::milliseconds(1);

int64_t NanoCpu(Duration cpu, Duration window) {
  return static_cast<int64_t>(1e9 * static_cast<double>(cpu.count()) /
                              static_cast<double>(std::max(window, kShortestWindow).count()));
}

bool IsSimulated(const Json& node) {
  for (const char* where : {"metadata.annotations", "metadata.labels"}) {
    const Json* map = FindPath(node, where);
    if (map && map->is_object() && map->value(std::string(kRuntimeKey), "") == "simulated") return true;
  }
  return false;
}

}  // namespace

Task<> UsageMeter::Refresh() {
  if (sampling_ || (sampled_ && clock_.Monotonic() - sampled_mono_ < kKeptFor)) co_return;
  sampling_ = true;
  const std::vector<ContainerReading> usages = co_await process_.Usage();
  sampling_ = false;
  const Time now = clock_.Now();
  const Duration monotonic = clock_.Monotonic();
  std::unordered_map<std::string, Sample> fresh;
  for (const ContainerReading& usage : usages) {
    Sample sample;
    sample.cpu = usage.cpu;
    sample.memory_bytes = usage.memory_bytes;
    sample.started_at = usage.started_at;
    const auto before = samples_.find(usage.id);
    // A child that ended without being waited for takes its time along.
    const bool comparable = before != samples_.end() && before->second.cpu <= usage.cpu;
    sample.window = comparable ? monotonic - sampled_mono_ : std::max(now - usage.started_at, kShortestWindow);
    sample.nano_cpu = NanoCpu(comparable ? usage.cpu - before->second.cpu : usage.cpu, sample.window);
    fresh.emplace(usage.id, sample);
  }
  samples_ = std::move(fresh);
  sampled_at_ = now;
  sampled_mono_ = monotonic;
  sampled_ = true;
}

Task<PodUsages> UsageMeter::Usages(std::vector<std::string> pod_uids) {
  co_await Refresh();
  const std::set<std::string> wanted(pod_uids.begin(), pod_uids.end());
  PodUsages usages;
  cache_.ForEach(resources::kPods, {}, [&](const ObjectPtr& pod) {
    PodMeasurement measured;
    if (!wanted.contains(pod->uid()) || !Read(pod, &measured)) return true;
    PodUsage& usage = usages[pod->uid()];
    usage.at = measured.timestamp;
    usage.window = measured.window;
    for (const ContainerMetrics& container : measured.containers) {
      usage.containers.push_back({container.name, container.nano_cpu, static_cast<int64_t>(container.memory_bytes)});
    }
    return true;
  });
  co_return usages;
}

void UsageMeter::ReadSimulated(const Json& pod, const Json& node, PodMeasurement* usage) const {
  usage->timestamp = clock_.Now();
  usage->window = kKeptFor;
  for (const Json& status : ListAt(pod, "status.containerStatuses")) {
    Time started{};
    if (!Has(status, "state.running") || !ParseTime(StringAt(status, "state.running.startedAt"), &started)) continue;
    const std::string name = StringAt(status, "name");
    const Result<Json> asked = SimulationFor(SimulationAsked(node), SimulationAsked(pod), name);
    if (!asked.ok()) continue;
    const Result<ContainerSimulation> behaviour = ParseSimulation(asked->is_object() ? *asked : Json::object());
    if (!behaviour.ok()) continue;
    const Duration ran = usage->timestamp - started;
    usage->containers.push_back({name, behaviour->cpu_milli * 1'000'000, behaviour->memory_bytes,
                                 Duration(ran.count() / 1000 * behaviour->cpu_milli), started});
  }
}

bool UsageMeter::Read(const ObjectPtr& pod, PodMeasurement* usage) const {
  const JsonPtr document = pod->json();
  usage->pod = pod;
  const ObjectPtr node = cache_.Get(resources::kNodes, "", StringAt(*document, "spec.nodeName"));
  if (!node) return false;
  const JsonPtr node_document = node->json();
  if (IsSimulated(*node_document)) {
    ReadSimulated(*document, *node_document, usage);
    return !usage->containers.empty();
  }
  usage->timestamp = sampled_at_;
  const std::string uid = StringAt(*document, "metadata.uid");
  for (const char* list :
       {"status.initContainerStatuses", "status.containerStatuses", "status.ephemeralContainerStatuses"}) {
    for (const Json& status : ListAt(*document, list)) {
      if (!Has(status, "state.running")) continue;
      const std::string name = StringAt(status, "name");
      const auto sample = samples_.find(uid + "/" + name + "/" + std::to_string(IntAt(status, "restartCount")));
      if (sample == samples_.end()) continue;
      usage->window = std::max(usage->window, sample->second.window);
      usage->containers.push_back(
          {name, sample->second.nano_cpu, sample->second.memory_bytes, sample->second.cpu, sample->second.started_at});
    }
  }
  return !usage->containers.empty();
}

}  // namespace wherry
