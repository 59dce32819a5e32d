#include "core/controllers/replicaset/replicaset_plan.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "core/kinds/shared_labels.h"

namespace wherry {
namespace {

// Ages are compared by their binary logarithm, so that a pod which is a few seconds younger is not always the one to
// go: pods that came together are alike (KEP-2185). Something that never began, or begins only now, comes first.
int AgeBucket(Time since, Time now) {
  if (since == Time{}) return -2;
  const Duration age = now - since;
  if (age <= Duration::zero()) return -1;
  return static_cast<int>(std::log2(static_cast<double>(age.count())));
}

int PhaseOrder(PodView::Phase phase) {
  switch (phase) {
    case PodView::Phase::kPending:
      return 0;
    case PodView::Phase::kUnknown:
      return 1;
    default:
      return 2;
  }
}

// How little a pod is missed: the smallest goes first. The order is Kubernetes'.
auto Worth(const ReplicaPod& pod, int64_t neighbours, Time now) {
  const PodView& view = *pod.view;
  return std::tuple(!view.node_name.empty(),                            // unassigned,
                    PhaseOrder(view.phase),                             // pending,
                    view.ready,                                         // not ready,
                    view.deletion_cost,                                 // cheap to delete,
                    -neighbours,                                        // doubled up on a node,
                    view.ready ? AgeBucket(view.ready_since, now) : 0,  // ready for a short time,
                    -view.restarts, -view.sidecar_restarts,             // restarted often,
                    AgeBucket(view.created, now),                       // young;
                    pod.uid);                                           // and else by chance
}

std::vector<const ReplicaPod*> LeastMissed(const ReplicaSetInputs& inputs, std::vector<const ReplicaPod*> active,
                                           size_t count) {
  if (count >= active.size()) return active;
  using Ranked = std::pair<decltype(Worth(*active[0], 0, inputs.now)), const ReplicaPod*>;
  std::vector<Ranked> ranked;
  ranked.reserve(active.size());
  for (const ReplicaPod* pod : active) {
    const std::string& node = pod->view->node_name;
    const int64_t neighbours = node.empty() || !inputs.neighbours ? 0 : inputs.neighbours(node);
    ranked.emplace_back(Worth(*pod, neighbours, inputs.now), pod);
  }
  std::partial_sort(ranked.begin(), ranked.begin() + static_cast<long>(count), ranked.end());
  active.clear();
  for (size_t i = 0; i < count; ++i) active.push_back(ranked[i].second);
  return active;
}

}  // namespace

ReplicaSetPlan PlanReplicaSet(const ReplicaSetInputs& inputs) {
  ReplicaSetPlan plan;
  std::vector<const ReplicaPod*> active;
  active.reserve(inputs.pods.size());
  for (const ReplicaPod& pod : inputs.pods) {
    if (pod.view->active()) active.push_back(&pod);
  }
  const auto wanted = static_cast<size_t>(std::max<int64_t>(0, inputs.set->replicas));
  if (active.size() == wanted) return plan;
  const size_t difference = active.size() < wanted ? wanted - active.size() : active.size() - wanted;
  const size_t now = std::min(difference, kReplicaSetBurst);
  plan.more = now < difference;
  if (active.size() < wanted) {
    plan.creates = now;
    return plan;
  }
  for (const ReplicaPod* pod : LeastMissed(inputs, std::move(active), now)) {
    plan.deletes.push_back({std::string(pod->name), std::string(pod->uid)});
  }
  return plan;
}

ReplicaSetStatus ObserveReplicaSet(const ReplicaSetInputs& inputs, Duration* requeue_after) {
  const ReplicaSetView& set = *inputs.set;
  ReplicaSetStatus out;
  SweepMatcher has_template_labels(set.template_labels);
  for (const ReplicaPod& pod : inputs.pods) {
    const PodView& view = *pod.view;
    if (!view.active()) {
      if (view.deleting && !view.terminal()) ++out.terminating;
      continue;
    }
    ++out.replicas;
    if (has_template_labels(*pod.labels)) ++out.fully_labeled;
    if (!view.ready) continue;
    ++out.ready;
    if (view.Available(set.min_ready, inputs.now)) {
      ++out.available;
      continue;
    }
    const Duration wait = view.ready_since + set.min_ready - inputs.now;
    if (*requeue_after == Duration::zero() || wait < *requeue_after) *requeue_after = wait;
  }
  return out;
}

}  // namespace wherry
