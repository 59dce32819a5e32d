#include "core/agent/node_agent_pool.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/agent/images.h"
#include "core/agent/shipped_images.h"
#include "core/runtime/object_view.h"
#include "tests/core/agent/agent_fixture.h"

namespace wherry {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST_CASE("a Node object gets an agent by itself") {
  AgentCluster c;
  c.AddNode("a", false);
  c.AddNode("b", true);
  const Json a = c.Node("a");
  CHECK(a.at("spec").at("podCIDR") == "127.64.0.0/24");
  CHECK(a.at("spec").at("podCIDRs") == Json::parse(R"(["127.64.0.0/24"])"));
  CHECK(c.Node("b").at("spec").at("podCIDR") == "127.64.1.0/24");
  CHECK(a.at("metadata").at("labels").at("kubernetes.io/hostname") == "a");
  CHECK(a.at("metadata").at("labels").at("kubernetes.io/os") == "linux");
  CHECK(a.at("metadata").at("labels").contains("beta.kubernetes.io/arch"));
  CHECK(a.at("status").at("addresses") ==
        Json::parse(R"([{"type":"InternalIP","address":"127.64.0.1"},{"type":"Hostname","address":"a"}])"));
  CHECK(a.at("status").at("capacity").at("pods") == "110");
  CHECK(a.at("status").at("allocatable") == a.at("status").at("capacity"));
  for (const char* name : {"machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion",
                           "kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture"}) {
    CAPTURE(name);
    CHECK_FALSE(a.at("status").at("nodeInfo").at(name).get<std::string>().empty());
  }
  CHECK(a.at("status").at("nodeInfo").at("kubeletVersion") == "v1.32.0+wherry");
  CHECK(a.at("status").at("nodeInfo").at("containerRuntimeVersion") == "wherry://0.1.0");
  for (const char* node : {"a", "b"}) {
    CHECK(c.NodeCondition(node, "Ready") == "True");
    CHECK(c.NodeCondition(node, "DiskPressure") == "False");
    const Json lease = c.cluster.Document("leases.coordination.k8s.io", "kube-node-lease", node);
    CHECK(StringAt(lease, "spec.holderIdentity") == node);
  }
}

TEST_CASE("capacity can be said by options and by the node") {
  AgentCluster c([](AgentOptions& options) { options.capacity = {{"cpu", "64"}}; });
  c.AddNode("a", true, {{kCapacityKey, R"({"pods":"500","example.com/gpu":"2"})"}});
  const Json capacity = c.Node("a").at("status").at("capacity");
  CHECK(capacity.at("cpu") == "64");
  CHECK(capacity.at("pods") == "500");
  CHECK(capacity.at("example.com/gpu") == "2");
}

TEST_CASE("blocks are kept, not given twice, and rest after use") {
  AgentCluster c;
  c.AddNode("a");
  c.AddNode("b");
  c.cluster.Delete("nodes", "", "a");
  c.AddNode("c");
  CHECK(c.Node("c").at("spec").at("podCIDR") == "127.64.2.0/24");
  c.StopAgents();
  c.StartAgents();
  c.AddNode("d");
  CHECK(c.Node("b").at("spec").at("podCIDR") == "127.64.1.0/24");
  CHECK(c.Node("d").at("spec").at("podCIDR") == "127.64.3.0/24");
}

TEST_CASE("a real node with a block that no process can use says so") {
  AgentCluster c;
  c.cluster.Create(Json::parse(
      R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"a"},"spec":{"podCIDR":"10.244.0.0/24","podCIDRs":["10.244.0.0/24"]}})"));
  CHECK(c.NodeCondition("a", "Ready") == "False");
}

TEST_CASE("heartbeats: leases often, statuses rarely") {
  AgentCluster c;
  c.AddNode("a", false);
  const auto renewed = [&] {
    return StringAt(c.cluster.Document("leases.coordination.k8s.io", "kube-node-lease", "a"), "spec.renewTime");
  };
  const uint64_t status_writes = c.pool->counters().node_writes;
  std::string last = renewed();
  c.cluster.Advance(seconds(11));
  CHECK(renewed() > last);
  last = renewed();
  c.cluster.Advance(seconds(10));
  CHECK(renewed() > last);
  c.cluster.Advance(minutes(4));
  CHECK(c.pool->counters().node_writes == status_writes);
  c.cluster.Advance(minutes(1));
  CHECK(c.pool->counters().node_writes == status_writes + 1);
}

