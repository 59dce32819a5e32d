#include "core/controllers/deployment/deployment_plan.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

namespace wherry {
namespace {

bool IsOlder(const RolloutSet& a, const RolloutSet& b) {
  return std::tie(a.view->created, a.name) < std::tie(b.view->created, b.name);
}

class RolloutPlanner {
 public:
  explicit RolloutPlanner(const DeploymentInputs& inputs)
      : in_(inputs), deployment_(*inputs.deployment), old_(inputs.old) {
    std::sort(old_.begin(), old_.end(), IsOlder);
    all_ = old_;
    if (in_.newest) all_.push_back(*in_.newest);
  }

  DeploymentPlan Run() {
    if (deployment_.paused || WasScaled()) {
      plan_.resizing = true;
      Resize();
      if (deployment_.paused) TrimHistory();
    } else if (deployment_.recreate) {
      Recreate();
    } else {
      Roll();
    }
    return std::move(plan_);
  }

 private:
  // ---- size

  // True while a live ReplicaSet was last sized for another number of replicas.
  bool WasScaled() const {
    return std::any_of(all_.begin(), all_.end(), [&](const RolloutSet& set) {
      return set.view->replicas > 0 && set.view->desired && *set.view->desired != deployment_.replicas;
    });
  }

  void Resize() {
    std::vector<RolloutSet> live;
    for (const RolloutSet& set : all_) {
      if (set.view->replicas > 0) live.push_back(set);
    }
    if (live.size() <= 1) {
      // The only live one, or the latest of those at rest.
      if (live.empty() && in_.newest) live.push_back(*in_.newest);
      if (live.empty() && !old_.empty()) live.push_back(old_.back());
      if (live.empty()) return;
      std::vector<int64_t> sizes{deployment_.replicas};
      LeaveRoom(live, sizes);
      return ScaleTo(live.front(), sizes.front());
    }
    if (IsSaturated()) {
      for (const RolloutSet& set : live) {
        if (set.name != in_.newest->name) ScaleTo(set, 0);
      }
      return;
    }
    if (deployment_.recreate) {
      // What is old is on its way out; the new size is for the one that comes.
      for (const RolloutSet& set : live) ScaleTo(set, set.view->replicas);
      return;
    }
    // A pause alone adds nothing, even where the surge has room left.
    if (WasScaled()) ResizeInProportion(std::move(live));
  }

  // True when the newest has all the pods, available, and knows the present size.
  bool IsSaturated() const {
    if (!in_.newest) return false;
    const RolloutSetView& set = *in_.newest->view;
    return set.replicas == deployment_.replicas && set.desired == deployment_.replicas &&
           set.available == deployment_.replicas;
  }

  // In the middle of a rollout every live ReplicaSet gets its share of the change, the largest what rounding leaves:
  // that spreads the risk of a new template as it was spread before.
  void ResizeInProportion(std::vector<RolloutSet> live) {
    const int64_t allowed = deployment_.replicas > 0 ? deployment_.replicas + deployment_.Surge() : 0;
    const int64_t to_add = allowed - Total(live);
    std::sort(live.begin(), live.end(), [&](const RolloutSet& a, const RolloutSet& b) {
      if (a.view->replicas != b.view->replicas) return a.view->replicas > b.view->replicas;
      return to_add > 0 ? IsOlder(b, a) : IsOlder(a, b);
    });
    std::vector<int64_t> sizes;
    int64_t added = 0;
    for (const RolloutSet& set : live) {
      const int64_t share = ShareOf(*set.view, to_add, added);
      sizes.push_back(set.view->replicas + share);
      added += share;
    }
    sizes.front() = std::max<int64_t>(0, sizes.front() + to_add - added);
    KeepServing(live, sizes);
    LeaveRoom(live, sizes);
    for (size_t i = 0; i < live.size(); ++i) ScaleTo(live[i], sizes[i]);
  }

  int64_t ShareOf(const RolloutSetView& set, int64_t to_add, int64_t added) const {
    const int64_t left = to_add - added;
    if (set.replicas == 0 || left == 0) return 0;
    return to_add > 0 ? std::min(FractionOf(set), left) : std::max(FractionOf(set), left);
  }

