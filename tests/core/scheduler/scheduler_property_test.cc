#include <spdlog/spdlog.h>
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "tests/core/scheduler/fake_cluster.h"

namespace wherry::testing {
namespace {

using Pods = std::vector<JsonPtr>;

// A model of the rules, independent of the scheduler's own code and as plain as they are written: one node, its pods,
// one pod more, and for the rules that look further, all nodes and pods. Works on the stored documents.
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
    if (!pod["spec"].contains("affinity") || !pod["spec"]["affinity"].contains("nodeAffinity")) return true;
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
  static bool Room(const Json& pod, const Pods& there, const Json& node) {
    int64_t cpu = Cpu(pod);
    for (const JsonPtr& other : there) {
      cpu += Cpu(*other);
      if (Port(pod) != 0 && Port(pod) == Port(*other)) return false;
    }
    const Json& allocatable = node["status"]["allocatable"];
    return (Cpu(pod) == 0 || cpu <= std::stoll(allocatable["cpu"].get<std::string>())) &&
           there.size() + 1 <= std::stoull(allocatable["pods"].get<std::string>());
  }

  static int Priority(const Json& pod) { return pod["spec"].value("priority", 0); }
  static std::string App(const Json& pod) { return pod["metadata"]["labels"].value("app", ""); }
  static bool Deleting(const Json& pod) { return pod["metadata"].contains("deletionTimestamp"); }
  static std::string NodeOf(const Json& pod) { return pod["spec"].value("nodeName", ""); }
  // The one term of that sort, as {app, topologyKey}; absent when there is none.
  static std::optional<std::pair<std::string, std::string>> Term(const Json& pod, const char* sort) {
    if (!pod["spec"].contains("affinity") || !pod["spec"]["affinity"].contains(sort)) return std::nullopt;
    const Json& term = pod["spec"]["affinity"][sort]["requiredDuringSchedulingIgnoredDuringExecution"][0];
    return std::pair(term["labelSelector"]["matchLabels"]["app"].get<std::string>(),
                     term["topologyKey"].get<std::string>());
  }
};

// Everything there is, for the rules that look beyond one node.
struct Whole {
  std::map<std::string, Json> nodes;
  Pods pods;  // on nodes that exist

  std::string Domain(const std::string& node, const std::string& key) const {
    return nodes.at(node)["metadata"]["labels"].value(key, "");
  }
  Pods On(const std::string& node) const {
    Pods there;
    for (const JsonPtr& pod : pods) {
      if (Model::NodeOf(*pod) == node) there.push_back(pod);
    }
    return there;
  }
  Whole Without(const std::function<bool(const Json&)>& gone) const {
    Whole rest = *this;
    std::erase_if(rest.pods, [&](const JsonPtr& pod) { return gone(*pod); });
    return rest;
  }

  bool Affine(const Json& pod, const std::string& node) const {
    const auto near = Model::Term(pod, "podAffinity");
    const auto far = Model::Term(pod, "podAntiAffinity");
    bool any = false;
    bool close = false;
    for (const JsonPtr& other : pods) {
      const std::string place = Model::NodeOf(*other);
      auto together = [&](const std::string& key) { return Domain(place, key) == Domain(node, key); };
      if (near && Model::App(*other) == near->first) {
        any = true;
        close = close || together(near->second);
      }
      if (far && Model::App(*other) == far->first && together(far->second)) return false;
      const auto theirs = Model::Term(*other, "podAntiAffinity");
      if (theirs && Model::App(pod) == theirs->first && together(theirs->second)) return false;
    }
    return !near || close || (!any && Model::App(pod) == near->first);
  }

  bool SpreadEvenly(const Json& pod, const std::string& node) const {
    for (const Json& constraint : pod["spec"].value("topologySpreadConstraints", Json::array())) {
      const std::string key = constraint["topologyKey"];
      std::map<std::string, int> counts;
      for (const auto& [name, document] : nodes) {
        if (Model::Selected(pod, document)) counts.try_emplace(Domain(name, key), 0);
      }
      for (const JsonPtr& other : pods) {
        const std::string place = Model::NodeOf(*other);
        if (Model::Deleting(*other) || Model::App(*other) != Model::App(pod)) continue;
        if (Model::Selected(pod, nodes.at(place))) ++counts[Domain(place, key)];
      }
      int least = std::numeric_limits<int>::max();
      for (const auto& [domain, count] : counts) least = std::min(least, count);
      if (counts[Domain(node, key)] + 1 - least > constraint["maxSkew"].get<int>()) return false;
    }
    return true;
  }

