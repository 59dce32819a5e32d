#include <spdlog/spdlog.h>
#include <catch2/catch.hpp>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "tests/core/scheduler/fake_cluster.h"

namespace wherry::testing {
namespace {

// A model of the rules, independent of the scheduler's own code and as plain as they are written: one node, its pods,
// one pod more. Works on the stored documents.
struct Model {
  static int64_t Cpu(const Json& pod) {
    return std::stoll(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"].get<std::string>());
  }
  static bool Tolerates(const Json& pod, const Json& taint) {
    for (const Json& toleration : pod["spec"].value("tolerations", Json::array())) {
      if (toleration["key"] == taint["key"]) return true;
    }
    return false;
  }
  static bool Selected(const Json& pod, const Json& node) {
    const Json selector = pod["spec"].value("nodeSelector", Json::object());
    for (const auto& [key, value] : selector.items()) {
      if (node["metadata"]["labels"].value(key, "") != value) return false;
    }
    if (!pod["spec"].contains("affinity")) return true;
    const Json& terms =
        pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    return terms[0]["matchFields"][0]["values"][0] == node["metadata"]["name"];
  }
  static int Port(const Json& pod) {
    const Json& container = pod["spec"]["containers"][0];
    return container.contains("ports") ? container["ports"][0]["hostPort"].get<int>() : 0;
  }
  // What newcomers are held to; those already there are not.
  static bool MayCome(const Json& pod, const Json& node) {
    if (node["spec"].value("unschedulable", false)) return false;
    for (const Json& taint : node["spec"].value("taints", Json::array())) {
      if (!Tolerates(pod, taint)) return false;
    }
    return Selected(pod, node);
  }
  // Whether there is room beside the pods that are there. A node may have shrunk under them: that concerns only those
  // who want more of what is short.
  static bool Room(const Json& pod, const std::vector<JsonPtr>& there, const Json& node) {
    int64_t cpu = Cpu(pod);
    for (const JsonPtr& other : there) {
      cpu += Cpu(*other);
      if (Port(pod) != 0 && Port(pod) == Port(*other)) return false;
    }
    const Json& allocatable = node["status"]["allocatable"];
    return (Cpu(pod) == 0 || cpu <= std::stoll(allocatable["cpu"].get<std::string>())) &&
           there.size() + 1 <= std::stoull(allocatable["pods"].get<std::string>());
  }
};

class World {
 public:
  explicit World(uint32_t seed) : random_(seed), cluster_(seed), scheduler_(cluster_.context(), {}) {
    // Every bind is checked at the moment it happens, against the cluster as it then is.
    cluster_.events().AddHandler("pods", [this](const Event& event) { Watch(event); });
    scheduler_.Start();
  }

  void Step() {
    const int kind = Below(10);
    if (kind < 2) {
      cluster_.Put(RandomNode("n" + std::to_string(Below(5))));
    } else if (kind < 3) {
      if (auto node = Any("nodes")) {
        cluster_.RemoveNode(*node);
        changed_.insert(*node);
      }
    } else if (kind < 8) {
      cluster_.Put(RandomPod("p" + std::to_string(next_pod_++)));
    } else if (auto pod = Any("pods")) {
      cluster_.RemovePod(*pod);
    }
    switch (Below(4)) {
      case 0:
        Settle();
        break;
      case 1:
        cluster_.Turn(1 + Below(4));
        break;  // the world goes on while binds are under way
      default:
        break;
    }
    if (Below(20) == 0) cluster_.bind_answers.push_back(Status::Internal("disk full"));
  }

  void Finish() {
    cluster_.bind_answers.clear();
    Settle();
    cluster_.Advance(std::chrono::seconds(11));  // retries of failed binds; far from the five-minute net
  }

  // "" when every rule holds; else what does not.
  std::string Broken() {
    if (!broken_.empty()) return broken_;
    if (auto inconsistency = scheduler_.snapshot().Inconsistency(); !inconsistency.empty()) return inconsistency;
    for (const ObjectPtr& node : cluster_.cache().List("nodes")) {
      const JsonPtr document = node->json();
      const std::vector<JsonPtr> there = PodsOn(node->name(), "");
      for (const ObjectPtr& object : cluster_.cache().List("pods")) {
        const JsonPtr pod = object->json();
        if (pod->at("spec").contains("nodeName")) continue;
        if (Model::MayCome(*pod, *document) && Model::Room(*pod, there, *document)) {
          return object->name() + " waits but fits " + node->name();
        }
      }
    }
    return "";
  }
  int bound() const { return bound_; }

