// Random histories of a cluster, planned and played out in memory: whatever happens, the budget holds at every moment,
// no node gets two daemons, and once things calm down exactly the eligible nodes are covered.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>

#include "core/controllers/daemonset/daemonset_plan.h"
#include "core/controllers/daemonset/eligibility.h"

using namespace wherry;

namespace {

class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    set_.ns = "default";
    set_.name = "web";
    set_.uid = "set";
    set_.selects_all = false;
    ChangeTemplate();
    for (size_t i = 0, n = 1 + Pick(6); i < n; ++i) AddNode();
  }

  // Something happens; then the controller gets some say, perhaps only part of it.
  void Step() {
    switch (Pick(14)) {
      case 0:
        AddNode();
        break;
      case 1:
        RemoveNode();
        break;
      case 2:
        Taint("NoSchedule");
        break;
      case 3:
        Taint("NoExecute");
        break;
      case 4:
        Edit([](Json& node) { node["spec"].erase("taints"); });
        break;
      case 5:
        Edit([](Json& node) { node["metadata"]["labels"]["disk"] = "ssd"; });
        break;
      case 6:
        Edit([](Json& node) { node["metadata"].erase("labels"); });
        break;
      case 7:
        ChangeTemplate();
        break;
      case 8:
        ChangeStrategy();
        break;
      case 9:
        WithPod([&](PodView& pod) { pod.deleting = true; });
        break;
      case 10:
        WithPod([&](PodView& pod) { End(pod, PodView::Phase::kFailed); });
        break;
      case 11:
        WithPod([&](PodView& pod) { End(pod, PodView::Phase::kSucceeded); });
        break;
      case 12:
        WithPod([&](PodView& pod) { SetReady(pod, !pod.ready); });
        break;
      default:
        now_ += std::chrono::seconds(Pick(40));
        break;
    }
    for (size_t i = 0, n = Pick(4); i < n; ++i) {
      Reconcile();
      for (size_t k = Pick(6); k > 0; --k) AgentStep();
    }
  }

  // Everything that is under way ends well.
  void Calm() {
    for (int round = 0; round < 200; ++round) {
      const size_t acts = Reconcile();
      size_t steps = 0;
      while (AgentStep(true)) ++steps;
      for (auto& pod : pods_) {
        if (pod.view.phase == PodView::Phase::kRunning && !pod.view.ready) SetReady(pod.view, true), ++steps;
      }
      if (acts == 0 && steps == 0 && round > 2) return;
      now_ += std::chrono::minutes(16);  // past every back-off and minReadySeconds
    }
    FAIL("it never comes to rest");
  }

  void CheckCovered() {
    std::map<std::string, std::vector<const PodView*>> by_node;
    for (const auto& pod : pods_) by_node[pod.view.target_node].push_back(&pod.view);
    int64_t desired = 0;
    for (const auto& [name, node] : nodes_) {
      CAPTURE(name);
      const NodeVerdict verdict = Judge(name);
      const auto& pods = by_node[name];
      if (verdict.should_run) {
        ++desired;
        REQUIRE(pods.size() == 1);
        if (!set_.on_delete) CHECK(pods[0]->revision_hash == hash_);
      } else if (verdict.should_continue) {
        CHECK(pods.size() <= 1);
      } else {
        CHECK(pods.empty());
      }
      by_node.erase(name);
    }
    CHECK(by_node.empty());
    const DaemonSetStatus status = Observe();
    CHECK(status.desired == desired);
    CHECK(status.available == desired);
    if (!set_.on_delete) CHECK(status.updated == desired);
    CHECK(status.why_unavailable == "");
  }

 private:
  struct Pod {
    std::string name;
    PodView view;
  };

  size_t Pick(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  void AddNode() {
    if (nodes_.size() >= 9) return;
    const std::string name = "n" + std::to_string(Pick(12));
    Json node = {{"metadata", {{"name", name}}}, {"spec", Json::object()}};
    if (Pick(2)) node["metadata"]["labels"]["disk"] = "ssd";
    nodes_.emplace(name, std::move(node));
  }
  void RemoveNode() {
    if (nodes_.size() < 2) return;
    const std::string name = std::next(nodes_.begin(), static_cast<long>(Pick(nodes_.size())))->first;
    nodes_.erase(name);
    // The pod garbage collector's part.
    std::erase_if(pods_, [&](const Pod& pod) { return pod.view.node_name == name; });
  }
  void Edit(const std::function<void(Json&)>& change) {
    if (nodes_.empty()) return;
    change(std::next(nodes_.begin(), static_cast<long>(Pick(nodes_.size())))->second);
  }
  void Taint(const char* effect) {
    Edit([&](Json& node) { node["spec"]["taints"] = Json::array({{{"key", "k"}, {"effect", effect}}}); });
  }
  void ChangeTemplate() {
    // One of a few templates, so that some changes are undone.
    const size_t variant = Pick(6);
    hash_ = "hash-" + std::to_string(variant);
    Json spec = Json::object();
    if (variant % 3 == 1) spec["nodeSelector"]["disk"] = "ssd";
    if (variant % 3 == 2) spec["tolerations"] = Json::array({{{"key", "k"}, {"operator", "Exists"}}});
    placement_ = std::make_unique<DaemonPlacement>(Json{{"spec", {{"template", {{"spec", spec}}}}}});
    ++set_.generation;
  }
  void ChangeStrategy() {
    set_.on_delete = Pick(8) == 0;
    const bool surge = Pick(3) == 0;
    const IntOrPercent amount = Pick(2) ? IntOrPercent{static_cast<int64_t>(1 + Pick(3)), false}
                                        : IntOrPercent{static_cast<int64_t>(1 + Pick(60)), true};
    set_.max_unavailable = surge ? IntOrPercent{0} : amount;
    set_.max_surge = surge ? amount : IntOrPercent{0};
    set_.min_ready = std::chrono::seconds(Pick(2) * Pick(30));
    ++set_.generation;
  }
  void WithPod(const std::function<void(PodView&)>& change) {
    if (pods_.empty()) return;
    Pod& pod = pods_[Pick(pods_.size())];
    if (!pod.view.node_name.empty()) change(pod.view);
  }
  void End(PodView& pod, PodView::Phase phase) {
    pod.phase = phase;
    pod.ready = false;
    pod.why = "it has ended";
  }
  void SetReady(PodView& pod, bool ready) {
    if (pod.phase != PodView::Phase::kRunning) return;
    if (ready && !pod.ready) pod.ready_since = now_;
    pod.ready = ready;
    pod.why = ready ? "" : "it is not ready";
  }

  // One pod gets a little further. False when there is none that can.
  bool AgentStep(bool all = false) {
    for (size_t i = 0, from = pods_.empty() ? 0 : Pick(pods_.size()); i < pods_.size(); ++i) {
      const size_t at = (from + i) % pods_.size();
      PodView& pod = pods_[at].view;
      if (pod.deleting && (all || Pick(2))) {
        pods_.erase(pods_.begin() + static_cast<long>(at));
        return true;
      }
      if (pod.node_name.empty() && nodes_.contains(pod.target_node)) {
        pod.node_name = pod.target_node;
        return true;
      }
      if (pod.phase == PodView::Phase::kPending && !pod.node_name.empty()) {
        pod.phase = PodView::Phase::kRunning;
        SetReady(pod, all || Pick(4) != 0);
        return true;
      }
    }
    return false;
  }

  NodeVerdict Judge(const std::string& name) const { return placement_->Judge(NodeView(nodes_.at(name))); }

  DaemonSetInputs Inputs() {
    verdicts_.clear();
    DaemonSetInputs in;
    in.set = &set_;
    in.update_hash = hash_;
    for (const auto& [name, node] : nodes_) in.nodes.push_back({name, &verdicts_.emplace_back(Judge(name))});
    for (const Pod& pod : pods_) in.pods.push_back({pod.name, pod.name, &pod.view});
    in.backoff = &backoff_;
    in.name_taken = [this](const std::string& name) { return Find(name) != pods_.end(); };
    in.now = now_;
    return in;
  }
  DaemonSetStatus Observe() {
    Duration ignored{0};
    return ObserveDaemonSet(Inputs(), &ignored);
  }
  std::deque<Pod>::iterator Find(const std::string& name) {
    return std::find_if(pods_.begin(), pods_.end(), [&](const Pod& pod) { return pod.name == name; });
  }
  bool Available(const PodView& pod) const { return !pod.deleting && pod.Available(set_.min_ready, now_); }

  // Nodes that should run the daemon and have no available pod.
  int64_t Unavailable(int64_t* desired) const {
    int64_t out = 0;
    *desired = 0;
    for (const auto& [name, node] : nodes_) {
      if (!Judge(name).should_run) continue;
      ++*desired;
      const bool up = std::any_of(pods_.begin(), pods_.end(), [&, &n = name](const Pod& pod) {
        return pod.view.node_name == n && Available(pod.view);
      });
      if (!up) ++out;
    }
    return out;
  }

  // Plans and acts, looking at every single act. Returns how many there were.
  size_t Reconcile() {
    const DaemonSetPlan plan = PlanDaemonSet(Inputs());
    for (const std::string& node : plan.raise_backoff) {
      backoff_.Raise(FailedPodBackoff::Key(set_.uid, set_.generation, node), now_);
    }
    for (const auto& doomed : plan.deletes) {
      auto it = Find(doomed.name);
      REQUIRE(it != pods_.end());
      int64_t desired = 0;
      const int64_t before = Unavailable(&desired);
      const bool eligible = nodes_.contains(it->view.target_node) && Judge(it->view.target_node).should_run;
      const bool was_up = Available(it->view);
      const bool was_old = it->view.revision_hash != hash_;
      const size_t here = Live(it->view.target_node);
      it->view.deleting = true;
      if (it->view.node_name.empty() || it->view.terminal()) pods_.erase(it);
      const int64_t after = Unavailable(&desired);
      if (eligible && was_up && here == 1) {
        CHECK(was_old);  // an available pod of the current template is never taken away
        CHECK_FALSE(set_.on_delete);
        CHECK(set_.max_surge.RoundedUpOf(desired) == 0);
        CHECK(after == before + 1);
        CHECK(after <= std::max<int64_t>(1, set_.max_unavailable.RoundedUpOf(desired)));
      }
    }
    for (const auto& create : plan.creates) {
      REQUIRE(nodes_.contains(create.node));
      CHECK(Judge(create.node).should_run);
      size_t live = 0, updated = 0;
      for (const Pod& pod : pods_) {
        if (pod.view.target_node != create.node) continue;
        if (!set_.surges()) CHECK((pod.view.deleting && pod.view.terminal()));
        if (pod.view.deleting) continue;
        ++live;
        if (pod.view.revision_hash == hash_) ++updated;
      }
      CHECK(live <= 1);
      CHECK(updated == 0);
      Pod made;
      made.name = create.name.empty() ? "web-r" + std::to_string(next_++) : create.name;
      REQUIRE(Find(made.name) == pods_.end());
      made.view.target_node = create.node;
      made.view.revision_hash = hash_;
      made.view.created = now_;
      made.view.why = "it is new";
      pods_.push_back(std::move(made));
    }
    return plan.creates.size() + plan.deletes.size();
  }

  size_t Live(const std::string& node) const {
    return static_cast<size_t>(std::count_if(pods_.begin(), pods_.end(), [&](const Pod& pod) {
      return pod.view.target_node == node && !pod.view.deleting;
    }));
  }

  std::mt19937_64 random_;
  DaemonSetView set_;
  std::string hash_;
  std::unique_ptr<DaemonPlacement> placement_;
  std::map<std::string, Json> nodes_;
  std::deque<Pod> pods_;
  std::deque<NodeVerdict> verdicts_;
  FailedPodBackoff backoff_;
  Time now_ = Time(std::chrono::seconds(1'000'000));
  int next_ = 0;
};

}  // namespace

TEST_CASE("Whatever happens, the eligible nodes end up covered and the budget holds") {
  // WHERRY_SEED=n plays one history again.
  const char* one = std::getenv("WHERRY_SEED");
  const uint64_t first = one ? std::strtoull(one, nullptr, 10) : 1, last = one ? first : 1000;
  for (uint64_t seed = first; seed <= last; ++seed) {
    CAPTURE(seed);
    World world(seed);
    for (int i = 0; i < 40; ++i) world.Step();
    world.Calm();
    world.CheckCovered();
  }
}
