#include "core/agent/node_pressure.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/agent/simulation.h"
#include "core/kinds/fields.h"
#include "core/kinds/pod_rules.h"
#include "core/kinds/taints.h"

namespace wherry {
namespace {

constexpr int64_t kSystemCriticalPriority = 2'000'000'000;

struct SignalFacts {
  PressureSignal signal;
  const char* name;
  const char* resource;
  bool HostPressure::*condition;
  bool bytes;  // amounts are written with binary suffixes
};
constexpr SignalFacts kFacts[kPressureSignals] = {
    {PressureSignal::kMemoryAvailable, "memory.available", "memory", &HostPressure::memory, true},
    {PressureSignal::kNodefsAvailable, "nodefs.available", "ephemeral-storage", &HostPressure::disk, true},
    {PressureSignal::kNodefsInodesFree, "nodefs.inodesFree", "inodes", &HostPressure::disk, false},
    {PressureSignal::kPidAvailable, "pid.available", "pids", &HostPressure::pid, false},
};

const SignalFacts& FactsOf(PressureSignal signal) { return kFacts[static_cast<size_t>(signal)]; }

std::string Amount(PressureSignal signal, int64_t value) {
  return Quantity::FromValue(value, FactsOf(signal).bytes).ToString();
}

// The threshold in units; 0 = never met.
int64_t Resolve(const EvictionThreshold& threshold, const SignalReading& reading) {
  if (threshold.fraction <= 0) return threshold.quantity;
  return reading.capacity < 0 ? 0 : static_cast<int64_t>(threshold.fraction * static_cast<double>(reading.capacity));
}

Status ReadThreshold(std::string_view text, EvictionThreshold* out) {
  *out = {};
  const std::string written(text);
  if (text.ends_with('%')) {
    double percent = 0;
    const char* end = text.data() + text.size() - 1;
    const auto [stop, error] = std::from_chars(text.data(), end, percent, std::chars_format::fixed);
    if (error != std::errc() || stop != end || percent < 0 || percent > 100)
      return Status(Reason::kInvalid, "eviction threshold \"" + written + "\" is no percentage from 0% to 100%");
    out->fraction = percent / 100;
    return {};
  }
  const Result<Quantity> quantity = Quantity::Parse(text);
  if (!quantity.ok() || quantity->value() < 0)
    return Status(Reason::kInvalid,
                  "eviction threshold \"" + written + "\" is neither a quantity such as 100Mi nor a percentage");
  out->quantity = quantity->value();
  return {};
}

int64_t UseOf(PressureSignal signal, const PodUse& pod) {
  switch (signal) {
    case PressureSignal::kMemoryAvailable:
      return pod.memory;
    case PressureSignal::kNodefsAvailable:
      return pod.disk;
    case PressureSignal::kNodefsInodesFree:
      return pod.inodes;
    default:
      return pod.processes;
  }
}

// Inodes and processes cannot be asked for.
int64_t RequestOf(PressureSignal signal, const PodUse& pod) {
  if (signal == PressureSignal::kMemoryAvailable) return pod.memory_request;
  return signal == PressureSignal::kNodefsAvailable ? pod.disk_request : 0;
}

std::string Explain(const Shortage& shortage, const PodUse& pod) {
  const PressureSignal signal = shortage.signal;
  const std::string resource = ResourceOf(signal);
  std::string text = "The node was low on resource: " + resource +
                     ". Threshold quantity: " + Amount(signal, shortage.threshold) +
                     ", available: " + Amount(signal, shortage.available) + ". ";
  if (!FactsOf(signal).bytes) return text;
  for (const ContainerUse& container : pod.containers) {
    const bool memory = signal == PressureSignal::kMemoryAvailable;
    const int64_t used = memory ? container.memory : container.disk;
    const int64_t request = memory ? container.memory_request : container.disk_request;
    if (used <= request) continue;
    text += "Container " + container.name + " was using " + Amount(signal, used) + ", request is " +
            Amount(signal, request) + ", has larger consumption of " + resource + ". ";
  }
  return text;
}

int64_t ValueOf(const ResourceList& list, const char* name) {
  const auto it = list.find(name);
  return it == list.end() ? 0 : it->second.value();
}

}  // namespace

const char* NameOf(PressureSignal signal) { return FactsOf(signal).name; }
const char* ResourceOf(PressureSignal signal) { return FactsOf(signal).resource; }

EvictionThresholds DefaultEvictionThresholds() { return {{{100 << 20, 0}, {512 << 20, 0}, {0, 0.05}, {0, 0.05}}}; }

Result<EvictionThresholds> ParseEvictionThresholds(std::string_view text, EvictionThresholds base) {
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view one = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const size_t less = one.find('<');
    if (less == std::string_view::npos) {
      return Status(Reason::kInvalid,
                    "eviction threshold \"" + std::string(one) + "\" is not of the form memory.available<100Mi");
    }
    const auto facts = std::find_if(std::begin(kFacts), std::end(kFacts),
                                    [&](const SignalFacts& known) { return one.substr(0, less) == known.name; });
    if (facts == std::end(kFacts))
      return Status(Reason::kInvalid, "unsupported eviction signal \"" + std::string(one.substr(0, less)) +
                                          "\": there are memory.available, nodefs.available, nodefs.inodesFree and "
                                          "pid.available");
    const Status read = ReadThreshold(one.substr(less + 1), &base[static_cast<size_t>(facts->signal)]);
    if (!read.ok()) return read;
  }
  return base;
}