  // How much of the change falls to a set, by what the Deployment's maximum was when the set was last sized.
  int64_t FractionOf(const RolloutSetView& set) const {
    if (deployment_.replicas == 0) return -set.replicas;
    int64_t before = set.max_replicas.value_or(0);
    if (before == 0) before = deployment_.counters.replicas;
    if (before == 0) return 0;
    const double size =
        static_cast<double>(set.replicas * (deployment_.replicas + deployment_.Surge())) / static_cast<double>(before);
    return static_cast<int64_t>(size < 0 ? size - 0.5 : size + 0.5) - set.replicas;
  }

  // Pods that a ReplicaSet has yet to take away still count: what would not fit beside them grows later.
  void LeaveRoom(const std::vector<RolloutSet>& live, std::vector<int64_t>& sizes) const {
    int64_t excess = -(deployment_.replicas + deployment_.Surge());
    for (const RolloutSet& set : all_) {
      const auto at = std::find_if(live.begin(), live.end(), [&](const RolloutSet& l) { return l.name == set.name; });
      const int64_t size = at == live.end() ? set.view->replicas : sizes[static_cast<size_t>(at - live.begin())];
      excess += std::max(size, set.view->actual);
    }
    for (size_t i = 0; i < live.size() && excess > 0; ++i) {
      const int64_t growth = sizes[i] - std::max(live[i].view->replicas, live[i].view->actual);
      const int64_t less = std::clamp<int64_t>(growth, 0, excess);
      sizes[i] -= less;
      excess -= less;
    }
  }

  // Beyond upstream: when shrinking in proportion would take away pods that serve while keeping ones that do not, and
  // leave fewer than the budget allows, those that do not serve go instead.
  void KeepServing(const std::vector<RolloutSet>& live, std::vector<int64_t>& sizes) const {
    int64_t serving = 0, kept = 0;
    for (size_t i = 0; i < live.size(); ++i) {
      serving += live[i].view->SureAvailable();
      kept += live[i].view->KeptAt(sizes[i]);
    }
    const int64_t needed = std::min(serving, deployment_.replicas - deployment_.Unavailable());
    for (size_t to = 0; to < live.size() && kept < needed; ++to) {
      for (size_t from = 0; from < live.size() && kept < needed; ++from) {
        if (from == to) continue;
        while (kept < needed && sizes[from] > 0 && sizes[to] < live[to].view->replicas) {
          const RolloutSetView &giver = *live[from].view, &taker = *live[to].view;
          const int64_t loss = giver.KeptAt(sizes[from]) - giver.KeptAt(sizes[from] - 1);
          const int64_t gain = taker.KeptAt(sizes[to] + 1) - taker.KeptAt(sizes[to]);
          if (loss > 0 || (gain == 0 && taker.KeptAt(sizes[to] + 1) == taker.SureAvailable())) break;
          --sizes[from];
          ++sizes[to];
          kept += gain;
        }
      }
    }
  }

  // ---- Recreate

  void Recreate() {
    bool scaled = false;
    for (const RolloutSet& set : old_) {
      if (set.view->replicas > 0) ScaleTo(set, 0), scaled = true;
    }
    if (scaled || in_.old_pods_left) return;
    const bool going = std::any_of(old_.begin(), old_.end(), [](const RolloutSet& set) {
      return set.view->actual > 0;  // perhaps not for long, but that is for its status to say
    });
    if (going) return;
    if (!in_.newest) {
      plan_.create = deployment_.replicas;
      return;
    }
    ScaleIfOther(*in_.newest, deployment_.replicas);
    TrimIfComplete();
  }

  // ---- RollingUpdate

  void Roll() {
    if (!in_.newest) {
      plan_.create = NewSize(0);
      return;
    }
    const RolloutSetView& newest = *in_.newest->view;
    const int64_t size = newest.replicas > deployment_.replicas ? deployment_.replicas : NewSize(newest.replicas);
    if (ScaleIfOther(*in_.newest, size)) return;
    if (ShrinkOld()) return;
    TrimIfComplete();
  }

  // How large the newest may be by what surge leaves room for. Pods that a ReplicaSet has yet to take away still
  // count.
  int64_t NewSize(int64_t size) const {
    int64_t pods = 0;
    for (const RolloutSet& set : all_) pods += std::max(set.view->replicas, set.view->actual);
    const int64_t room = deployment_.replicas + deployment_.Surge() - pods;
    return size + std::max<int64_t>(0, std::min(room, deployment_.replicas - size));
  }