  bool Fits(const Json& pod, const std::string& node) const {
    return Model::MayCome(pod, nodes.at(node)) && Model::Room(pod, On(node), nodes.at(node)) && Affine(pod, node) &&
           SpreadEvenly(pod, node);
  }
};

class World {
 public:
  explicit World(uint32_t seed) : random_(seed), cluster_(seed), scheduler_(cluster_.context(), {}) {
    // Every bind is checked at the moment it happens, against the cluster as it then is.
    cluster_.events().AddHandler("pods", [this](const Event& event) { Watch(event); });
    // Pods of app a may not be disturbed; those of b are counted but free.
    for (const auto& [app, allowed] : {std::pair("a", 0), std::pair("b", 1000)}) {
      cluster_.Put({{"kind", "PodDisruptionBudget"},
                    {"metadata", {{"name", app}, {"namespace", "default"}, {"uid", std::string("uid-pdb-") + app}}},
                    {"spec", {{"selector", {{"matchLabels", {{"app", app}}}}}}},
                    {"status", {{"disruptionsAllowed", allowed}}}});
    }
    scheduler_.Start();
  }

  void Step() {
    const int kind = Below(10);
    before_ = settled_ && kind >= 3 && kind < 8 ? Still() : std::nullopt;
    settled_ = false;
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
    if (Below(3) == 0 && EndOne()) before_.reset();
    switch (Below(4)) {
      case 0:
      case 2:
        Settle();
        break;
      case 1:
        disturbed_ = true;
        before_.reset();
        cluster_.Turn(1 + Below(4));
        break;  // the world goes on while binds are under way
      default:
        break;
    }
    CheckEvictions();
    if (Below(20) == 0) cluster_.bind_answers.push_back(Status::Internal("disk full"));
  }

  void Finish() {
    cluster_.bind_answers.clear();
    Settle();
    cluster_.Advance(std::chrono::seconds(11));  // retries of failed binds; far from the five-minute net
    for (int i = 0; i < 100 && EndOne(); ++i) Settle();
    CheckEvictions();
  }

  // "" when every rule holds; else what does not.
  std::string Broken() {
    if (!broken_.empty()) return broken_;
    if (auto inconsistency = scheduler_.snapshot().Inconsistency(); !inconsistency.empty()) return inconsistency;
    const Whole whole = Everything();
    for (const ObjectPtr& object : cluster_.cache().List("pods")) {
      const JsonPtr pod = object->json();
      if (pod->at("spec").contains("nodeName")) continue;
      const Whole without_lower =
          whole.Without([&](const Json& other) { return Model::Priority(other) < Model::Priority(*pod); });
      for (const auto& [node, document] : whole.nodes) {
        if (whole.Fits(*pod, node)) return object->name() + " waits but fits " + node + Describe(whole, *pod);
        if (pod->at("spec").contains("preemptionPolicy") || whole.On(node).size() == without_lower.On(node).size())
          continue;
        const Whole made = whole.Without([&](const Json& other) {
          return Model::NodeOf(other) == node && Model::Priority(other) < Model::Priority(*pod);
        });
        // Evictions on the node do not make an affinity come true that it could not give before.
        if (made.Fits(*pod, node) && !AffinityMissing(whole, *pod, node)) {
          return object->name() + " waits but could make room on " + node + Describe(whole, *pod);
        }
      }
    }
    return "";
  }
  int evicted() const { return evicted_; }
  // What the scheduler told, for whoever looks into a failure.
  std::string Story() const {
    std::string text;
    for (const std::string& line : cluster_.told) text += line + "\n";
    return text;
  }
  int bound() const { return bound_; }
  int checked() const { return checked_; }
  int budgets_checked() const { return budgets_checked_; }
  int budgets_broken() const { return budgets_broken_; }

 private:
  void Settle() {
    if (!cluster_.bind_answers.empty()) disturbed_ = true;
    cluster_.Settle();
    changed_.clear();
    disturbed_ = false;
    settled_ = true;
  }

  // The world at rest: nobody on the way out, no room held for anybody; absent when it is not so.
  std::optional<Whole> Still() const {
    for (const ObjectPtr& pod : cluster_.cache().List("pods")) {
      const JsonPtr document = pod->json();
      if (Model::Deleting(*document)) return std::nullopt;
      if (Model::NodeOf(*document).empty() && document->value("status", Json::object()).contains("nominatedNodeName")) {
        return std::nullopt;
      }
    }
    return Everything();
  }