 private:
  void Settle() {
    cluster_.Settle();
    changed_.clear();
  }

  int Below(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }

  std::optional<std::string> Any(const std::string& resource) {
    const auto all = cluster_.cache().List(resource);
    if (all.empty()) return std::nullopt;
    return all[static_cast<size_t>(Below(static_cast<int>(all.size())))]->name();
  }

  Json RandomNode(const std::string& name) {
    changed_.insert(name);
    Json node = NodeJson(name);
    node["metadata"]["labels"]["zone"] = std::to_string(Below(2));
    node["status"]["allocatable"]["cpu"] = std::to_string(2 + Below(6));
    node["status"]["allocatable"]["pods"] = std::to_string(1 + Below(5));
    if (Below(4) == 0) node["spec"]["unschedulable"] = true;
    if (Below(3) == 0) node["spec"]["taints"] = {{{"key", "t" + std::to_string(Below(2))}, {"effect", "NoSchedule"}}};
    return node;
  }

  Json RandomPod(const std::string& name) {
    Json pod = PodAsking(name, std::to_string(Below(4)), "1Mi");
    pod["spec"]["priority"] = Below(3);
    if (Below(3) == 0) pod["spec"]["nodeSelector"] = {{"zone", std::to_string(Below(2))}};
    if (Below(3) == 0) {
      pod["spec"]["tolerations"] = {{{"key", "t" + std::to_string(Below(2))}, {"operator", "Exists"}}};
    }
    if (Below(4) == 0) {
      const int port = 80 + Below(2);
      pod["spec"]["containers"][0]["ports"] = {{{"containerPort", port}, {"hostPort", port}}};
    }
    if (Below(5) == 0) {
      const std::string node = "n" + std::to_string(Below(5));
      pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] = {
          {{"matchFields", {{{"key", "metadata.name"}, {"operator", "In"}, {"values", {node}}}}}}};
    }
    return pod;
  }

  std::vector<JsonPtr> PodsOn(const std::string& node, const std::string& except) const {
    std::vector<JsonPtr> pods;
    for (const ObjectPtr& object : cluster_.cache().List("pods")) {
      const JsonPtr pod = object->json();
      if (object->name() != except && pod->at("spec").value("nodeName", "") == node) pods.push_back(pod);
    }
    return pods;
  }

  // A decision is made on the cluster of its moment, and the node may change while the bind is under way: a bind is
  // held to the rules unless its node has changed since everything was settled.
  void Watch(const Event& event) {
    if (event.type != EventType::kModified) return;
    const Json pod = *event.object->json();
    if (!pod["spec"].contains("nodeName") || event.previous->json()->at("spec").contains("nodeName")) return;
    ++bound_;
    const std::string name = pod["spec"]["nodeName"];
    if (changed_.contains(name)) return;
    const ObjectPtr node = cluster_.cache().Get("nodes", "", name);
    if (node == nullptr) {
      broken_ = event.object->name() + " was bound to no node";
    } else if (!Model::MayCome(pod, *node->json()) ||
               !Model::Room(pod, PodsOn(name, event.object->name()), *node->json())) {
      broken_ = event.object->name() + " was bound against the rules: " + pod.dump() + " to " + node->json()->dump();
    }
  }

  std::mt19937 random_;
  FakeCluster cluster_;
  Scheduler scheduler_;
  std::set<std::string> changed_;  // nodes, since the last settled moment
  std::string broken_;
  int next_pod_ = 0;
  int bound_ = 0;
};

}  // namespace

TEST_CASE("Scheduler property: no rule is ever broken, and nothing that fits is left waiting") {
  spdlog::set_level(spdlog::level::off);  // of the failing binds
  int bound = 0;
  for (uint32_t seed = 1; seed <= 1000; ++seed) {
    World world(seed);
    for (int step = 0; step < 24; ++step) world.Step();
    world.Finish();
    INFO("seed " << seed);
    REQUIRE(world.Broken() == "");
    bound += world.bound();
  }
  spdlog::set_level(spdlog::level::info);
  CHECK(bound > 3000);  // it was not for want of work
}

}  // namespace wherry::testing
