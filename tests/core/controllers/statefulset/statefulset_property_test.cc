// Random histories of a set, planned and played out in memory: no ordinal is ever doubled, an ordered update disturbs
// one ordinal at a time, no claim is lost that should be kept, and once the faults stop the set is whole.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "core/controllers/statefulset/claim_owners.h"
#include "core/controllers/statefulset/statefulset_plan.h"
#include "core/kinds/fields.h"

using namespace wherry;

namespace {

class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    set_.ns = "default";
    set_.name = "web";
    set_.uid = "set";
    set_.replicas = static_cast<int64_t>(Pick(6));
    set_.parallel = Pick(3) == 0;
    if (Pick(4) != 0) set_.claims = {"data"};
    keep_ = Pick(2) == 0;
    ChangeTemplate(false);
    set_.current_revision = update_;
  }

  // Something happens; then the controller gets some say, perhaps only part of it.
  void Step() {
    switch (Pick(13)) {
      case 0:
      case 1:
        set_.replicas = static_cast<int64_t>(Pick(7));
        break;
      case 2:
        if (Pick(4) == 0) set_.start = static_cast<int64_t>(Pick(3));
        break;
      case 3:
      case 4:
        ChangeTemplate(Pick(3) == 0);
        break;
      case 5:
        ChangeStrategy();
        break;
      case 6:
        if (!keep_) set_.delete_claims_when_scaled = Pick(2), set_.delete_claims_with_set = Pick(2);
        break;
      case 7:
        WithPod([](PodState& pod) { pod.view.deleting = true; });
        break;
      case 8:
        WithPod([&](PodState& pod) { End(pod, Pick(4) ? PodView::Phase::kFailed : PodView::Phase::kSucceeded); });
        break;
      case 9:
        WithPod([&](PodState& pod) { SetReady(pod, !pod.view.ready); });
        break;
      case 10:
        CollectClaims();
        break;
      default:
        now_ += std::chrono::seconds(Pick(40));
        break;
    }
    ++set_.generation;
    for (size_t i = 0, n = Pick(4); i < n; ++i) {
      Reconcile();
      for (size_t k = Pick(6); k > 0; --k) AgentStep();
    }
  }

  // The faults stop: a good template, rolled out everywhere, and everything under way ends well.
  void Calm() {
    ChangeTemplate(false);
    set_.on_delete = false;
    set_.partition = 0;
    for (int round = 0; round < 300; ++round) {
      const size_t acts = Reconcile();
      size_t steps = CollectClaims();
      while (AgentStep(true)) ++steps;
      for (auto& [ordinal, pod] : pods_) {
        if (pod.view.phase == PodView::Phase::kRunning && !pod.view.ready && !pod.broken())
          SetReady(pod, true), ++steps;
      }
      if (acts == 0 && steps == 0 && round > 2) return;
      now_ += std::chrono::minutes(16);  // past every back-off and minReadySeconds
    }
    FAIL("it never comes to rest");
  }

  void CheckWhole() {
    REQUIRE(static_cast<int64_t>(pods_.size()) == set_.replicas);
    for (const auto& [ordinal, pod] : pods_) {
      CHECK(set_.InRange(ordinal));
      CHECK(pod.view.revision_hash == update_);
      for (const std::string& claim : set_.claims) CHECK(claims_.contains(set_.ClaimName(claim, ordinal)));
    }
    const StatefulSetStatus status = ObserveStatefulSet(Inputs());
    CHECK(status.available == set_.replicas);
    CHECK(status.current_revision == update_);
    if (!keep_) return;
    for (const auto& [name, made] : claims_made_) {
      CAPTURE(name);
      CHECK(made == 1);
      CHECK(claims_.contains(name));
    }
  }

 private:
  struct PodState {
    std::string name, uid;
    PodView view;
    StatefulPodView stateful;
    bool broken() const { return view.revision_hash.starts_with("broken"); }
  };

  size_t Pick(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  void ChangeTemplate(bool broken) {
    // One of a few templates, so that some changes are undone.
    update_ = (broken ? "broken-" : "good-") + std::to_string(Pick(3));
  }
  void ChangeStrategy() {
    set_.on_delete = Pick(8) == 0;
    set_.partition = Pick(2) ? 0 : static_cast<int64_t>(Pick(5));
    set_.max_unavailable = Pick(2) ? IntOrPercent{1, false} : IntOrPercent{static_cast<int64_t>(1 + Pick(3)), false};
    set_.min_ready = std::chrono::seconds(Pick(2) * Pick(30));
  }
  void WithPod(const std::function<void(PodState&)>& change) {
    if (pods_.empty()) return;
    PodState& pod = std::next(pods_.begin(), static_cast<long>(Pick(pods_.size())))->second;
    if (!pod.view.node_name.empty()) change(pod);
  }
  static void End(PodState& pod, PodView::Phase phase) {
    pod.view.phase = phase;
    pod.view.ready = pod.stateful.stuck = false;
  }
  void SetReady(PodState& pod, bool ready) {
    if (pod.view.phase != PodView::Phase::kRunning || pod.broken()) return;
    if (ready != pod.view.ready) pod.view.ready_since = now_;
    pod.view.ready = ready;
    pod.stateful.stuck = false;
  }

  // One pod gets a little further. False when there is none that can.
  bool AgentStep(bool all = false) {
    if (pods_.empty()) return false;
    auto it = std::next(pods_.begin(), static_cast<long>(Pick(pods_.size())));
    for (size_t i = 0; i < pods_.size(); ++i, ++it) {
      if (it == pods_.end()) it = pods_.begin();
      PodState& pod = it->second;
      if (pod.view.deleting && (all || Pick(2))) {
        pods_.erase(it);
        return true;
      }
      if (pod.view.phase == PodView::Phase::kPending && !pod.view.deleting) {
        pod.view.node_name = "a";
        pod.view.phase = PodView::Phase::kRunning;
        if (all || Pick(4) != 0) SetReady(pod, true);
        return true;
      }
    }
    return false;
  }

  // The garbage collector: claims whose every owner is gone.
  size_t CollectClaims() {
    return std::erase_if(claims_, [&](const auto& claim) {
      if (claim.second.empty()) return false;
      for (const Json& owner : claim.second) {
        if (StringAt(owner, "kind") == "StatefulSet") return false;
        for (const auto& [ordinal, pod] : pods_) {
          if (pod.uid == StringAt(owner, "uid")) return false;
        }
      }
      return true;
    });
  }

  StatefulSetInputs Inputs() {
    StatefulSetInputs in;
    in.set = &set_;
    in.update_revision = update_;
    in.current_revision = set_.current_revision;
    for (const auto& [ordinal, pod] : pods_) {
      in.pods.push_back({pod.name, pod.uid, ordinal, &pod.view, &pod.stateful});
    }
    in.backoff = &backoff_;
    in.claim_leaving = [this](int64_t ordinal) {
      for (const std::string& claim : set_.claims) {
        auto it = claims_.find(set_.ClaimName(claim, ordinal));
        if (it != claims_.end() && ClaimIsLeaving(set_, ordinal, "", it->second)) return true;
      }
      return false;
    };
    in.now = now_;
    return in;
  }
  bool Available(const PodState& pod) const { return !pod.view.deleting && pod.view.Available(set_.min_ready, now_); }
  int64_t Unavailable() const {
    int64_t up = 0;
    for (const auto& [ordinal, pod] : pods_) up += set_.InRange(ordinal) && Available(pod);
    return set_.replicas - up;
  }

  // Plans and acts, looking at every single act. Returns how many there were.
  size_t Reconcile() {
    size_t written = 0;
    for (const auto& [ordinal, pod] : pods_) {
      for (const std::string& claim : set_.claims) {
        auto it = claims_.find(set_.ClaimName(claim, ordinal));
        if (it == claims_.end()) continue;
        Json owners = ClaimOwners(set_, ordinal, {pod.name, pod.uid}, it->second);
        if (owners == it->second) continue;
        for (const Json& owner : owners) {
          if (StringAt(owner, "kind") != "Pod") continue;
          CHECK(set_.delete_claims_when_scaled);
          CHECK_FALSE(set_.InRange(ordinal));
        }
        it->second = std::move(owners);
        ++written;
      }
    }
    const StatefulSetPlan plan = PlanStatefulSet(Inputs());
    for (const int64_t ordinal : plan.raise_backoff) {
      backoff_.Raise(FailedPodBackoff::Key(set_.uid, set_.generation, std::to_string(ordinal)), now_);
    }
    const int64_t unavailable_at_first = Unavailable();
    for (const auto& doomed : plan.deletes) Delete(doomed, unavailable_at_first);
    for (const auto& create : plan.creates) Create(create);
    set_.current_revision = ObserveStatefulSet(Inputs()).current_revision;
    return written + plan.creates.size() + plan.deletes.size();
  }

  void Delete(const StatefulSetPlan::Delete& doomed, int64_t unavailable_at_first) {
    auto it = std::find_if(pods_.begin(), pods_.end(), [&](const auto& pod) { return pod.second.uid == doomed.uid; });
    REQUIRE(it != pods_.end());
    PodState& pod = it->second;
    REQUIRE_FALSE(pod.view.deleting);
    const int64_t ordinal = it->first;
    CAPTURE(ordinal, pod.view.revision_hash, update_);
    if (!set_.InRange(ordinal)) {
      if (!set_.parallel) {
        CHECK(Unavailable() == 0);
        for (const auto& [other, there] : pods_) CHECK((other <= ordinal || set_.InRange(other)));
      }
    } else if (!pod.view.terminal()) {
      // In the range only the update takes a living pod away.
      CHECK_FALSE(set_.on_delete);
      CHECK(ordinal >= set_.update_from());
      CHECK(pod.view.revision_hash != update_);
      if (Available(pod)) {
        if (!set_.parallel) CHECK(unavailable_at_first == 0);
        CHECK(Unavailable() < std::max<int64_t>(1, set_.max_unavailable.RoundedUpOf(set_.replicas)));
        for (const auto& [other, there] : pods_) {  // the highest first
          if (other > ordinal && set_.InRange(other) && Available(there)) CHECK(there.view.revision_hash == update_);
        }
      }
    }
    pod.view.deleting = true;
    if (pod.view.node_name.empty() || pod.view.terminal()) pods_.erase(it);
  }

  void Create(const StatefulSetPlan::Create& create) {
    CAPTURE(create.ordinal);
    CHECK(set_.InRange(create.ordinal));
    REQUIRE_FALSE(pods_.contains(create.ordinal));
    if (!set_.parallel) {
      for (int64_t below = set_.start; below < create.ordinal; ++below) {
        REQUIRE(pods_.contains(below));
        CHECK(Available(pods_.at(below)));
      }
    }
    const bool keeps = !set_.on_delete && create.ordinal < set_.update_from();
    CHECK(create.revision == (keeps ? set_.current_revision : update_));
    for (const std::string& claim : set_.claims) {
      const std::string name = set_.ClaimName(claim, create.ordinal);
      if (claims_.contains(name)) continue;
      claims_[name] = ClaimOwners(set_, create.ordinal, {}, Json());
      ++claims_made_[name];
    }
    PodState made;
    made.name = set_.PodName(create.ordinal);
    made.uid = made.name + "#" + std::to_string(next_++);
    made.view.revision_hash = create.revision;
    made.stateful.stuck = true;  // nothing of it runs yet
    made.stateful.pod_name_label = made.name;
    made.stateful.pod_index_label = std::to_string(create.ordinal);
    pods_[create.ordinal] = std::move(made);
  }

  std::mt19937_64 random_;
  StatefulSetView set_;
  bool keep_ = true;  // claims are never to be deleted in this history
  std::string update_;
  std::map<int64_t, PodState> pods_;
  std::map<std::string, Json> claims_;  // their owners, by name
  std::map<std::string, int> claims_made_;
  FailedPodBackoff backoff_;
  Time now_ = Time(std::chrono::seconds(1'000'000));
  int next_ = 0;
};

}  // namespace

TEST_CASE("Whatever happens, ordinals are never doubled, claims never lost, and the set ends up whole") {
  // WHERRY_SEED=n plays one history again.
  const char* one = std::getenv("WHERRY_SEED");
  const uint64_t first = one ? std::strtoull(one, nullptr, 10) : 1, last = one ? first : 1000;
  for (uint64_t seed = first; seed <= last; ++seed) {
    CAPTURE(seed);
    World world(seed);
    for (int i = 0; i < 40; ++i) world.Step();
    world.Calm();
    world.CheckWhole();
  }
}
