#include "core/controllers/replicaset/replicaset_reconciler.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/ownership.h"
#include "core/controllers/slow_start.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr Duration kFirstRetry = std::chrono::milliseconds(5), kLastRetry = std::chrono::seconds(30);

void LookAgainIn(ReconcileResult& result, Duration delay) {
  if (result.requeue_after == Duration::zero() || delay < result.requeue_after) result.requeue_after = delay;
}

// What a controller acts on in a pod; its node, its reasons and its restarts alone wake nobody.
bool SameForReplicas(const PodView& a, const PodView& b) {
  return a.phase == b.phase && a.ready == b.ready && a.ready_since == b.ready_since && a.deleting == b.deleting;
}

}  // namespace

ReplicaSetReconciler::ReplicaSetReconciler(RuntimeContext context, const ReplicaKind& kind)
    : context_(context), kind_(kind), events_(context, kind.controller), pod_control_(context, events_) {}

Task<ReconcileResult> ReplicaSetReconciler::Reconcile(std::string key) {
  ReconcileResult result;
  const auto [ns, name] = SplitKey(key);
  ObjectPtr set = context_.client.cache().Get(kind_.resource, ns, name);
  if (!set) {
    known_.erase(key);
    co_return result;
  }
  if (kind_.view(*set).deleting) co_return result;  // the garbage collector's
  if (Known& entry = known_[key]; entry.uid != set->uid()) {
    entry = Known();
    entry.uid = set->uid();
  }

  const uint64_t seen = context_.client.cache().revision();
  const std::string pods_resource(resources::kPods);
  Result<std::vector<ObjectPtr>> pods =
      co_await ClaimObjects(context_.client, pods_resource, set, kind_.view(*set).selector, false);
  if (!pods.ok()) {
    result.status = pods.status();
    co_return result;
  }
  // Decide on what is there now: whoever waited for an adoption was not alone.
  if (context_.client.cache().revision() != seen) {
    set = context_.client.cache().Get(set->key());
    if (!set || set->uid() != known_[key].uid || kind_.view(*set).deleting) co_return result;
    pods = OwnPods(*set);
  }
  Snapshot snapshot = Take(set, std::move(*pods));
  std::optional<std::unordered_map<std::string, int64_t>> per_node;
  snapshot.inputs.neighbours = [&](const std::string& node) {
    if (!per_node) per_node = ActivePerNode(snapshot);
    auto it = per_node->find(node);
    return it == per_node->end() ? 0 : it->second;
  };
  const int64_t generation = kind_.view(*set).generation;
  Known& known = known_[key];
  known.pods = std::max(snapshot.pods.size(), static_cast<size_t>(std::max<int64_t>(0, kind_.view(*set).replicas)));
  ReplicaSetPlan plan = PlanReplicaSet(snapshot.inputs);
  std::optional<ReplicaFailure> failure;
  if (plan.creates == 0) {
    known.batch = 1;
    known.refusals = 0;
  } else if (const Duration wait = Held(known, generation); wait > Duration::zero()) {
    LookAgainIn(result, wait);
    failure = ReplicaFailure{"FailedCreate", known.refusal};
    plan.creates = 0;
    plan.more = false;
  }

  const bool acts = plan.creates > 0 || !plan.deletes.empty();
  if (acts) {
    const size_t creates = plan.creates;
    const bool more = plan.more;
    const size_t first_batch = known.batch;
    const Outcome outcome = co_await Act(set, std::move(plan), first_batch);
    const bool going = IsNamespaceTerminating(outcome.created);  // it will be deleted; nothing to try again
    if (going) co_return ReconcileResult();
    Known& now_known = known_[key];
    if (!outcome.created.ok()) {
      Duration delay = kFirstRetry;
      for (int i = 0; i < now_known.refusals && delay < kLastRetry; ++i) delay *= 2;
      delay = std::min(delay, kLastRetry);
      ++now_known.refusals;
      now_known.batch = 1;
      now_known.try_again = context_.clock.Now() + delay;
      now_known.refused_generation = generation;
      now_known.refusal = outcome.created.message();
      failure = ReplicaFailure{"FailedCreate", now_known.refusal};
      LookAgainIn(result, delay);
    } else if (creates > 0) {
      now_known.batch = std::max<size_t>(1, creates);
      now_known.refusals = 0;
    }
    if (!outcome.deleted.ok()) {
      failure = ReplicaFailure{"FailedDelete", outcome.deleted.message()};
      result.status = outcome.deleted;
    }
    if (more && outcome.created.ok() && outcome.deleted.ok()) LookAgainIn(result, Duration(1));

    set = context_.client.cache().Get(set->key());
    if (!set || set->uid() != known_[key].uid) co_return result;
    snapshot = Take(set, OwnPods(*set));
  }
  const ReplicaSetStatus status = ObserveReplicaSet(snapshot.inputs, &result.requeue_after);
  Status written = co_await WriteStatus(set, status, std::move(failure), generation);
  if (result.status.ok()) result.status = written;
  co_return result;
}

Duration ReplicaSetReconciler::Held(const Known& known, int64_t generation) const {
  if (known.refusals == 0 || known.refused_generation != generation) return Duration(0);
  return std::max(Duration(0), known.try_again - context_.clock.Now());
}

std::vector<ObjectPtr> ReplicaSetReconciler::OwnPods(const Object& set) const {
  return SortClaims(context_.client.cache(), resources::kPods, set, kind_.view(set).selector, false).ours;
}

