#include "core/controllers/statefulset/statefulset_plan.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

namespace wherry {
namespace {

class StatefulSetPlanner {
 public:
  explicit StatefulSetPlanner(const StatefulSetInputs& inputs) : in_(inputs), set_(*inputs.set) {
    for (const StatefulPod& pod : in_.pods) by_ordinal_[pod.ordinal] = &pod;
  }

  StatefulSetPlan Run() {
    for (const auto& [ordinal, pod] : by_ordinal_) KeepIdentity(*pod);
    const bool settled = Fill();
    if (set_.parallel || settled) {
      const bool shrinking = Shrink();
      if (!set_.on_delete && (set_.parallel || !shrinking)) Roll();
    } else if (!set_.on_delete && plan_.creates.empty() && plan_.deletes.empty()) {
      Unblock();
    }
    return std::move(plan_);
  }

 private:
  void KeepIdentity(const StatefulPod& pod) {
    if (pod.view->deleting) return;
    if (pod.stateful->pod_name_label != pod.name || pod.stateful->pod_index_label != std::to_string(pod.ordinal)) {
      plan_.relabel.emplace_back(pod.name);
    }
  }

  // A pod for every ordinal of the range. True when all are there and available. In order, nothing is done past the
  // first ordinal that is not.
  bool Fill() {
    bool settled = true;
    for (int64_t ordinal = set_.start; ordinal < set_.end(); ++ordinal) {
      if (plan_.creates.size() >= kStatefulSetBurst) {
        LookAgainIn(Duration(1));
        return false;
      }
      if (FillOne(ordinal)) continue;
      settled = false;
      if (!set_.parallel) break;
    }
    return settled;
  }

  bool FillOne(int64_t ordinal) {
    auto it = by_ordinal_.find(ordinal);
    if (it == by_ordinal_.end()) {
      if (in_.claim_leaving && in_.claim_leaving(ordinal)) {
        WaitFor(ordinal, "a claim of its predecessor is still being deleted");
      } else {
        plan_.creates.push_back({ordinal, WantedRevision(ordinal)});
      }
      return false;
    }
    const StatefulPod& pod = *it->second;
    if (pod.view->terminal() && !pod.view->deleting) {
      ReplaceEnded(pod);
      return false;
    }
    if (Available(pod)) return true;
    if (pod.view->ready && !pod.view->deleting) {
      LookAgainIn(pod.view->ready_since + set_.min_ready - in_.now);
      WaitFor(ordinal, "it has not been ready for minReadySeconds yet");
    } else {
      WaitFor(ordinal, pod.view->deleting ? "the pod is terminating" : pod.view->why);
    }
    return false;
  }

  // Its successor comes once it is gone. A pod that keeps ending is replaced ever more slowly.
  void ReplaceEnded(const StatefulPod& pod) {
    const std::string key = FailedPodBackoff::Key(set_.uid, set_.generation, std::to_string(pod.ordinal));
    const Duration wait = in_.backoff ? in_.backoff->Remaining(key, in_.now) : Duration::zero();
    WaitFor(pod.ordinal, pod.view->why);
    if (wait > Duration::zero()) return LookAgainIn(wait);
    plan_.raise_backoff.push_back(pod.ordinal);
    const bool failed = pod.view->phase == PodView::Phase::kFailed;
    const std::string what = "StatefulSet " + set_.ns + "/" + set_.name + " is recreating ";
    plan_.notices.push_back({failed ? "Warning" : "Normal", failed ? "RecreatingFailedPod" : "RecreatingTerminatedPod",
                             (what + (failed ? "failed Pod " : "terminated Pod ")).append(pod.name)});
    Delete(pod);
  }

  // Pods outside the range go, the highest first; in order, one at a time. True when there are any.
  bool Shrink() {
    bool any = false;
    for (auto it = by_ordinal_.rbegin(); it != by_ordinal_.rend(); ++it) {
      const StatefulPod& pod = *it->second;
      if (set_.InRange(pod.ordinal)) continue;
      any = true;
      if (pod.view->deleting) {
        WaitFor(pod.ordinal, "the pod is terminating");
      } else if (plan_.deletes.size() < kStatefulSetBurst) {
        Delete(pod);
      } else {
        LookAgainIn(Duration(1));
      }
      if (!set_.parallel) break;
    }
    return any;
  }