std::vector<Shortage> FindShortages(const SignalReadings& machine, const std::vector<NodeReadings>& nodes) {
  std::vector<Shortage> out;
  for (const NodeReadings& node : nodes) {
    for (size_t i = 0; i < kPressureSignals; ++i) {
      const PressureSignal signal = kFacts[i].signal;
      const auto met = [&](const SignalReading& reading) {
        return reading.available >= 0 && reading.available < Resolve(node.thresholds[i], reading);
      };
      const bool own = met(node.own[i]), shared = node.on_machine && met(machine[i]);
      if (own && (!shared || node.own[i].available <= machine[i].available)) {
        out.push_back(
            {node.node, signal, Resolve(node.thresholds[i], node.own[i]), node.own[i].available, false, false});
      } else if (shared) {
        out.push_back({node.node, signal, Resolve(node.thresholds[i], machine[i]), machine[i].available, true, false});
      } else if (node.asked[i]) {
        out.push_back({node.node, signal, Resolve(node.thresholds[i], node.own[i]), 0, false, true});
      }
    }
  }
  return out;
}

HostPressure PressureOf(const std::vector<Shortage>& shortages, const std::string& node) {
  HostPressure pressure;
  for (const Shortage& shortage : shortages) {
    if (shortage.node == node && !shortage.asked) pressure.*FactsOf(shortage.signal).condition = true;
  }
  return pressure;
}

HostPressure PressureHistory::Note(HostPressure met, Duration monotonic, Duration transition) {
  const auto held = [&](bool now, std::optional<Duration>& last) {
    if (now) last = monotonic;
    if (last && !now && monotonic - *last >= transition) last.reset();
    return last.has_value();
  };
  return {held(met.memory, memory_), held(met.disk, disk_), held(met.pid, pid_)};
}