ReplicaSetReconciler::Snapshot ReplicaSetReconciler::Take(ObjectPtr set, std::vector<ObjectPtr> pods) const {
  Snapshot out;
  out.set = std::move(set);
  out.pods = std::move(pods);
  out.inputs.set = &kind_.view(*out.set);
  out.inputs.pods.reserve(out.pods.size());
  for (const ObjectPtr& pod : out.pods) {
    out.inputs.pods.push_back({pod->name(), pod->uid(), &pod->view<PodView>(), &*pod->view<MetaView>().labels});
  }
  out.inputs.now = context_.clock.Now();
  return out;
}

std::unordered_map<std::string, int64_t> ReplicaSetReconciler::ActivePerNode(const Snapshot& snapshot) const {
  std::unordered_map<std::string, int64_t> out;
  auto count = [&out](const std::vector<ObjectPtr>& pods) {
    for (const ObjectPtr& pod : pods) {
      const PodView& view = pod->view<PodView>();
      if (view.active() && !view.node_name.empty()) ++out[view.node_name];
    }
  };
  count(snapshot.pods);
  const OwnerRef* owner = snapshot.set->view<MetaView>().controller();
  if (!owner) return out;
  for (const ObjectPtr& sibling : context_.client.cache().ByIndex(kIndexOwnerUid, owner->uid)) {
    if (sibling->key().resource == kind_.resource && sibling->uid() != snapshot.set->uid()) count(OwnPods(*sibling));
  }
  return out;
}

Task<ReplicaSetReconciler::Outcome> ReplicaSetReconciler::Act(ObjectPtr set, ReplicaSetPlan plan, size_t first_batch) {
  Outcome outcome;
  if (!plan.deletes.empty()) {
    auto shared = std::make_shared<const ReplicaSetPlan>(std::move(plan));
    BatchStep remove = [this, set, shared](size_t i) {
      return pod_control_.Delete(set, shared->deletes[i].name, shared->deletes[i].uid);
    };
    outcome.deleted = co_await RunInGroups(shared->deletes.size(), kReplicaSetBurst, remove);
    co_return outcome;
  }
  const JsonPtr document = set->json();
  auto pod = std::make_shared<Json>(PodFromTemplate(At(*document, "spec.template"), set->name() + "-"));
  (*pod)["metadata"]["ownerReferences"] = Json::array({ControllerReference(*set)});
  BatchStep create = [this, set, pod](size_t) { return pod_control_.Create(set, *pod); };
  // The next burst of a long row need not feel its way again: every batch is a commit to wait for.
  outcome.created = co_await SlowStart(plan.creates, std::max<size_t>(1, first_batch), create);
  co_return outcome;
}

Task<Status> ReplicaSetReconciler::WriteStatus(ObjectPtr set, ReplicaSetStatus status,
                                               std::optional<ReplicaFailure> failure, int64_t observed_generation) {
  const JsonPtr current = set->json();
  auto it = current->find("status");
  const Json* old = it == current->end() ? nullptr : &*it;
  Json made = ReplicaSetStatusDocument(status, kind_.counts_terminating, failure, old, observed_generation,
                                       context_.clock.Now());
  if (old && *old == made) co_return Status();
  // Nobody else writes it, so only the uid is insisted on.
  Json document = {{"metadata", {{"namespace", set->ns()}, {"name", set->name()}, {"uid", set->uid()}}},
                   {"status", std::move(made)}};
  WriteOptions options;
  options.subresource = "status";
  Result<ObjectPtr> written = co_await context_.client.Update(set->key().resource, std::move(document), options);
  co_return written.ok() || written.status().reason() == Reason::kNotFound ? Status() : written.status();
}

void ReplicaSetReconciler::EnqueueCalmly(const std::string& key, WorkQueue& queue) const {
  auto it = known_.find(key);
  const size_t pods = it == known_.end() ? 0 : it->second.pods;
  if (pods < 100) return queue.Add(key);
  // A look costs about a microsecond a pod: no more than a twentieth of the time goes into looking.
  queue.AddAfter(key, std::min<Duration>(std::chrono::milliseconds(200), std::chrono::microseconds(20) * pods));
}

void ReplicaSetReconciler::OnSet(const Event& event, WorkQueue& queue) {
  const std::string key = KeyOf(*event.object);
  const bool same_spec = event.type == EventType::kModified && event.previous &&
                         event.previous->view<MetaView>().generation == event.object->view<MetaView>().generation;
  // Changes beside the spec are mostly our own status.
  if (same_spec) return EnqueueCalmly(key, queue);
  queue.Add(key);
}

void ReplicaSetReconciler::OnPod(const Event& event, WorkQueue& queue) {
  const MetaView& meta = event.object->view<MetaView>();
  const OwnerRef* owner = meta.controller();
  if (event.type == EventType::kModified && event.previous) {
    const MetaView& before = event.previous->view<MetaView>();
    const OwnerRef* was = before.controller();
    const bool same_owner = owner ? was && was->uid == owner->uid : !was;
    if (!same_owner && was && was->kind == kind_.kind) EnqueueCalmly(KeyOf(event.object->ns(), was->name), queue);
    if (owner && owner->kind != kind_.kind) return;
    if (same_owner && meta.labels == before.labels &&
        SameForReplicas(event.object->view<PodView>(), event.previous->view<PodView>())) {
      return;
    }
  }
  if (owner) {
    if (owner->kind == kind_.kind) EnqueueCalmly(KeyOf(event.object->ns(), owner->name), queue);
    return;
  }
  // An orphan: whoever selects it may adopt it.
  if (event.type == EventType::kDeleted) return;
  context_.client.cache().ForEach(kind_.resource, event.object->ns(), [&](const ObjectPtr& set) {
    if (kind_.view(*set).selector.Matches(*meta.labels)) EnqueueCalmly(KeyOf(*set), queue);
    return true;
  });
}

}  // namespace wherry