  // One pod that was told to go ends. False when there is none.
  bool EndOne() {
    for (const ObjectPtr& pod : cluster_.cache().List("pods")) {
      if (!Model::Deleting(*pod->json())) continue;
      cluster_.RemovePod(pod->name());
      return true;
    }
    return false;
  }

  Whole Everything() const {
    Whole whole;
    for (const ObjectPtr& node : cluster_.cache().List("nodes")) whole.nodes.emplace(node->name(), *node->json());
    for (const ObjectPtr& pod : cluster_.cache().List("pods")) {
      const JsonPtr document = pod->json();
      if (whole.nodes.contains(Model::NodeOf(*document))) whole.pods.push_back(document);
    }
    return whole;
  }

  static std::string Describe(const Whole& whole, const Json& waiting) {
    std::string text = "\n" + waiting.dump();
    for (const auto& [name, node] : whole.nodes) {
      text += "\n" + name + " " + node["metadata"]["labels"].dump() + node["spec"].dump() + node["status"].dump();
      for (const JsonPtr& pod : whole.On(name)) text += "\n  " + (*pod)["metadata"].dump() + (*pod)["spec"].dump();
    }
    return text;
  }

  static bool AffinityMissing(const Whole& whole, const Json& pod, const std::string& node) {
    Json only = pod;
    only["spec"]["affinity"].erase("podAntiAffinity");
    Whole calm = whole;
    for (JsonPtr& other : calm.pods) {
      Json bare = *other;
      if (bare["spec"].contains("affinity")) bare["spec"]["affinity"].erase("podAntiAffinity");
      other = std::make_shared<const Json>(std::move(bare));
    }
    return !calm.Affine(only, node);
  }

  // Nobody is evicted for a pod that is not more important, or that must not evict.
  void CheckEvictions() {
    for (; told_ < cluster_.told.size(); ++told_) {
      const std::string& text = cluster_.told[told_];
      const std::string kBy = ": Preempted by pod uid-";
      const size_t by = text.find(kBy);
      if (by == std::string::npos) continue;
      ++evicted_;
      const std::string victim = text.substr(std::string("Normal Preempted ").size(), by - 17);
      std::string preemptor = text.substr(by + kBy.size());
      preemptor.resize(preemptor.find(' '));
      if (made_.at(victim).first >= made_.at(preemptor).first || made_.at(preemptor).second) broken_ = text;
      CheckBudget(text, victim, preemptor);
    }
  }

  // A budget is gone against only when no node has room without that. Looked at where one pod came to a world at rest.
  void CheckBudget(const std::string& text, const std::string& victim, const std::string& preemptor) {
    if (!before_ || preemptor != "p" + std::to_string(next_pod_ - 1)) return;
    const ObjectPtr object = cluster_.cache().Get("pods", "default", preemptor);
    if (!object) return;
    const Json pod = *object->json();
    // What is near or even may need the very pods that are in the way.
    if (Model::Term(pod, "podAffinity") || pod["spec"].contains("topologySpreadConstraints")) return;
    const auto lower_without_budget = [&](const Json& other) {
      return Model::Priority(other) < Model::Priority(pod) && Model::App(other) != "a";
    };
    ++budgets_checked_;
    const auto was = std::find_if(before_->pods.begin(), before_->pods.end(),
                                  [&](const JsonPtr& other) { return (*other)["metadata"]["name"] == victim; });
    if (was == before_->pods.end() || Model::App(**was) != "a") return;
    ++budgets_broken_;
    for (const auto& [node, document] : before_->nodes) {
      const Whole made = before_->Without(
          [&](const Json& other) { return Model::NodeOf(other) == node && lower_without_budget(other); });
      if (made.Fits(pod, node)) broken_ = text + ": against its budget, with room to be made on " + node;
    }
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
    pod["metadata"]["labels"]["app"] = RandomApp();
    if (Below(5) == 0) pod["spec"]["affinity"]["podAntiAffinity"] = RandomTerm();
    if (Below(6) == 0) pod["spec"]["affinity"]["podAffinity"] = RandomTerm();
    if (Below(5) == 0) {
      pod["spec"]["topologySpreadConstraints"] = {{{"maxSkew", 1 + Below(2)},
                                                   {"topologyKey", RandomKey()},
                                                   {"whenUnsatisfiable", "DoNotSchedule"},
                                                   {"labelSelector", {{"matchLabels", pod["metadata"]["labels"]}}}}};
    }
    if (Below(5) == 0) pod["spec"]["preemptionPolicy"] = "Never";
    made_[name] = {Model::Priority(pod), pod["spec"].contains("preemptionPolicy")};
    if (Below(8) == 0) {
      const std::string node = "n" + std::to_string(Below(5));
      pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] = {
          {{"matchFields", {{{"key", "metadata.name"}, {"operator", "In"}, {"values", {node}}}}}}};
    }
    return pod;
  }

