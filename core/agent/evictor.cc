#include "core/agent/evictor.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/agent/pod_files.h"
#include "core/agent/volume_usage.h"
#include "core/kinds/quantity.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr Duration kInterval = std::chrono::seconds(10);         // as the kubelet's
constexpr Duration kWhileUnderway = std::chrono::seconds(1);     // until the pod that was chosen is gone …
constexpr Duration kLongestUnderway = std::chrono::seconds(30);  // … or has had its time
// Declared storage is looked at so much less often than a look takes.
constexpr int kDiskRest = 100;

// What a Node says for the sake of evictions.
struct PressureView {
  explicit PressureView(const Json& node) {
    std::string hard, declared;
    for (const char* map : {"metadata.labels", "metadata.annotations"}) {
      const auto& values = MapAt(node, map);
      const auto take = [&](std::string_view key, std::string& into) {
        if (const auto it = values.find(key); it != values.end() && it->second.is_string())
          into = it->second.get<std::string>();
      };
      take(kEvictionHardKey, hard);
      take(kCapacityKey, declared);
      take(kSimulateKey, simulate);
    }
    thresholds = hard;
    const Json capacity = Json::parse(declared.empty() ? "{}" : declared, nullptr, false);
    for (const auto& [name, target] : {std::pair{"memory", &memory}, std::pair{"ephemeral-storage", &storage}}) {
      const Result<Quantity> quantity = Quantity::Parse(StringAt(capacity, name, "-"));
      if (quantity.ok()) *target = quantity->value();
    }
    if (simulate.empty()) return;
    const Json faults = Json::parse(simulate, nullptr, false);
    asked = {BoolAt(faults, "memoryPressure"), BoolAt(faults, "diskPressure"), BoolAt(faults, "pidPressure")};
  }
  std::string thresholds, simulate;
  int64_t memory = -1, storage = -1;  // declared; -1 = not
  HostPressure asked;
};

bool DeclaresStorage(const NodeSite& site) { return site.node->view<PressureView>().storage >= 0; }
bool Declares(const NodeSite& site) { return DeclaresStorage(site) || site.node->view<PressureView>().memory >= 0; }

bool OfDisk(PressureSignal signal) {
  return signal == PressureSignal::kNodefsAvailable || signal == PressureSignal::kNodefsInodesFree;
}

// What a simulated container takes now; nothing is read where nothing was written.
void AddSimulated(const NodeSite& site, const PodWorker& worker, const EvictionView& view, PodUse& use) {
  if (view.simulate.empty() && !site.asked.text) return;
  const SimulationAsked pod(*worker.pod()->json());
  // Ephemeral containers, which are the last, take nothing.
  for (size_t i = 0; i < std::min(use.containers.size(), worker.info().containers.size()); ++i) {
    const ContainerRecord& record = worker.record().containers[i];
    if (!record.current || !record.current->running) continue;
    const Result<Json> asked = SimulationFor(site.asked, pod, worker.info().containers[i].name);
    if (!asked.ok() || !asked->is_object()) continue;
    const Result<ContainerSimulation> behaviour = ParseSimulation(*asked);
    if (!behaviour.ok()) continue;
    use.containers[i].memory = static_cast<int64_t>(behaviour->memory_bytes);
    use.containers[i].disk = behaviour->storage_bytes;
    use.processes += behaviour->processes;
  }
}

// As the kubelet does, with the node's name in the place of its uid: where kubectl describe looks for it.
void TellOfNode(const AgentServices& services, NodeSite& site, std::string type, std::string reason,
                std::string message) {
  Json node = {{"kind", "Node"}, {"name", site.name}, {"uid", site.name}};
  RecorderOf(services, site).Record(std::move(node), std::move(type), std::move(reason), std::move(message));
}

}  // namespace

Evictor::Evictor(AgentServices& services, ContainerRuntime& process, Pool pool)
    : services_(services), process_(process), pool_(std::move(pool)) {}

Evictor::~Evictor() {
  Stop();
  *alive_ = false;
}

void Evictor::Start() {
  machine_ = services_.options.read_machine();
  Arm();
}

void Evictor::Stop() {
  stopped_ = true;
  services_.context.clock.Cancel(timer_);
}

void Evictor::Arm() {
  if (stopped_) return;
  timer_ = services_.context.clock.After(underway_.empty() ? kInterval : kWhileUnderway, [this] {
    if (!stopped_) Spawn(services_.context.executor, "node pressure", Look());
  });
}

NodeReadings Evictor::ReadingsOf(const NodeSite& site) const {
  const PressureView& view = site.node->view<PressureView>();
  NodeReadings readings;
  readings.node = site.name;
  readings.thresholds = services_.options.eviction_hard;
  if (!view.thresholds.empty()) {
    Result<EvictionThresholds> own = ParseEvictionThresholds(view.thresholds, readings.thresholds);
    if (own.ok()) readings.thresholds = *own;
  }
  readings.on_machine = !site.simulated();
  if (const auto own = own_.find(site.name); own != own_.end()) readings.own = own->second;
  if (site.simulated()) readings.asked = {view.asked.memory, view.asked.disk, false, view.asked.pid};
  return readings;
}

