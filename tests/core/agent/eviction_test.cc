// Eviction through the whole agent: the machine's signals as a test says them, and simulated nodes.
#include <catch2/catch.hpp>

#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/core/agent/agent_fixture.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

constexpr int64_t kMi = 1 << 20;

// A pod that takes and asks for memory. On a node with processes its stand-in reads the variable.
void AddUser(AgentCluster& c, const std::string& name, const std::string& node, const std::string& takes,
             Json more = Json::object()) {
  const std::string simulate = R"({"memory":")" + takes + R"("})";
  Json container = {{"name", "app"},
                    {"image", "app:1"},
                    {"command", {"app"}},
                    {"env", {{{"name", std::string(kSimulateVariable)}, {"value", simulate}}}}};
  if (more.contains("request")) {
    container["resources"]["requests"]["memory"] = more["request"];
    more.erase("request");
  }
  more["containers"] = Json::array({std::move(container)});
  c.AddPod(name, node, std::move(more), {{std::string(kSimulateKey), simulate}});
  c.cluster.Settle();
}

SignalReadings Memory(int64_t available) {
  SignalReadings readings;
  readings[0] = {available * kMi, 1000 * kMi};
  return readings;
}

std::string Evicted(AgentCluster& c) {
  std::string out;
  for (const ObjectPtr& pod : c.cluster.List(resources::kPods)) {
    if (StringAt(*pod->json(), "status.reason") == "Evicted") out += (out.empty() ? "" : " ") + pod->name();
  }
  return out;
}

void Annotate(AgentCluster& c, const std::string& node, std::string_view key, Json value) {
  c.cluster.Apply({{"apiVersion", "v1"},
                   {"kind", "Node"},
                   {"metadata", {{"name", node}, {"annotations", {{std::string(key), std::move(value)}}}}}});
  c.cluster.Settle();
}

int EventCount(AgentCluster& c, const std::string& about, const std::string& reason) {
  int count = 0;
  for (const ObjectPtr& event : c.cluster.List("events")) {
    const JsonPtr document = event->json();
    if (StringAt(*document, "involvedObject.name") == about && StringAt(*document, "reason") == reason)
      count += static_cast<int>(IntAt(*document, "count", 1));
  }
  return count;
}

}  // namespace

TEST_CASE("a machine without memory evicts the worst pod of all its nodes, one at a time, until there is some") {
  AgentCluster c;
  for (const char* node : {"a", "b"}) c.AddNode(node, false);
  AddUser(c, "within", "a", "300Mi", {{"request", "400Mi"}});
  AddUser(c, "over", "a", "60Mi", {{"request", "50Mi"}});
  AddUser(c, "none", "b", "40Mi");
  AddUser(c, "vital", "b", "500Mi", {{"priorityClassName", "system-node-critical"}});
  c.machine = Memory(90);
  CHECK(c.NodeCondition("a", "MemoryPressure") == "False");
  c.cluster.Advance(10s);
  CHECK(c.NodeCondition("a", "MemoryPressure") == "True");
  CHECK(c.NodeCondition("b", "MemoryPressure") == "True");
  CHECK(Evicted(c) == "none");
  const Json pod = c.Pod("none");
  CHECK(c.Phase("none") == "Failed");
  CHECK(StringAt(pod, "status.message") ==
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. Container app was using "
        "40Mi, request is 0, has larger consumption of memory. ");
  bool disrupted = false;
  for (const Json& condition : ListAt(pod, "status.conditions"))
    disrupted |= condition.at("type") == "DisruptionTarget" && condition.at("status") == "True" &&
                 condition.at("reason") == "TerminationByKubelet";
  CHECK(disrupted);
  CHECK(EventCount(c, "none", "Evicted") == 1);
  CHECK(EventCount(c, "b", "EvictionThresholdMet") == 1);
  CHECK(EventCount(c, "b", "NodeHasInsufficientMemory") == 1);

  c.cluster.Advance(1s);
  CHECK(Evicted(c) == "none over");
  c.cluster.Advance(1s);
  CHECK(Evicted(c) == "none over within");
  c.cluster.Advance(60s);  // the pod of a system priority stays, whatever it takes
  CHECK(Evicted(c) == "none over within");
  CHECK(c.processes.running() == 1);

  c.machine = Memory(900);
  c.cluster.Advance(4min + 50s);
  CHECK(c.NodeCondition("a", "MemoryPressure") == "True");
  c.cluster.Advance(20s);
  CHECK(c.NodeCondition("a", "MemoryPressure") == "False");
  CHECK(c.Phase("vital") == "Running");
}