TEST_CASE("a simulated node can fall silent, be not ready and be under pressure") {
  AgentCluster c;
  c.AddNode("a", true, {{kSimulateKey, R"({"notReady":true,"diskPressure":true})"}});
  CHECK(c.NodeCondition("a", "Ready") == "False");
  CHECK(c.NodeCondition("a", "DiskPressure") == "True");
  const auto annotate = [&](Json value) {
    c.cluster.Apply({{"apiVersion", "v1"},
                     {"kind", "Node"},
                     {"metadata", {{"name", "a"}, {"annotations", {{kSimulateKey, std::move(value)}}}}}});
  };
  annotate(nullptr);
  CHECK(c.NodeCondition("a", "Ready") == "True");
  CHECK(c.NodeCondition("a", "DiskPressure") == "False");
  annotate(R"({"silent":true})");
  const auto lease = [&] {
    return c.cluster.Document("leases.coordination.k8s.io", "kube-node-lease", "a").at("spec");
  };
  CHECK(lease().at("leaseDurationSeconds") == 40);
  const uint64_t before = c.pool->counters().lease_writes;
  c.cluster.Advance(minutes(20));
  CHECK(c.pool->counters().lease_writes == before);
  annotate(nullptr);
  CHECK(c.pool->counters().lease_writes == before + 1);
  CHECK(lease().at("leaseDurationSeconds") == 900);
}

TEST_CASE("thousands of nodes cost few writes") {
  AgentCluster c;
  constexpr uint64_t kNodes = 2000;
  for (uint64_t i = 0; i < kNodes; ++i) c.AddNode("n" + std::to_string(i));
  CHECK(c.pool->node_count() == kNodes);
  NodeAgentPool::Counters counters = c.pool->counters();
  CHECK(counters.node_writes == 2 * kNodes);  // block and labels; status
  CHECK(counters.lease_writes == kNodes);
  c.cluster.Advance(minutes(10));
  counters = c.pool->counters();
  CHECK(counters.node_writes == 2 * kNodes);
  CHECK(counters.lease_writes <= 4 * kNodes);
  CHECK(counters.lease_writes >= 2 * kNodes);
  c.StopAgents();
  c.StartAgents();  // writes nothing: what is stored still holds
  CHECK(c.pool->node_count() == kNodes);
  CHECK(c.pool->counters().node_writes == 0);
  CHECK(c.pool->counters().lease_writes == 0);
  for (int i = 0; i < 200; ++i) c.AddPod("p" + std::to_string(i), "n" + std::to_string(i));
  CHECK(c.pool->counters().pod_status_writes == 200);
  CHECK(c.simulated.running() == 200);
}

TEST_CASE("the shipped images are valid and answer to their names") {
  AgentCluster c;
  CHECK(c.cluster.List("images.wherry.dev").size() == ShippedImages().size());
  c.cluster.Delete("images.wherry.dev", "", "redis");
  c.cluster.Apply(Json::parse(
      R"({"apiVersion":"wherry.dev/v1","kind":"Image","metadata":{"name":"bash"},"spec":{"args":["mine"]}})"));
  c.StopAgents();
  c.StartAgents();
  CHECK(c.cluster.List("images.wherry.dev").size() == ShippedImages().size());
  CHECK(c.cluster.Document("images.wherry.dev", "", "bash").at("spec").at("args").at(0) == "mine");
  const std::pair<const char*, const char*> rows[] = {
      {"nginx", "nginx"},
      {"nginx:1.14.2", "nginx"},
      {"docker.io/library/nginx:latest", "nginx"},
      {"k8s.gcr.io/nginx-slim:0.8", "nginx"},
      {"httpd:2.4", "httpd"},
      {"busybox:1.28", "shell"},
      {"alpine", "shell"},
      {"python:3.11-slim", "python"},
      {"registry.k8s.io/pause:3.9", "pause"},
      {"quay.io/prometheus/node-exporter:v1.5.0", "node-exporter"},
      {"prom/node-exporter", "node-exporter"},
      {"quay.io/fluentd_elasticsearch/fluentd:v2.5.2", "log-collector"},
      {"fluent/fluentd-kubernetes-daemonset:v1-debian-elasticsearch", "log-collector"},
      {"fluent/fluent-bit:2.1", "log-collector"},
      {"hello-world", "hello-world"},
      {"redis:7", "redis"},
  };
  for (const auto& [reference, name] : rows) {
    CAPTURE(reference);
    const ObjectPtr image = FindImage(c.cluster.client().cache(), reference);
    REQUIRE(image);
    CHECK(image->name() == name);
    CHECK(image->json()->at("metadata").at("labels").at("wherry.dev/shipped") == "true");
  }
  CHECK_FALSE(FindImage(c.cluster.client().cache(), "example.com/app:1"));
}

}  // namespace wherry