void Evictor::Judge(NodeSite& site) {
  if (!site.node) return;
  const PressureView& view = site.node->view<PressureView>();
  if (!view.thresholds.empty() && site.told_thresholds != view.thresholds) {
    site.told_thresholds = view.thresholds;
    const Result<EvictionThresholds> own = ParseEvictionThresholds(view.thresholds, services_.options.eviction_hard);
    if (!own.ok())
      spdlog::warn("annotation {} not followed node={} error=\"{}\"", kEvictionHardKey, site.name,
                   own.status().message());
  }
  if (site.simulated()) site.asked_pressure = view.asked;
  Note(site, PressureOf(FindShortages(machine_, {ReadingsOf(site)}), site.name));
}

void Evictor::Forget(const std::string& node) {
  histories_.erase(node);
  own_.erase(node);
}

void Evictor::Note(NodeSite& site, HostPressure met) {
  const HostPressure before = site.measured_pressure;
  site.measured_pressure = histories_[site.name].Note(met, services_.context.clock.Monotonic(),
                                                      services_.options.pressure_transition_period);
  if (site.measured_pressure == before) return;
  spdlog::info("node pressure node={} memory={} disk={} pid={}", site.name, site.measured_pressure.memory,
               site.measured_pressure.disk, site.measured_pressure.pid);
  static constexpr struct {
    bool HostPressure::*condition;
    const char *bad, *good;
  } kReasons[] = {{&HostPressure::memory, "NodeHasInsufficientMemory", "NodeHasSufficientMemory"},
                  {&HostPressure::disk, "NodeHasDiskPressure", "NodeHasNoDiskPressure"},
                  {&HostPressure::pid, "NodeHasInsufficientPID", "NodeHasSufficientPID"}};
  for (const auto& [condition, bad, good] : kReasons) {
    if (before.*condition == site.measured_pressure.*condition) continue;
    const std::string reason = site.measured_pressure.*condition ? bad : good;
    TellOfNode(services_, site, "Normal", reason, "Node " + site.name + " status is now: " + reason);
  }
}

// One look: what is left, what that means for the conditions, and who has to go.
Task<> Evictor::Look() {
  const auto alive = alive_;
  machine_ = services_.options.read_machine();
  ForgetGone();
  std::vector<std::shared_ptr<NodeSite>> sites = pool_.sites(), declared;
  std::erase_if(sites, [](const auto& site) { return site->silent || !site->node; });
  std::copy_if(sites.begin(), sites.end(), std::back_inserter(declared),
               [](const auto& site) { return Declares(*site); });
  const bool disk_due =
      services_.context.clock.Monotonic() >= disk_due_ &&
      std::any_of(declared.begin(), declared.end(), [](const auto& site) { return DeclaresStorage(*site); });
  if (!declared.empty()) {
    const Duration begin = services_.context.clock.Monotonic();
    const std::vector<PodUse> uses = co_await Measure(declared, disk_due);
    if (!*alive || stopped_) co_return;
    const Duration now = services_.context.clock.Monotonic();
    if (disk_due) disk_due_ = now + (now - begin) * kDiskRest;
    for (const auto& site : declared) {
      if (!site->node) continue;
      int64_t memory = 0, disk = 0;
      for (const PodUse& use : uses) {
        if (use.node != site->name) continue;
        memory += use.memory;
        disk += use.disk;
      }
      const PressureView& view = site->node->view<PressureView>();
      SignalReadings& own = own_[site->name];
      const auto left = [](int64_t capacity, int64_t used) {
        return capacity < 0 ? SignalReading{} : SignalReading{std::max<int64_t>(0, capacity - used), capacity};
      };
      own[0] = left(view.memory, memory);
      if (disk_due || site->simulated()) own[1] = left(view.storage, disk);
    }
  }

  std::vector<NodeReadings> readings;
  for (const auto& site : sites) {
    if (!site->node) continue;
    if (!Declares(*site)) own_.erase(site->name);
    readings.push_back(ReadingsOf(*site));
  }
  const std::vector<Shortage> shortages = FindShortages(machine_, readings);
  for (const auto& site : sites) {
    if (!site->node) continue;
    const HostPressure before = site->pressure();
    Note(*site, PressureOf(shortages, site->name));
    if (site->pressure() != before) pool_.tell(site->name);
  }
  if (shortages.empty()) {
    nothing_to_evict_ = false;
    Arm();
    co_return;
  }

  std::set<std::string> busy;
  for (const auto& [uid, underway] : underway_) busy.insert(underway.scope);
  std::unordered_map<std::string, std::shared_ptr<NodeSite>> by_name;
  for (const auto& site : sites) by_name.emplace(site->name, site);
  std::vector<std::shared_ptr<NodeSite>> wanted;
  bool disk = false;
  for (const Shortage& shortage : shortages) {
    if (busy.contains(shortage.machine_wide ? "" : shortage.node)) continue;
    disk = disk || OfDisk(shortage.signal);
    const std::shared_ptr<NodeSite>& site = by_name.at(shortage.node);
    if (!site->node || (!wanted.empty() && wanted.back() == site)) continue;  // those of a node come together
    wanted.push_back(site);
    TellOfNode(services_, *site, "Warning", "EvictionThresholdMet",
               std::string("Attempting to reclaim ") + ResourceOf(shortage.signal));
  }
  const std::vector<PodUse> uses = co_await Measure(wanted, disk);
  if (!*alive || stopped_) co_return;
  const std::vector<Eviction> evictions = PlanEvictions(shortages, uses, busy);
  for (const Eviction& eviction : evictions) Evict(eviction);
  if (evictions.empty() && busy.empty() && !std::exchange(nothing_to_evict_, true))
    spdlog::warn("node pressure, and no pod that may be evicted node={} signal={}", shortages[0].node,
                 NameOf(shortages[0].signal));
  Arm();
}