  // Old ReplicaSets shrink: by their pods that are not ready first, which costs nothing, then by as many available ones
  // as the budget allows. Pods of the newest that are not available yet use up the budget.
  bool ShrinkOld() {
    if (Total(old_) == 0) return false;
    const RolloutSetView& newest = *in_.newest->view;
    const int64_t least = deployment_.replicas - deployment_.Unavailable();
    int64_t unhealthy_left = Total(all_) - least - (newest.replicas - newest.SureAvailable());
    if (unhealthy_left <= 0) return false;

    std::vector<int64_t> sizes;
    int64_t available = newest.SureAvailable();
    for (const RolloutSet& set : old_) {
      const int64_t unhealthy =
          std::clamp<int64_t>(set.view->replicas - set.view->SureReady(), 0, std::max<int64_t>(0, unhealthy_left));
      unhealthy_left -= unhealthy;
      sizes.push_back(set.view->replicas - unhealthy);
      available += set.view->SureAvailable();
    }
    int64_t spare = available - least;
    bool shrunk = false;
    for (size_t i = 0; i < old_.size(); ++i) {
      const int64_t more = std::clamp<int64_t>(spare, 0, sizes[i]);
      spare -= more;
      shrunk |= ScaleIfOther(old_[i], sizes[i] - more);
    }
    return shrunk;
  }

  // ---- the rest

  void TrimIfComplete() {
    if (IsComplete(deployment_, CountReplicas(in_))) TrimHistory();
  }

  void TrimHistory() {
    if (!deployment_.history_limit) return;
    std::vector<RolloutSet> kept = old_;
    std::erase_if(kept, [](const RolloutSet& set) { return set.view->deleting; });
    int64_t surplus = static_cast<int64_t>(kept.size()) - *deployment_.history_limit;
    std::stable_sort(kept.begin(), kept.end(),
                     [](const RolloutSet& a, const RolloutSet& b) { return a.view->revision < b.view->revision; });
    for (const RolloutSet& set : kept) {
      if (surplus-- <= 0) return;
      // Never one with pods, or whose status may not tell of them yet.
      if (set.view->actual != 0 || set.view->replicas != 0 || !set.view->observed) continue;
      plan_.removals.emplace_back(set.name);
    }
  }

  static int64_t Total(const std::vector<RolloutSet>& sets) {
    int64_t total = 0;
    for (const RolloutSet& set : sets) total += set.view->replicas;
    return total;
  }

  // Also brings the annotations that tell the size up to date.
  void ScaleTo(const RolloutSet& set, int64_t size) {
    const int64_t most = deployment_.replicas + deployment_.Surge();
    if (set.view->replicas == size && set.view->desired == deployment_.replicas && set.view->max_replicas == most)
      return;
    plan_.scales.push_back({std::string(set.name), set.view->replicas, size});
  }
  bool ScaleIfOther(const RolloutSet& set, int64_t size) {
    if (set.view->replicas == size) return false;
    plan_.scales.push_back({std::string(set.name), set.view->replicas, size});
    return true;
  }

  const DeploymentInputs& in_;
  const DeploymentView& deployment_;
  std::vector<RolloutSet> old_, all_;  // oldest first; the newest is the last of all_
  DeploymentPlan plan_;
};

}  // namespace

DeploymentPlan PlanDeployment(const DeploymentInputs& inputs) { return RolloutPlanner(inputs).Run(); }

bool IsComplete(const DeploymentView& deployment, const DeploymentCounters& counters) {
  return counters.updated == deployment.replicas && counters.replicas == deployment.replicas &&
         counters.available == deployment.replicas;
}

DeploymentCounters CountReplicas(const DeploymentInputs& inputs) {
  DeploymentCounters out;
  int64_t wanted = 0;
  auto count = [&](const RolloutSetView& set) {
    wanted += set.replicas;
    out.replicas += set.actual;
    out.ready += set.ready;
    out.available += set.available;
    out.terminating += set.terminating;
  };
  for (const RolloutSet& set : inputs.old) count(*set.view);
  if (inputs.newest) {
    count(*inputs.newest->view);
    out.updated = inputs.newest->view->actual;
  }
  out.unavailable = std::max<int64_t>(0, wanted - out.available);
  return out;
}

}  // namespace wherry
