#include "core/controllers/daemonset/daemonset_plan.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "core/controllers/daemonset/node_pods.h"

namespace wherry {

bool IsUpdated(const DaemonSetInputs& inputs, const PodView& pod) {
  if (!inputs.update_hash.empty() && pod.revision_hash == inputs.update_hash) return true;
  return !inputs.set->template_generation.empty() && pod.template_generation == inputs.set->template_generation;
}

namespace {

// A pod's name is its host name too, so it stays within a DNS label where the readable form allows.
constexpr size_t kMaxReadableName = 63;

// The one pod of the current template and the one of an older template on a node; not clear when there are several of
// either.
struct Versions {
  const DaemonPod* updated = nullptr;
  const DaemonPod* old = nullptr;
  bool clear = true;
};

class DaemonSetPlanner {
 public:
  explicit DaemonSetPlanner(const DaemonSetInputs& inputs) : in_(inputs), set_(*inputs.set), by_node_(inputs) {}

  DaemonSetPlan Run() {
    for (const NodePods& node : by_node_.nodes()) Cover(node);
    if (!set_.on_delete) Roll();
    if (plan_.deletes.size() > kDaemonSetBurst) plan_.deletes.resize(kDaemonSetBurst), LookAgainIn(Duration(1));
    if (plan_.creates.size() > kDaemonSetBurst) plan_.creates.resize(kDaemonSetBurst), LookAgainIn(Duration(1));
    return std::move(plan_);
  }

 private:
  // One daemon on every node that should run it, none where none may stay.
  void Cover(const NodePods& node) {
    if (!node.verdict) {
      // The node is gone. What runs there is the pod garbage collector's; what never got there is ours.
      for (const DaemonPod& pod : node.pods) {
        if (pod.view->node_name.empty()) Delete(pod);
      }
      return;
    }
    if (node.should_run() && node.pods.empty()) return Create(node.node);
    if (!node.verdict->should_continue) {
      for (const DaemonPod& pod : node.pods) Delete(pod);
      return;
    }
    std::vector<const DaemonPod*> live;
    bool held = false;  // by a failed pod whose back-off runs
    for (const DaemonPod& pod : node.pods) {
      if (pod.view->deleting) continue;
      if (pod.view->phase == PodView::Phase::kFailed) {
        held |= !ReplaceFailed(node, pod);
      } else if (pod.view->phase == PodView::Phase::kSucceeded) {
        Say("Normal", "SucceededDaemonPod",
            "Found succeeded daemon pod " + Named(pod, node) + ", will try to delete it");
        Delete(pod);
      } else {
        live.push_back(&pod);
      }
    }
    if (!set_.surges()) {
      for (size_t i = 1; i < live.size(); ++i) Delete(*live[i]);
    } else if (live.empty()) {
      if (node.should_run() && !held) Create(node.node);
    } else {
      PruneSurge(live);
    }
  }

  // True when the failed pod goes now.
  bool ReplaceFailed(const NodePods& node, const DaemonPod& pod) {
    const Duration wait = in_.backoff->Remaining(FailedPodBackoff::Key(set_.uid, set_.generation, node.node), in_.now);
    if (wait > Duration::zero()) {
      LookAgainIn(wait);
      held_nodes_.insert(node.node);
      return false;
    }
    plan_.raise_backoff.emplace_back(node.node);
    Say("Warning", "FailedDaemonPod", "Found failed daemon pod " + Named(pod, node) + ", will try to kill it");
    Delete(pod);
    return true;
  }

  // While surging, two pods may share a node: an old one that is ready and an updated one that is not yet available.
  void PruneSurge(const std::vector<const DaemonPod*>& live) {
    const DaemonPod* updated = nullptr;
    const DaemonPod* old = nullptr;
    for (const DaemonPod* pod : live) {
      const DaemonPod*& kept = IsUpdated(in_, *pod->view) ? updated : old;
      if (kept) {
        Delete(*pod);
      } else {
        kept = pod;
      }
    }
    if (!updated || !old) return;
    if (!old->view->ready || Available(*updated)) Delete(*old);
  }

  void Roll() {
    int64_t max_unavailable = set_.max_unavailable.RoundedUpOf(by_node_.desired());
    const int64_t max_surge = set_.max_surge.RoundedUpOf(by_node_.desired());
    if (max_unavailable == 0 && max_surge == 0) max_unavailable = 1;  // else nothing would ever move
    if (max_surge > 0) {
      RollBySurging(max_surge);
    } else {
      RollByDeleting(max_unavailable);
    }
  }