// What the pods of these nodes take. One look at all processes for all of them; directories only when asked for.
Task<std::vector<PodUse>> Evictor::Measure(std::vector<std::shared_ptr<NodeSite>> sites, bool disk) {
  const auto alive = alive_;
  std::vector<PodUse> out;
  std::unordered_map<std::string, ContainerReading> readings;  // by "uid/container"
  const bool real = std::any_of(sites.begin(), sites.end(),
                                [](const auto& site) { return !site->simulated() && !site->pods.empty(); });
  if (real) {
    std::vector<ContainerReading> found = co_await process_.Usage();
    if (!*alive) co_return out;
    for (ContainerReading& reading : found) {
      std::string key = reading.id.substr(0, reading.id.rfind('/'));
      readings.emplace(std::move(key), std::move(reading));
    }
  }
  std::vector<std::pair<std::shared_ptr<PodWorker>, size_t>> on_disk;
  for (const auto& site : sites) {
    if (!site->node) continue;
    for (const std::string& uid : site->pods) {
      const std::shared_ptr<PodWorker> worker = pool_.worker(uid);
      if (!worker || worker->finished()) continue;
      const EvictionView& view = worker->pod()->view<EvictionView>();
      PodUse use;
      use.uid = uid;
      use.key = worker->key();
      use.node = site->name;
      use.priority = view.priority;
      use.spared = view.critical || worker->ending();
      use.memory_request = view.memory_request;
      use.disk_request = view.disk_request;
      use.containers = view.containers;
      if (site->simulated()) {
        AddSimulated(*site, *worker, view, use);
      } else {
        for (ContainerUse& container : use.containers) {
          const auto reading = readings.find(uid + "/" + container.name);
          if (reading == readings.end()) continue;
          container.memory = static_cast<int64_t>(reading->second.memory_bytes);
          use.processes += reading->second.processes;
        }
        if (disk) on_disk.emplace_back(worker, out.size());
      }
      for (const ContainerUse& container : use.containers) {
        use.memory += container.memory;
        use.disk += container.disk;
      }
      out.push_back(std::move(use));
    }
  }
  for (const auto& [worker, index] : on_disk) {
    co_await MeasureDisk(worker, &out[index]);
    if (!*alive) co_return out;
  }
  co_return out;
}

// A pod's files where the data directory is: its containers' directories and logs, and its volumes that are not in
// memory. Claims and hostPaths are not the pod's.
Task<> Evictor::MeasureDisk(std::shared_ptr<PodWorker> worker, PodUse* use) {
  const PodSite place = PlaceOf(services_.options.data_dir, use->node, worker->info());
  for (ContainerUse& container : use->containers) {
    const DirectoryUse own = co_await MeasureDirectory(place.directory / container.name, INT64_MAX);
    const DirectoryUse log = co_await MeasureDirectory(place.log_directory / container.name, INT64_MAX);
    container.disk = own.bytes + log.bytes;
    use->inodes += own.entries + log.entries;
    use->disk += container.disk;
  }
  const DirectoryUse volumes = co_await MeasureDirectory(place.directory / "volumes", INT64_MAX);
  use->disk += volumes.bytes;
  use->inodes += volumes.entries;
}

void Evictor::Evict(const Eviction& eviction) {
  const std::shared_ptr<PodWorker> worker = pool_.worker(eviction.uid);
  if (!worker || !worker->Evict(eviction.message)) return;
  underway_[eviction.uid] = {eviction.scope, services_.context.clock.Monotonic()};
  spdlog::info("pod evicted pod={} node={} signal={}", worker->key(), eviction.node, NameOf(eviction.signal));
}

void Evictor::ForgetGone() {
  const Duration now = services_.context.clock.Monotonic();
  std::erase_if(underway_, [&](const auto& entry) {
    const std::shared_ptr<PodWorker> worker = pool_.worker(entry.first);
    return !worker || worker->finished() || now - entry.second.since >= kLongestUnderway;
  });
}

}  // namespace wherry
