#include "core/agent/node_pressure.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace wherry;
using namespace std::chrono_literals;

namespace {

constexpr int64_t kMi = 1 << 20;
constexpr auto kMemory = PressureSignal::kMemoryAvailable;
constexpr auto kDisk = PressureSignal::kNodefsAvailable;
constexpr auto kPids = PressureSignal::kPidAvailable;

std::string Parsed(const char* text) {
  const Result<EvictionThresholds> parsed = ParseEvictionThresholds(text, DefaultEvictionThresholds());
  if (!parsed.ok()) return parsed.status().message();
  std::string out;
  for (const EvictionThreshold& one : *parsed) {
    out +=
        (out.empty() ? "" : " ") + (one.fraction > 0 ? std::to_string(static_cast<int>(one.fraction * 1000)) + "/1000"
                                                     : std::to_string(one.quantity));
  }
  return out;
}

SignalReadings Left(int64_t memory, int64_t disk = -1, int64_t inodes = -1, int64_t pids = -1) {
  SignalReadings readings;
  readings[0] = {memory * kMi, 1000 * kMi};
  readings[1] = {disk < 0 ? -1 : disk * kMi, 10'000 * kMi};
  readings[2] = {inodes, 1000};
  readings[3] = {pids, 32'768};
  return readings;
}

NodeReadings Real(const std::string& name, SignalReadings own = {}) {
  NodeReadings node;
  node.node = name;
  node.thresholds = DefaultEvictionThresholds();
  node.on_machine = true;
  node.own = own;
  return node;
}

// "a memory.available 90<100 machine", amounts of bytes in Mi.
std::string Show(const std::vector<Shortage>& shortages) {
  std::string out;
  for (const Shortage& s : shortages) {
    const int64_t unit = s.signal == kMemory || s.signal == kDisk ? kMi : 1;
    out += (out.empty() ? "" : ", ") + s.node + " " + NameOf(s.signal) + " " + std::to_string(s.available / unit) +
           "<" + std::to_string(s.threshold / unit) + (s.machine_wide ? " machine" : "") + (s.asked ? " asked" : "");
  }
  return out;
}

PodUse Pod(const std::string& name, const std::string& node, int64_t memory, int64_t request = 0,
           int64_t priority = 0) {
  PodUse pod;
  pod.uid = pod.key = name;
  pod.node = node;
  pod.priority = priority;
  pod.memory = memory * kMi;
  pod.memory_request = request * kMi;
  pod.containers = {{"app", memory * kMi, request * kMi, 0, 0}};
  return pod;
}

std::string Order(PressureSignal signal, std::vector<PodUse> pods) {
  std::sort(pods.begin(), pods.end(), [&](const auto& a, const auto& b) { return GoesBefore(signal, a, b); });
  std::string out;
  for (const PodUse& pod : pods) out += (out.empty() ? "" : " ") + pod.key;
  return out;
}

std::string Chosen(const std::vector<Shortage>& shortages, const std::vector<PodUse>& pods,
                   const std::set<std::string>& busy = {}) {
  std::string out;
  for (const Eviction& eviction : PlanEvictions(shortages, pods, busy))
    out += (out.empty() ? "" : " ") + eviction.uid + (eviction.scope.empty() ? "/machine" : "/" + eviction.scope);
  return out;
}

}  // namespace

TEST_CASE("thresholds are read as the kubelet's --eviction-hard") {
  CHECK(Parsed("") == "104857600 536870912 50/1000 50/1000");
  CHECK(Parsed("memory.available<1Gi") == "1073741824 536870912 50/1000 50/1000");
  CHECK(Parsed("nodefs.available<10%,pid.available<1k,memory.available<0") == "0 100/1000 50/1000 1000");
  CHECK(Parsed("nodefs.inodesFree<0%") == "104857600 536870912 0 50/1000");
  CHECK(Parsed("imagefs.available<15%") ==
        "unsupported eviction signal \"imagefs.available\": there are memory.available, nodefs.available, "
        "nodefs.inodesFree and pid.available");
  CHECK(Parsed("memory.available>1Gi") ==
        "eviction threshold \"memory.available>1Gi\" is not of the form memory.available<100Mi");
  CHECK(Parsed("memory.available<-1") ==
        "eviction threshold \"-1\" is neither a quantity such as 100Mi nor a percentage");
  CHECK(Parsed("memory.available<101%") == "eviction threshold \"101%\" is no percentage from 0% to 100%");
}

TEST_CASE("what is short: the machine for all its nodes, or what a node has declared") {
  NodeReadings generous = Real("b");
  generous.thresholds[0].quantity = 50 * kMi;
  NodeReadings simulated = Real("s");
  simulated.on_machine = false;
  NodeReadings asked = simulated;
  asked.asked[0] = true;
  NodeReadings percent = Real("p");
  percent.thresholds[0] = {0, 0.2};
  struct Case {
    const char* name;
    SignalReadings machine;
    std::vector<NodeReadings> nodes;
    const char* shortages;
  };
  const Case cases[] = {
      {"plenty", Left(100), {Real("a")}, ""},
      {"nothing is known", {}, {Real("a")}, ""},
      {"all nodes",
       Left(90),
       {Real("a"), Real("c")},
       "a memory.available 90<100 machine, c memory.available 90<100 machine"},
      {"a node's own threshold", Left(90), {Real("a"), generous}, "a memory.available 90<100 machine"},
      {"simulated nodes are not of this machine", Left(90), {simulated}, ""},
      {"a simulation asks", Left(500), {asked}, "s memory.available 0<100 asked"},
      {"a share of the capacity", Left(190), {percent}, "p memory.available 190<200 machine"},
      {"declared", Left(500), {Real("a", Left(60))}, "a memory.available 60<100"},
      {"declared, with some left, on a machine without",
       Left(90),
       {Real("a", Left(400))},
       "a memory.available 90<100 machine"},
      {"both: the lower one",
       Left(90),
       {Real("a", Left(60)), Real("c", Left(95))},
       "a memory.available 60<100, c memory.available 90<100 machine"},
      {"others",
       Left(500, 511, 49, 1638),
       {Real("a")},
       "a nodefs.available 511<512 machine, a nodefs.inodesFree 49<50 machine"},
      {"processes", Left(500, 5000, 500, 1637), {Real("a")}, "a pid.available 1637<1638 machine"},
  };
  for (const Case& c : cases) {
    INFO(c.name);
    CHECK(Show(FindShortages(c.machine, c.nodes)) == c.shortages);
  }
}

TEST_CASE("conditions come at once and stay for the transition period") {
  PressureHistory history;
  const Duration period = 5min;
  CHECK(history.Note({}, 0s, period) == HostPressure{});
  CHECK(history.Note({true, false, false}, 10s, period) == HostPressure{true, false, false});
  CHECK(history.Note({false, true, false}, 20s, period) == HostPressure{true, true, false});
  CHECK(history.Note({}, 309s, period) == HostPressure{true, true, false});
  CHECK(history.Note({}, 310s, period) == HostPressure{false, true, false});
  CHECK(history.Note({}, 320s, period) == HostPressure{});
  CHECK(history.Note({}, 330s, period) == HostPressure{});
}

TEST_CASE("the order of evictions: over its request, the priority, by how much") {
  CHECK(Order(kMemory, {Pod("within", "a", 500, 600), Pod("over", "a", 20, 10)}) == "over within");
  CHECK(Order(kMemory, {Pod("vital", "a", 500, 0, 9), Pod("usual", "a", 20)}) == "usual vital");
  CHECK(Order(kMemory, {Pod("vital", "a", 500, 0, 9), Pod("within", "a", 20, 30)}) == "vital within");
  CHECK(Order(kMemory, {Pod("least", "a", 300, 290), Pod("most", "a", 100), Pod("more", "a", 200, 150)}) ==
        "most more least");
  CHECK(Order(kMemory, {Pod("b", "a", 10), Pod("a", "a", 10)}) == "a b");
  // Within their requests: who has least left of it.
  CHECK(Order(kMemory, {Pod("half", "a", 50, 100), Pod("full", "a", 100, 100)}) == "full half");

  PodUse writer = Pod("writer", "a", 1), keeper = Pod("keeper", "a", 999);
  writer.disk = 100;
  keeper.disk = 90;
  CHECK(Order(kDisk, {keeper, writer}) == "writer keeper");
  writer.disk_request = 200;
  CHECK(Order(kDisk, {keeper, writer}) == "keeper writer");
  // Processes cannot be asked for: the priority counts first.
  PodUse bomb = Pod("bomb", "a", 1, 0, 1), calm = Pod("calm", "a", 1);
  bomb.processes = 5000;
  calm.processes = 1;
  CHECK(Order(kPids, {bomb, calm}) == "calm bomb");
  bomb.priority = 0;
  CHECK(Order(kPids, {bomb, calm}) == "bomb calm");
}

TEST_CASE("one pod for the machine out of all its nodes, one for each node's own shortage") {
  const Shortage machine_a{"a", kMemory, 100 * kMi, 90 * kMi, true, false};
  const Shortage machine_b{"b", kMemory, 100 * kMi, 90 * kMi, true, false};
  const Shortage own_c{"c", kMemory, 100 * kMi, 60 * kMi, false, false};
  const Shortage disk_c{"c", kDisk, 512 * kMi, 0, false, false};
  const std::vector<PodUse> pods = {Pod("a1", "a", 50), Pod("b1", "b", 70), Pod("b2", "b", 60), Pod("c1", "c", 10),
                                    Pod("d1", "d", 900)};
  CHECK(Chosen({machine_a, machine_b}, pods) == "b1/machine");
  CHECK(Chosen({machine_a}, pods) == "a1/machine");
  CHECK(Chosen({machine_a, machine_b, own_c}, pods) == "b1/machine c1/c");
  CHECK(Chosen({machine_a, machine_b, own_c}, pods, {""}) == "c1/c");
  CHECK(Chosen({machine_a, machine_b, own_c}, pods, {"", "c"}) == "");
  CHECK(Chosen({}, pods) == "");
  // The machine's choice relieves its node too.
  const Shortage own_b{"b", kDisk, 512 * kMi, 0, false, false};
  CHECK(Chosen({machine_a, machine_b, own_b}, pods) == "b1/machine");
  // Memory comes before the disk.
  CHECK(PlanEvictions({own_c, disk_c}, pods, {}).at(0).signal == kMemory);
  std::vector<PodUse> spared = pods;
  spared[1].spared = true;
  CHECK(Chosen({machine_a, machine_b}, spared) == "b2/machine");
  for (PodUse& pod : spared) pod.spared = true;
  CHECK(Chosen({machine_a, machine_b, own_c}, spared) == "");
}

TEST_CASE("the message names threshold, containers and requests") {
  PodUse pod = Pod("p", "a", 200, 64);
  pod.containers.push_back({"calm", 10 * kMi, 20 * kMi, 0, 0});
  pod.containers.push_back({"other", kMi + 512, 0, 0, 0});
  const auto message = [&](const Shortage& shortage) { return PlanEvictions({shortage}, {pod}, {}).at(0).message; };
  CHECK(
      message({"a", kMemory, 100 * kMi, 92'160'000, true, false}) ==
      "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90000Ki. Container app was using "
      "200Mi, request is 64Mi, has larger consumption of memory. Container other was using 1049088, request is 0, has "
      "larger consumption of memory. ");
  pod.containers[0].disk = 5 * kMi;
  CHECK(message({"a", kDisk, 512 * kMi, 3 * kMi, true, false}) ==
        "The node was low on resource: ephemeral-storage. Threshold quantity: 512Mi, available: 3Mi. Container app was "
        "using 5Mi, request is 0, has larger consumption of ephemeral-storage. ");
  CHECK(message({"a", kPids, 1638, 1000, true, false}) ==
        "The node was low on resource: pids. Threshold quantity: 1638, available: 1k. ");
}

TEST_CASE("what a node under pressure accepts") {
  const Json best_effort = {{"spec", {{"containers", {{{"name", "c"}}}}}}};
  Json burstable = best_effort, tolerant = best_effort, critical = best_effort, is_static = best_effort;
  burstable["spec"]["containers"][0]["resources"]["requests"]["memory"] = "1Mi";
  tolerant["spec"]["tolerations"] = {{{"key", "node.kubernetes.io/memory-pressure"}, {"operator", "Exists"}}};
  critical["spec"]["priority"] = 2'000'000'000;
  is_static["metadata"]["annotations"]["kubernetes.io/config.source"] = "file";
  const HostPressure none, memory{true, false, false}, disk{false, true, false}, all{true, true, true};
  const auto refusal = [](const HostPressure& pressure, const Json& pod) {
    return PressureRefusal(pressure, EvictionView(pod));
  };
  CHECK(refusal(none, best_effort) == "");
  CHECK(refusal(memory, best_effort) == "The node had condition: [MemoryPressure]. ");
  CHECK(refusal(memory, burstable) == "");
  CHECK(refusal(memory, tolerant) == "");
  CHECK(refusal(disk, tolerant) == "The node had condition: [DiskPressure]. ");
  CHECK(refusal(disk, burstable) == "The node had condition: [DiskPressure]. ");
  CHECK(refusal(all, burstable) == "The node had condition: [MemoryPressure DiskPressure PIDPressure]. ");
  for (const HostPressure& pressure : {memory, disk, all}) {
    CHECK(refusal(pressure, critical) == "");
    CHECK(refusal(pressure, is_static) == "");
  }
}