EvictionView::EvictionView(const Json& pod) {
  priority = IntAt(pod, "spec.priority");
  const auto& annotations = MapAt(pod, "metadata.annotations");
  const auto annotation = [&](std::string_view key) -> std::string {
    const auto it = annotations.find(key);
    return it != annotations.end() && it->second.is_string() ? it->second.get<std::string>() : "";
  };
  const std::string source = annotation("kubernetes.io/config.source");
  critical = priority >= kSystemCriticalPriority || annotations.contains("kubernetes.io/config.mirror") ||
             (!source.empty() && source != "api");
  best_effort = QosClass(pod) == "BestEffort";
  const Taint taint{kTaintMemoryPressure, "", TaintEffect::kNoSchedule};
  for (const Toleration& toleration : ParseTolerations(At(pod, "spec.tolerations")))
    tolerates_memory_pressure = tolerates_memory_pressure || toleration.Tolerates(taint);
  const ResourceList requests = PodRequests(pod);
  memory_request = ValueOf(requests, "memory");
  disk_request = ValueOf(requests, "ephemeral-storage");
  for (const char* list : {"spec.initContainers", "spec.containers"}) {
    for (const Json& container : ListAt(pod, list)) {
      const ResourceList own = ParseResources(At(container, "resources.requests"));
      containers.push_back(
          {StringAt(container, "name"), 0, ValueOf(own, "memory"), 0, ValueOf(own, "ephemeral-storage")});
    }
  }
  simulate = annotation(kSimulateKey);
}

bool GoesBefore(PressureSignal signal, const PodUse& a, const PodUse& b) {
  const int64_t over_a = UseOf(signal, a) - RequestOf(signal, a), over_b = UseOf(signal, b) - RequestOf(signal, b);
  if (signal != PressureSignal::kPidAvailable && (over_a > 0) != (over_b > 0)) return over_a > 0;
  if (a.priority != b.priority) return a.priority < b.priority;
  if (over_a != over_b) return over_a > over_b;
  return a.key < b.key;
}

std::vector<Eviction> PlanEvictions(const std::vector<Shortage>& shortages, const std::vector<PodUse>& pods,
                                    const std::set<std::string>& busy) {
  // The machine comes first: what goes for its sake is one for the node as well.
  std::vector<std::string> scopes;
  const auto scope_of = [](const Shortage& shortage) { return shortage.machine_wide ? std::string() : shortage.node; };
  for (const Shortage& shortage : shortages) scopes.push_back(scope_of(shortage));
  std::sort(scopes.begin(), scopes.end());
  scopes.erase(std::unique(scopes.begin(), scopes.end()), scopes.end());

  std::vector<Eviction> out;
  for (const std::string& scope : scopes) {
    if (busy.contains(scope)) continue;
    PressureSignal first = PressureSignal::kPidAvailable;
    for (const Shortage& shortage : shortages) {
      if (scope_of(shortage) == scope) first = std::min(first, shortage.signal);
    }
    const PodUse* worst = nullptr;
    const Shortage* why = nullptr;
    for (const PodUse& pod : pods) {
      if (pod.spared || std::any_of(out.begin(), out.end(), [&](const Eviction& e) { return e.node == pod.node; }))
        continue;
      const auto shortage = std::find_if(shortages.begin(), shortages.end(), [&](const Shortage& s) {
        return s.node == pod.node && s.signal == first && scope_of(s) == scope;
      });
      if (shortage == shortages.end() || (worst && !GoesBefore(first, pod, *worst))) continue;
      worst = &pod;
      why = &*shortage;
    }
    if (worst) out.push_back({worst->uid, worst->node, first, Explain(*why, *worst), scope});
  }
  return out;
}

std::string PressureRefusal(HostPressure pressure, const EvictionView& pod) {
  if (!pressure.any() || pod.critical) return "";
  const bool memory_alone = !pressure.disk && !pressure.pid;
  if (memory_alone && (!pod.best_effort || pod.tolerates_memory_pressure)) return "";
  std::string names;
  for (const auto& [there, name] : {std::pair{pressure.memory, "MemoryPressure"},
                                    std::pair{pressure.disk, "DiskPressure"}, std::pair{pressure.pid, "PIDPressure"}}) {
    if (there) names += (names.empty() ? "" : " ") + std::string(name);
  }
  return "The node had condition: [" + names + "]. ";
}

}  // namespace wherry