  std::string RandomApp() { return std::string(1, static_cast<char>('a' + Below(3))); }
  std::string RandomKey() { return Below(2) == 0 ? "zone" : "kubernetes.io/hostname"; }
  Json RandomTerm() {
    return {{"requiredDuringSchedulingIgnoredDuringExecution",
             {{{"labelSelector", {{"matchLabels", {{"app", RandomApp()}}}}}, {"topologyKey", RandomKey()}}}}};
  }

  // A decision is made on the cluster of its moment, and the node may change while the bind is under way: a bind is
  // held to the rules unless its node has changed since everything was settled; to those that look beyond the node,
  // unless anything else went away or the world moved on without waiting.
  void Watch(const Event& event) {
    if (event.type == EventType::kDeleted) disturbed_ = true;
    if (event.type != EventType::kModified) return;
    const Json pod = *event.object->json();
    if (Model::Deleting(pod)) disturbed_ = true;
    if (!pod["spec"].contains("nodeName") || event.previous->json()->at("spec").contains("nodeName")) return;
    ++bound_;
    const std::string name = pod["spec"]["nodeName"];
    if (changed_.contains(name)) return;
    const ObjectPtr node = cluster_.cache().Get("nodes", "", name);
    const Whole before =
        Everything().Without([&](const Json& other) { return other["metadata"]["name"] == pod["metadata"]["name"]; });
    if (node == nullptr) {
      broken_ = event.object->name() + " was bound to no node";
    } else if (!Model::MayCome(pod, *node->json()) || !Model::Room(pod, before.On(name), *node->json())) {
      broken_ = event.object->name() + " was bound against the rules: " + pod.dump() + " to " + node->json()->dump();
    } else if (!disturbed_ && changed_.empty()) {
      ++checked_;
      if (!before.Affine(pod, name)) broken_ = event.object->name() + " was bound against an affinity: " + pod.dump();
      if (!before.SpreadEvenly(pod, name)) broken_ = event.object->name() + " was bound unevenly: " + pod.dump();
    }
  }

  std::mt19937 random_;
  FakeCluster cluster_;
  Scheduler scheduler_;
  std::set<std::string> changed_;                     // nodes, since the last settled moment
  std::map<std::string, std::pair<int, bool>> made_;  // pods by name: their priority, and whether they never evict
  bool disturbed_ = false;                            // since the last settled moment
  bool settled_ = false;
  std::optional<Whole> before_;  // the world at rest to which a pod was then added, and nothing else
  int budgets_checked_ = 0;      // evictions that were held to the budgets …
  int budgets_broken_ = 0;       // … and those of them that had to go against one
  std::string broken_;
  size_t told_ = 0;
  int evicted_ = 0;
  int checked_ = 0;
  int next_pod_ = 0;
  int bound_ = 0;
};

}  // namespace

TEST_CASE("Scheduler property: no rule is ever broken, and nothing that fits is left waiting") {
  spdlog::set_level(spdlog::level::off);  // of the failing binds
  int bound = 0;
  int checked = 0;
  int evicted = 0;
  int budgets_checked = 0;
  int budgets_broken = 0;
  for (uint32_t seed = 1; seed <= 1000; ++seed) {
    World world(seed);
    for (int step = 0; step < 24; ++step) world.Step();
    world.Finish();
    INFO("seed " << seed);
    const std::string broken = world.Broken();
    INFO(world.Story());
    REQUIRE(broken == "");
    bound += world.bound();
    checked += world.checked();
    evicted += world.evicted();
    budgets_checked += world.budgets_checked();
    budgets_broken += world.budgets_broken();
  }
  spdlog::set_level(spdlog::level::info);
  // It was not for want of work.
  CHECK(bound > 3000);
  CHECK(checked > 400);
  CHECK(evicted > 300);
  CHECK(budgets_checked > 50);
  CHECK(budgets_broken > 5);
}

}  // namespace wherry::testing