TEST_CASE("the next pod is not chosen before the last one is gone, or has had its time") {
  AgentCluster c;
  c.AddNode("a", false);
  AddUser(c, "big", "a", "60Mi");
  AddUser(c, "small", "a", "40Mi");
  c.cluster.Update(c.cluster.Get(resources::kPods, "default", "big"),
                   [](Json& pod) { pod["metadata"]["finalizers"] = {"example.com/stays"}; });
  c.machine = Memory(90);
  c.cluster.Advance(10s);
  CHECK(Evicted(c) == "big");
  c.machine = Memory(150);
  c.cluster.Advance(10min);
  CHECK(Evicted(c) == "big");
  CHECK(c.Phase("small") == "Running");
}

TEST_CASE("a program that ignores SIGTERM is evicted within a second all the same") {
  AgentCluster c;
  c.AddNode("a", true, {{std::string(kCapacityKey), R"({"memory":"200Mi"})"}});
  c.AddPod("stubborn", "a", Json::object(),
           {{std::string(kSimulateKey), R"({"memory":"150Mi","stopLatency":"never"})"}});
  c.cluster.Settle();
  c.cluster.Advance(10s);
  CHECK(c.Phase("stubborn") == "Running");
  c.cluster.Advance(1s);
  CHECK(c.Phase("stubborn") == "Failed");
  CHECK(c.Pod("stubborn")["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137);
}

TEST_CASE("a simulated node evicts by what it has declared and its pods are said to take") {
  AgentCluster c;
  c.AddNode("s", true, {{std::string(kCapacityKey), R"({"memory":"1000Mi"})"}});
  c.AddNode("free", true);
  c.cluster.Create({{"apiVersion", "scheduling.k8s.io/v1"},
                    {"kind", "PriorityClass"},
                    {"metadata", {{"name", "ten"}}},
                    {"value", 10}});
  AddUser(c, "a", "s", "300Mi", {{"request", "400Mi"}});
  AddUser(c, "b", "s", "300Mi", {{"priorityClassName", "ten"}});
  AddUser(c, "c", "s", "250Mi");
  AddUser(c, "huge", "free", "1Ti");
  c.machine = Memory(0);  // simulated nodes take nothing of it
  c.cluster.Advance(1min);
  CHECK(Evicted(c) == "");
  CHECK(c.NodeCondition("s", "MemoryPressure") == "False");
  c.cluster.Update(c.cluster.Get(resources::kPods, "default", "a"), [](Json& pod) {
    pod["metadata"]["annotations"][std::string(kSimulateKey)] = R"({"memory":"351Mi"})";
  });
  c.cluster.Advance(10s);
  CHECK(Evicted(c) == "c");
  CHECK(StringAt(c.Pod("c"), "status.message") ==
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 99Mi. Container app was using "
        "250Mi, request is 0, has larger consumption of memory. ");
  CHECK(c.NodeCondition("s", "MemoryPressure") == "True");
  CHECK(c.NodeCondition("free", "MemoryPressure") == "False");
  c.cluster.Advance(4min);
  CHECK(Evicted(c) == "c");
  c.cluster.Advance(2min);
  CHECK(c.NodeCondition("s", "MemoryPressure") == "False");
}

TEST_CASE("a simulated node evicts by declared storage, and by the faults that its annotation asks for") {
  AgentCluster c;
  c.AddNode("s", true, {{std::string(kCapacityKey), R"({"ephemeral-storage":"2Gi"})"}});
  const auto add = [&](const char* name, const char* simulate) {
    c.AddPod(name, "s", Json::object(), {{std::string(kSimulateKey), simulate}});
    c.cluster.Settle();
  };
  add("writer", R"({"storage":"1700Mi"})");
  add("forker", R"({"processes":100})");
  add("idler", "{}");
  c.cluster.Advance(10s);
  CHECK(Evicted(c) == "writer");
  CHECK(
      StringAt(c.Pod("writer"), "status.message") ==
      "The node was low on resource: ephemeral-storage. Threshold quantity: 512Mi, available: 348Mi. Container app was "
      "using 1700Mi, request is 0, has larger consumption of ephemeral-storage. ");
  CHECK(c.NodeCondition("s", "DiskPressure") == "True");

  Annotate(c, "s", kSimulateKey, R"({"pidPressure":true})");
  CHECK(c.NodeCondition("s", "PIDPressure") == "True");
  CHECK(Evicted(c) == "writer");
  c.cluster.Advance(1s);
  CHECK(Evicted(c) == "forker writer");
  Annotate(c, "s", kSimulateKey, nullptr);  // what was asked goes at once, what was measured stays its time
  CHECK(c.NodeCondition("s", "PIDPressure") == "False");
  CHECK(c.NodeCondition("s", "DiskPressure") == "True");
  c.cluster.Advance(1min);
  CHECK(Evicted(c) == "forker writer");
}

TEST_CASE("a node's own thresholds count, and one that cannot be read does not") {
  AgentCluster c;
  c.AddNode("a", false, {{std::string(kEvictionHardKey), "memory.available<300Mi"}});
  c.AddNode("b", false, {{std::string(kEvictionHardKey), "memory<300Mi"}});
  AddUser(c, "one", "a", "10Mi");
  AddUser(c, "two", "b", "90Mi");
  c.machine = Memory(250);
  c.cluster.Advance(10s);
  CHECK(Evicted(c) == "one");
  CHECK(c.NodeCondition("a", "MemoryPressure") == "True");
  CHECK(c.NodeCondition("b", "MemoryPressure") == "False");
  Annotate(c, "a", kEvictionHardKey, "memory.available<0");
  AddUser(c, "three", "a", "10Mi", {{"request", "5Mi"}});
  c.machine = Memory(1);
  c.cluster.Advance(10s);
  CHECK(Evicted(c) == "one two");
}

TEST_CASE("a node under pressure refuses what it may") {
  AgentCluster c;
  c.AddNode("a", true, {{std::string(kSimulateKey), R"({"memoryPressure":true})"}});
  AddUser(c, "best-effort", "a", "1Mi");
  CHECK(c.Phase("best-effort") == "Failed");
  CHECK(StringAt(c.Pod("best-effort"), "status.reason") == "Evicted");
  CHECK(StringAt(c.Pod("best-effort"), "status.message") ==
        "Pod was rejected: The node had condition: [MemoryPressure]. ");
  CHECK(EventCount(c, "best-effort", "Evicted") == 1);
  AddUser(c, "burstable", "a", "1Mi", {{"request", "5Mi"}});
  CHECK(c.Phase("burstable") == "Running");
}

TEST_CASE("a failed node evicts nothing") {
  AgentCluster c;
  c.AddNode("a", false);
  AddUser(c, "p", "a", "60Mi");
  Annotate(c, "a", kFailKey, "true");
  c.machine = Memory(10);
  c.cluster.Advance(1min);
  CHECK(c.Phase("p") == "Running");
  CHECK(c.NodeCondition("a", "MemoryPressure") == "False");
  Annotate(c, "a", kFailKey, nullptr);
  c.cluster.Advance(10s);
  CHECK(Evicted(c) == "p");
}
