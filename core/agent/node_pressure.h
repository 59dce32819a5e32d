#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/runtime/time.h"
#include "store/json.h"
#include "store/status.h"

namespace wherry {

// Node-pressure eviction as the kubelet does it: what runs short by which threshold, what the node's conditions say of
// it, and which pod has to go. Everything here is pure; the Evictor carries it out. docs/node-agent.md says what is
// measured.

// In the order in which they are relieved when several are short.
enum class PressureSignal : uint8_t { kMemoryAvailable, kNodefsAvailable, kNodefsInodesFree, kPidAvailable };
inline constexpr size_t kPressureSignals = 4;
template <typename T>
using PerSignal = std::array<T, kPressureSignals>;

// "memory.available".
const char* NameOf(PressureSignal signal);

// A signal is met when less is available than this. Neither part set: never.
struct EvictionThreshold {
  int64_t quantity = 0;  // in bytes, inodes or processes …
  double fraction = 0;   // … or of the capacity
  bool operator==(const EvictionThreshold&) const = default;
};
using EvictionThresholds = PerSignal<EvictionThreshold>;

// memory.available<100Mi, nodefs.available<512Mi, nodefs.inodesFree<5%, pid.available<5%.
EvictionThresholds DefaultEvictionThresholds();
// `base` with what `text` says over it, as the kubelet's --eviction-hard:
// "memory.available<200Mi,nodefs.available<10%". 0 turns a signal off. kInvalid names what cannot be read.
Result<EvictionThresholds> ParseEvictionThresholds(std::string_view text, EvictionThresholds base);

// How much there is and how much of it is left; -1 = not known.
struct SignalReading {
  int64_t available = -1, capacity = -1;
};
using SignalReadings = PerSignal<SignalReading>;

// What a node's conditions say is short.
struct HostPressure {
  bool memory = false, disk = false, pid = false;
  bool any() const { return memory || disk || pid; }
  bool operator==(const HostPressure&) const = default;
};

// What one node is measured by.
struct NodeReadings {
  std::string node;
  EvictionThresholds thresholds;
  bool on_machine = false;       // the machine's signals are its own too
  SignalReadings own;            // of what the node has declared to have
  PerSignal<bool> asked = {{}};  // short because a simulation says so
};

// One signal that is met on one node.
struct Shortage {
  std::string node;
  PressureSignal signal;
  int64_t threshold = 0, available = 0;
  bool machine_wide = false;  // the machine's: all its nodes run short together
  bool asked = false;         // a simulation says so, nothing was measured
  bool operator==(const Shortage&) const = default;
};

// A signal that is short by both readings is the node's own affair, when less of its own is left.
std::vector<Shortage> FindShortages(const SignalReadings& machine, const std::vector<NodeReadings>& nodes);
// The conditions that what was measured of `node` comes to.
HostPressure PressureOf(const std::vector<Shortage>& shortages, const std::string& node);

// Conditions come at once, and go once nothing was short for the transition period.
class PressureHistory {
 public:
  HostPressure Note(HostPressure met, Duration monotonic, Duration transition);

 private:
  std::optional<Duration> memory_, disk_, pid_;  // when last met
};

// What a pod takes, and what it asked for.
struct ContainerUse {
  std::string name;
  int64_t memory = 0, memory_request = 0;
  int64_t disk = 0, disk_request = 0;
};
struct PodUse {
  std::string uid, key, node;  // key: "namespace/name"
  int64_t priority = 0;
  bool spared = false;  // critical, or on its way out: never chosen
  int64_t memory = 0, memory_request = 0;
  int64_t disk = 0, disk_request = 0;
  int64_t inodes = 0, processes = 0;
  std::vector<ContainerUse> containers;
};

// What is said of a pod for the sake of evictions: `pod->view<EvictionView>()`.
struct EvictionView {
  explicit EvictionView(const Json& pod);
  int64_t priority = 0;
  bool critical = false;  // static, or of a system priority: as the kubelet's IsCriticalPod
  bool best_effort = false;
  bool tolerates_memory_pressure = false;
  int64_t memory_request = 0, disk_request = 0;
  std::vector<ContainerUse> containers;  // with their requests, init containers first
  std::string simulate;                  // its wherry.dev/simulate
};

// Whether `a` goes before `b`: those that exceed their request first, then the lower priority, then who exceeds it most
// (of processes: the priority, then who has most). Equals by key, so that the choice is always the same.
bool GoesBefore(PressureSignal signal, const PodUse& a, const PodUse& b);

struct Eviction {
  std::string uid, node;
  PressureSignal signal;
  std::string message;  // status.message, as users know it
  std::string scope;    // what it relieves: a node, or "" for the machine
};

// One pod for the machine, out of all nodes that it makes short, and one for each node that is short of its own; for
// the first signal of each. Scopes in `busy` wait: the pod chosen before has not gone yet.
std::vector<Eviction> PlanEvictions(const std::vector<Shortage>& shortages, const std::vector<PodUse>& pods,
                                    const std::set<std::string>& busy);

// Why a node under pressure does not accept a pod; "" = it does. Critical pods always; under memory pressure alone also
// those that are not BestEffort or tolerate its taint.
std::string PressureRefusal(HostPressure pressure, const EvictionView& pod);

// "memory", as messages name what a signal is about.
const char* ResourceOf(PressureSignal signal);

}  // namespace wherry
