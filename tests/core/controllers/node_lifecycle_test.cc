#include "core/controllers/node_lifecycle.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/controllers/event_ttl.h"
#include "core/kinds/resources.h"
#include "tests/core/controllers/controller_cluster.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

// "key:effect" of a node's taints, blank-separated.
std::string Taints(const ControllerCluster& cluster, const std::string& node) {
  std::string out;
  const Json document = cluster.Document(resources::kNodes, "", node);
  if (!document["spec"].contains("taints")) return out;
  for (const Json& taint : document["spec"]["taints"]) {
    out += (out.empty() ? "" : " ") + taint["key"].get<std::string>() + ":" + taint["effect"].get<std::string>();
  }
  return out;
}

void SetConditions(ControllerCluster& cluster, const std::string& node, const Json& conditions) {
  cluster.Update(
      cluster.Get(resources::kNodes, "", node),
      [&](Json& object) {
        object["status"]["conditions"] = Json::array();
        for (const auto& [type, status] : conditions.items()) {
          object["status"]["conditions"].push_back({{"type", type},
                                                    {"status", status},
                                                    {"lastHeartbeatTime", FormatTime(cluster.clock().Now())},
                                                    {"lastTransitionTime", FormatTime(cluster.clock().Now())}});
        }
      },
      "status");
  cluster.Settle();
}

void Renew(ControllerCluster& cluster, const std::string& node) {
  const Json spec = {{"holderIdentity", node}, {"renewTime", FormatMicroTime(cluster.clock().Now())}};
  if (const ObjectPtr lease = cluster.Get(resources::kLeases, "kube-node-lease", node)) {
    cluster.Update(lease, [&](Json& object) { object["spec"].merge_patch(spec); });
  } else {
    cluster.Create({{"apiVersion", "coordination.k8s.io/v1"},
                    {"kind", "Lease"},
                    {"metadata", {{"name", node}, {"namespace", "kube-node-lease"}}},
                    {"spec", spec}});
  }
  cluster.Settle();
}

std::string Ready(const ControllerCluster& cluster, const std::string& node) {
  const Json document = cluster.Document(resources::kNodes, "", node);
  for (const Json& condition : document["status"]["conditions"]) {
    if (condition["type"] == "Ready") return condition["status"];
  }
  return "";
}

void AddPod(ControllerCluster& cluster, const std::string& name, const std::string& node,
            Json tolerations = Json::array()) {
  cluster.Create({{"apiVersion", "v1"},
                  {"kind", "Pod"},
                  {"metadata", {{"name", name}, {"namespace", "default"}}},
                  {"spec",
                   {{"nodeName", node},
                    {"tolerations", std::move(tolerations)},
                    {"containers", Json::array({{{"name", "main"}, {"image", "nginx:1"}}})}}}});
  cluster.Settle();
}

}  // namespace

TEST_CASE("Node taints: follow conditions; others' taints stay") {
  ControllerCluster cluster;
  cluster.AddNode("a", {}, Json::array({{{"key", "mine"}, {"effect", "NoSchedule"}}}));
  cluster.Settle();
  CHECK(Taints(cluster, "a") == "mine:NoSchedule");
  struct Case {
    Json conditions;
    const char* taints;
  };
  const std::string nk = "node.kubernetes.io/";
  const std::pair<Json, std::string> cases[] = {
      {{{"Ready", "False"}}, "mine:NoSchedule " + nk + "not-ready:NoSchedule " + nk + "not-ready:NoExecute"},
      {{{"Ready", "Unknown"}}, "mine:NoSchedule " + nk + "unreachable:NoSchedule " + nk + "unreachable:NoExecute"},
      {{{"Ready", "True"}, {"DiskPressure", "True"}}, "mine:NoSchedule " + nk + "disk-pressure:NoSchedule"},
      {{{"Ready", "True"}, {"MemoryPressure", "True"}}, "mine:NoSchedule " + nk + "memory-pressure:NoSchedule"},
      {{{"Ready", "True"}, {"PIDPressure", "True"}}, "mine:NoSchedule " + nk + "pid-pressure:NoSchedule"},
      {{{"Ready", "True"}, {"NetworkUnavailable", "True"}}, "mine:NoSchedule " + nk + "network-unavailable:NoSchedule"},
      {{{"Ready", "True"}, {"DiskPressure", "False"}}, "mine:NoSchedule"},
  };
  for (const auto& [conditions, taints] : cases) {
    CAPTURE(conditions.dump());
    SetConditions(cluster, "a", conditions);
    CHECK(Taints(cluster, "a") == taints);
  }
}