  // Old pods go while the budget lasts; Cover puts new ones in their place.
  void RollByDeleting(int64_t max_unavailable) {
    int64_t unavailable = 0;
    std::vector<const DaemonPod*> candidates;
    for (const NodePods& node : by_node_.nodes()) {
      if (!node.verdict || !node.verdict->should_continue) continue;
      const Versions pods = VersionsOn(node);
      if (!pods.clear || (pods.updated && pods.old)) {
        ++unavailable;  // Cover settles this node first
      } else if (pods.updated) {
        if (!Available(*pods.updated)) ++unavailable;
      } else if (!pods.old) {
        if (node.should_run()) ++unavailable;
      } else if (!Available(*pods.old)) {
        ++unavailable;  // nothing is lost by replacing it
        Delete(*pods.old);
      } else {
        candidates.push_back(pods.old);
      }
    }
    for (const DaemonPod* pod : candidates) {
      if (unavailable >= max_unavailable) break;
      ++unavailable;
      Delete(*pod);
    }
  }

  // New pods start beside old ones while the budget lasts; an old one goes when its successor is available.
  void RollBySurging(int64_t max_surge) {
    int64_t surging = 0, available = 0;
    std::vector<std::string_view> candidates;
    std::vector<const DaemonPod*> leaving;  // old pods on nodes that should not run the daemon any more
    for (const NodePods& node : by_node_.nodes()) {
      if (!node.verdict || !node.verdict->should_continue) continue;
      const Versions pods = VersionsOn(node);
      if (!pods.clear) {
        ++surging;
        continue;
      }
      if (const DaemonPod* counts = pods.old ? pods.old : pods.updated; counts && Available(*counts)) ++available;
      if (!pods.old) continue;
      if (pods.updated) {
        if (Available(*pods.updated)) {
          Delete(*pods.old);
        } else {
          ++surging;
        }
      } else if (!node.should_run()) {
        leaving.push_back(pods.old);
      } else if (!Available(*pods.old)) {
        Create(node.node);
      } else {
        candidates.push_back(node.node);
      }
    }
    for (std::string_view node : candidates) {
      if (surging >= max_surge) break;
      ++surging;
      Create(node);
    }
    // Surging promises full availability: leave a node only when enough others are up.
    for (const DaemonPod* pod : leaving) {
      if (available <= by_node_.desired()) break;
      --available;
      Delete(*pod);
    }
  }

  Versions VersionsOn(const NodePods& node) const {
    Versions out;
    for (const DaemonPod& pod : node.pods) {
      if (pod.view->deleting) continue;
      const DaemonPod*& slot = IsUpdated(in_, *pod.view) ? out.updated : out.old;
      if (slot) out.clear = false;
      slot = &pod;
    }
    return out;
  }

  bool Available(const DaemonPod& pod) const { return pod.view->Available(set_.min_ready, in_.now); }
  std::string Named(const DaemonPod& pod, const NodePods& node) const {
    return (set_.ns + "/").append(pod.name).append(" on node ").append(node.node);
  }

  void Delete(const DaemonPod& pod) {
    if (pod.view->deleting || !deleted_.insert(pod.uid).second) return;
    plan_.deletes.push_back({std::string(pod.name), std::string(pod.uid)});
  }

  void Create(std::string_view node) {
    if (held_nodes_.contains(node) || !created_.insert(node).second) return;
    std::string name = (set_.name + "-").append(node);
    if (name.size() > kMaxReadableName || in_.name_taken(name)) name.clear();
    plan_.creates.push_back({std::string(node), std::move(name)});
  }

  void Say(std::string type, std::string reason, std::string message) {
    plan_.notices.push_back({std::move(type), std::move(reason), std::move(message)});
  }

  void LookAgainIn(Duration delay) {
    if (plan_.requeue_after == Duration::zero() || delay < plan_.requeue_after) plan_.requeue_after = delay;
  }

  const DaemonSetInputs& in_;
  const DaemonSetView& set_;
  const PodsByNode by_node_;
  DaemonSetPlan plan_;
  std::unordered_set<std::string_view> deleted_, created_, held_nodes_;
};

}  // namespace

DaemonSetPlan PlanDaemonSet(const DaemonSetInputs& inputs) { return DaemonSetPlanner(inputs).Run(); }

}  // namespace wherry