  // Old pods go, the highest ordinal first, while no more than the budget are unavailable.
  void Roll() {
    const int64_t budget = std::max<int64_t>(1, set_.max_unavailable.RoundedUpOf(set_.replicas));
    int64_t unavailable = Unavailable();
    bool in_order = true;  // everything above is up to date and available
    for (auto it = by_ordinal_.rbegin(); it != by_ordinal_.rend(); ++it) {
      const StatefulPod& pod = *it->second;
      if (pod.ordinal < set_.update_from()) break;
      if (!set_.InRange(pod.ordinal)) continue;
      if (pod.view->deleting || Deleted(pod)) {
        in_order = false;
      } else if (!Stale(pod)) {
        in_order &= Available(pod);
      } else if (!Available(pod)) {
        // It does not serve, and the budget is charged for it already.
        if (MayReplace(pod, unavailable, in_order)) Delete(pod);
        in_order = false;
      } else {
        in_order = false;
        if (unavailable >= budget || plan_.deletes.size() >= kStatefulSetBurst) continue;
        ++unavailable;
        Delete(pod);
      }
    }
  }

  // In order, Fill waits for the first pod that is not available. It must not wait for one of an old template that will
  // never be: applying a good template repairs a broken rollout (upstream waits for ever: kubernetes issue 67250).
  void Unblock() {
    const int64_t unavailable = Unavailable();
    bool in_order = true;
    for (auto it = by_ordinal_.rbegin(); it != by_ordinal_.rend(); ++it) {
      const StatefulPod& pod = *it->second;
      if (pod.ordinal < set_.update_from()) return;
      if (!set_.InRange(pod.ordinal)) continue;
      if (pod.view->deleting) return;  // one at a time
      if (Available(pod)) {
        in_order &= !Stale(pod);
      } else {
        if (Stale(pod) && !pod.view->terminal() && MayReplace(pod, unavailable, in_order)) return Delete(pod);
        in_order = false;
      }
    }
  }

  // An old pod that does not serve: certainly when it is stuck; one that may only be busy when it is the next in order
  // and the one pod that is down.
  bool MayReplace(const StatefulPod& pod, int64_t unavailable, bool in_order) const {
    return pod.stateful->stuck || (in_order && unavailable <= 1);
  }

  // Ordinals of the range without an available pod that stays.
  int64_t Unavailable() const {
    int64_t up = 0;
    for (const auto& [ordinal, pod] : by_ordinal_) {
      if (set_.InRange(ordinal) && Available(*pod) && !Deleted(*pod)) ++up;
    }
    return set_.replicas - up;
  }

  const std::string& WantedRevision(int64_t ordinal) const {
    return !set_.on_delete && ordinal < set_.update_from() ? in_.current_revision : in_.update_revision;
  }
  bool Stale(const StatefulPod& pod) const { return pod.view->revision_hash != in_.update_revision; }
  bool Available(const StatefulPod& pod) const {
    return !pod.view->deleting && pod.view->Available(set_.min_ready, in_.now);
  }

  bool Deleted(const StatefulPod& pod) const { return deleted_.contains(pod.ordinal); }
  void Delete(const StatefulPod& pod) {
    if (pod.view->deleting || !deleted_.insert(pod.ordinal).second) return;
    plan_.deletes.push_back({std::string(pod.name), std::string(pod.uid)});
  }
  void LookAgainIn(Duration delay) {
    delay = std::max(delay, Duration(1));
    if (plan_.requeue_after == Duration::zero() || delay < plan_.requeue_after) plan_.requeue_after = delay;
  }
  void WaitFor(int64_t ordinal, const std::string& why) {
    if (plan_.waits_for.empty()) plan_.waits_for = set_.PodName(ordinal) + ": " + why;
  }

  const StatefulSetInputs& in_;
  const StatefulSetView& set_;
  std::map<int64_t, const StatefulPod*> by_ordinal_;
  StatefulSetPlan plan_;
  std::unordered_set<int64_t> deleted_;
};

}  // namespace

StatefulSetPlan PlanStatefulSet(const StatefulSetInputs& inputs) { return StatefulSetPlanner(inputs).Run(); }

}  // namespace wherry