TEST_CASE("Node lease: one made for longer than the grace is believed for so long") {
  ControllerCluster cluster;
  cluster.AddNode("a");
  Renew(cluster, "a");
  cluster.Update(cluster.Get(resources::kLeases, "kube-node-lease", "a"),
                 [](Json& object) { object["spec"]["leaseDurationSeconds"] = 900; });
  SetConditions(cluster, "a", {{"Ready", "True"}});
  cluster.Advance(890s);
  CHECK(Ready(cluster, "a") == "True");
  cluster.Advance(11s);
  CHECK(Ready(cluster, "a") == "Unknown");
}

TEST_CASE("Node taints: a node that has not spoken keeps its first, and is unreachable after the grace") {
  ControllerCluster cluster;
  cluster.Create({{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", "a"}}}});
  cluster.Settle();
  CHECK(Taints(cluster, "a") == "node.kubernetes.io/not-ready:NoSchedule");
  cluster.Advance(41s);
  CHECK(Ready(cluster, "a") == "Unknown");
  CHECK(Taints(cluster, "a") == "node.kubernetes.io/unreachable:NoSchedule node.kubernetes.io/unreachable:NoExecute");
}

TEST_CASE("Node lease: keeps a node alive at no cost; silence makes Ready Unknown after the grace of 40 s") {
  ControllerCluster cluster;
  cluster.AddNode("a");
  SetConditions(cluster, "a", {{"Ready", "True"}, {"MemoryPressure", "False"}});
  AddPod(cluster, "p", "a");
  cluster.RunPods();
  const int before = cluster.Reconciles("node-controller");
  for (int i = 0; i < 30; ++i) {
    Renew(cluster, "a");
    cluster.Advance(10s);
  }
  CHECK(Ready(cluster, "a") == "True");
  CHECK(cluster.Reconciles("node-controller") - before <= 300 / 30);
  cluster.Advance(25s);
  CHECK(Ready(cluster, "a") == "True");
  cluster.Advance(10s);
  CHECK(Ready(cluster, "a") == "Unknown");
  const Json pod = cluster.Document(resources::kPods, "default", "p");
  CHECK(pod["status"]["conditions"][0]["status"] == "False");
  SetConditions(cluster, "a", {{"Ready", "True"}});
  CHECK(Taints(cluster, "a") == "");
}

TEST_CASE("Node heartbeat: a status that is reported anew counts like a lease, and ends the silence") {
  ControllerCluster cluster;
  cluster.AddNode("a");
  for (int i = 0; i < 4; ++i) {
    SetConditions(cluster, "a", {{"Ready", "True"}});
    cluster.Advance(39s);
    CHECK(Ready(cluster, "a") == "True");
  }
  cluster.Advance(2s);
  CHECK(Ready(cluster, "a") == "Unknown");
  const Json node = cluster.Document(resources::kNodes, "", "a");
  CHECK(node["status"]["conditions"][0]["reason"] == "NodeStatusUnknown");
  CHECK(node["status"]["conditions"][0]["message"] == "Kubelet stopped posting node status.");
  SetConditions(cluster, "a", {{"Ready", "True"}});
  cluster.Advance(39s);
  CHECK(Ready(cluster, "a") == "True");
}

TEST_CASE("NoExecute: evicts by tolerationSeconds") {
  ControllerCluster cluster;
  cluster.AddNode("a");
  AddPod(cluster, "none", "a");
  AddPod(cluster, "some", "a",
         Json::parse(R"([{"key":"k","operator":"Exists","effect":"NoExecute","tolerationSeconds":60}])"));
  AddPod(cluster, "ever", "a", Json::parse(R"([{"key":"k","operator":"Exists","effect":"NoExecute"}])"));
  cluster.RunPods();
  cluster.Update(cluster.Get(resources::kNodes, "", "a"), [](Json& node) {
    node["spec"]["taints"] = Json::array({{{"key", "k"}, {"effect", "NoExecute"}}});
  });
  cluster.RunPods();
  CHECK(cluster.Where() == "a=ever a=some");
  CHECK(cluster.EventsAbout("none") ==
        std::vector<std::string>{"TaintManagerEviction: Marking for deletion Pod default/none"});
  SECTION("until the seconds are over") {
    cluster.Advance(59s);
    CHECK(cluster.Where() == "a=ever a=some");
    cluster.Advance(1s);
    CHECK(cluster.Where() == "a=ever");
  }
  SECTION("or the taint goes") {
    cluster.Advance(30s);
    cluster.Update(cluster.Get(resources::kNodes, "", "a"), [](Json& node) { node["spec"].erase("taints"); });
    cluster.Advance(100s);
    CHECK(cluster.Where() == "a=ever a=some");
  }
}

TEST_CASE("Pod garbage: pods of a node that is gone go; those of one that never was after a while") {
  ControllerCluster cluster;
  cluster.AddNode("a");
  AddPod(cluster, "p", "a");
  AddPod(cluster, "q", "nowhere");
  cluster.RunPods();
  cluster.Delete(resources::kNodes, "", "a");
  cluster.Settle();
  CHECK(cluster.Where() == "nowhere=q");
  cluster.Advance(39s);
  CHECK(cluster.Where() == "nowhere=q");
  cluster.Advance(1s);
  CHECK(cluster.Where() == "");
}

TEST_CASE("Pod garbage: pods that were told to go leave a node that is out of service") {
  ControllerCluster cluster;
  const Json vouched = Json::array({{{"key", "node.kubernetes.io/out-of-service"}, {"effect", "NoSchedule"}}});
  cluster.AddNode("a");
  for (const char* name : {"going", "later", "stays"}) AddPod(cluster, name, "a");
  auto set_taints = [&](const Json& taints) {
    cluster.Update(cluster.Get(resources::kNodes, "", "a"), [&](Json& node) { node["spec"]["taints"] = taints; });
    cluster.Settle();
  };
  auto tell_to_go = [&](const char* name) {
    cluster.Delete(resources::kPods, "default", name);
    cluster.Settle();
  };
  auto there = [&](const char* name) { return cluster.Get(resources::kPods, "default", name) != nullptr; };
  SetConditions(cluster, "a", {{"Ready", "True"}});
  tell_to_go("going");
  set_taints(vouched);
  CHECK(there("going"));  // a ready node speaks for itself
  SetConditions(cluster, "a", {{"Ready", "Unknown"}});
  CHECK_FALSE(there("going"));
  CHECK(there("later"));
  tell_to_go("later");
  CHECK_FALSE(there("later"));
  CHECK(there("stays"));

  cluster.AddNode("b");
  AddPod(cluster, "waits", "b");
  SetConditions(cluster, "b", {{"Ready", "Unknown"}});
  tell_to_go("waits");
  CHECK(there("waits"));  // nobody vouches for b
}

TEST_CASE("Pod garbage: beyond the terminated-pod threshold the oldest go, the evicted first") {
  ControllerCluster cluster;
  cluster.Start("pod-garbage-of-three", [](RuntimeContext context) { return PodGarbageController(context, 3); });
  cluster.AddNode("a");
  for (const char* name : {"p1", "p2", "p3", "p4", "p5", "p6"}) {
    AddPod(cluster, name, "a");
    cluster.Advance(1s);
  }
  for (const char* name : {"p1", "p2", "p4", "p5"}) cluster.SetPodStatus(name, {{"phase", "Succeeded"}});
  cluster.SetPodStatus("p3", {{"phase", "Failed"}, {"reason", "Evicted"}});
  cluster.Advance(19s);
  CHECK(cluster.List(resources::kPods).size() == 6);
  cluster.Advance(2s);
  CHECK(cluster.Get(resources::kPods, "default", "p3") == nullptr);
  CHECK(cluster.Get(resources::kPods, "default", "p1") == nullptr);
  CHECK(cluster.List(resources::kPods).size() == 4);  // p2, p4, p5 ended; p6 did not
}

TEST_CASE("Events go when they have been quiet for an hour") {
  ControllerCluster cluster;
  auto event = [&](const char* name) {
    return cluster.Create({{"apiVersion", "v1"},
                           {"kind", "Event"},
                           {"metadata", {{"name", name}, {"namespace", "default"}}},
                           {"involvedObject", {{"kind", "Pod"}, {"name", "p"}, {"namespace", "default"}}},
                           {"reason", "Test"},
                           {"message", "m"},
                           {"type", "Normal"}});
  };
  for (int i = 0; i < 250; ++i) event(("e" + std::to_string(i)).c_str());
  const ObjectPtr kept = event("kept");
  cluster.Advance(30min);
  cluster.Update(kept, [](Json& object) { object["count"] = 2; });
  cluster.Advance(29min);
  CHECK(cluster.List(resources::kEvents).size() == 251);
  cluster.Advance(1min + 1s);
  CHECK(cluster.List(resources::kEvents).size() == 1);
  cluster.Advance(30min);
  CHECK(cluster.List(resources::kEvents).empty());
}
