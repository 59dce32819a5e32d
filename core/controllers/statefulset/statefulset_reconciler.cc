#include "core/controllers/statefulset/statefulset_reconciler.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/controllers/ownership.h"
#include "core/controllers/pod_control.h"
#include "core/controllers/slow_start.h"
#include "core/controllers/statefulset/stateful_pod.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr size_t kWritesAtOnce = 64;

// Its pods have the set's name in theirs, whatever else the selector matches.
ClaimFilter NamedAfter(ObjectPtr set) {
  return [set](const Object& pod) { return set->view<StatefulSetView>().OrdinalOf(pod.name()).has_value(); };
}

}  // namespace

StatefulSetReconciler::StatefulSetReconciler(RuntimeContext context)
    : context_(context), events_(context, "statefulset-controller"), claims_(context.client, events_) {}

Task<ReconcileResult> StatefulSetReconciler::Reconcile(std::string key) {
  ReconcileResult result;
  const auto [ns, name] = SplitKey(key);
  ObjectPtr set = context_.client.cache().Get(resources::kStatefulSets, ns, name);
  std::string& known = uids_[key];
  if (!known.empty() && (!set || set->uid() != known)) backoff_.ForgetSet(known);
  if (!set) {
    uids_.erase(key);
    co_return result;
  }
  known = set->uid();
  if (set->view<StatefulSetView>().deleting) co_return result;  // the garbage collector's

  const std::string pods_resource(resources::kPods);
  ClaimFilter named = NamedAfter(set);
  Result<std::vector<ObjectPtr>> pods = co_await ClaimObjects(
      context_.client, pods_resource, set, set->view<StatefulSetView>().selector, false, std::move(named));
  if (!pods.ok()) {
    result.status = pods.status();
    co_return result;
  }
  Result<History> history = co_await BringHistoryUpToDate(context_.client, set, set->view<StatefulSetView>().selector,
                                                          *pods, RevisionLabel::kName);
  if (!history.ok()) {
    result.status = history.status();
    co_return result;
  }

  // Owners of claims are written before any pod goes: a pod that takes its claims along must be their owner by then.
  result.status = co_await KeepClaims(set, OwnPods(*set));
  if (!result.status.ok()) co_return result;

  // Decide on what is there now: whoever waited for a write above was not alone.
  const std::string uid = set->uid();
  set = context_.client.cache().Get(set->key());
  if (!set || set->uid() != uid || set->view<StatefulSetView>().deleting) co_return result;
  const int64_t generation = set->view<StatefulSetView>().generation;
  Snapshot now = Take(set, OwnPods(*set), *history);
  StatefulSetPlan plan = PlanStatefulSet(now.inputs);
  result.requeue_after = plan.requeue_after;
  const std::string waits_for = plan.waits_for;
  const bool acts = !plan.creates.empty() || !plan.deletes.empty() || !plan.relabel.empty();
  if (acts || !plan.notices.empty()) {
    std::map<std::string, ObjectPtr> revisions = {{history->current->name(), history->current}};
    for (const ObjectPtr& old : history->old) revisions[old->name()] = old;
    result.status = co_await Act(set, std::move(plan), std::move(revisions));
  }

  // The history is trimmed when nothing is created: a pod under way may be of any revision.
  const int64_t limit = set->view<StatefulSetView>().revision_history_limit;
  if (!acts && static_cast<int64_t>(history->old.size()) > limit) {
    std::set<std::string> live = {now.inputs.current_revision, now.inputs.update_revision};
    for (const StatefulPod& pod : now.inputs.pods) live.insert(pod.view->revision_hash);
    Status trimmed = co_await TrimHistory(context_.client, history->old, limit, std::move(live), RevisionLabel::kName);
    if (result.status.ok()) result.status = trimmed;
  }

  const ObjectPtr latest = context_.client.cache().Get(set->key());
  if (!latest || latest->uid() != set->uid()) co_return result;
  if (acts) now = Take(set, OwnPods(*set), *history);
  const JsonPtr document = latest->json();
  Json status = StatusDocument(ObserveStatefulSet(now.inputs), waits_for, FindPath(*document, "status"), generation,
                               context_.clock.Now());
  Status written = co_await WriteStatus(latest, std::move(status));
  if (result.status.ok()) result.status = written;
  if (IsNamespaceTerminating(result.status)) co_return ReconcileResult();  // it will be deleted; nothing to try again
  co_return result;
}

std::vector<ObjectPtr> StatefulSetReconciler::OwnPods(const Object& set) const {
  const StatefulSetView& view = set.view<StatefulSetView>();
  const ClaimFilter named = [&view](const Object& pod) { return view.OrdinalOf(pod.name()).has_value(); };
  return SortClaims(context_.client.cache(), resources::kPods, set, view.selector, false, named).ours;
}

StatefulSetReconciler::Snapshot StatefulSetReconciler::Take(ObjectPtr set, std::vector<ObjectPtr> pods,
                                                            const History& history) const {
  Snapshot out;
  out.set = std::move(set);
  out.pods = std::move(pods);
  StatefulSetInputs& in = out.inputs;
  in.set = &out.set->view<StatefulSetView>();
  in.update_revision = history.label;
  in.current_revision = history.label;
  for (const ObjectPtr& old : history.old) {
    if (old->name() == in.set->current_revision) in.current_revision = old->name();
  }
  in.pods.reserve(out.pods.size());
  for (const ObjectPtr& pod : out.pods) {
    in.pods.push_back({pod->name(), pod->uid(), *in.set->OrdinalOf(pod->name()), &pod->view<PodView>(),
                       &pod->view<StatefulPodView>()});
  }
  in.backoff = &backoff_;
  if (!in.set->claims.empty()) {
    in.claim_leaving = [this, set = out.set](int64_t ordinal) { return claims_.Leaving(*set, ordinal); };
  }
  in.now = context_.clock.Now();
  return out;
}

Task<Status> StatefulSetReconciler::KeepClaims(ObjectPtr set, std::vector<ObjectPtr> pods) {
  if (set->view<StatefulSetView>().claims.empty()) co_return Status();
  for (const ObjectPtr& pod : pods) {
    ClaimPod of;
    of.name = pod->name();
    of.uid = pod->uid();
    const int64_t ordinal = *set->view<StatefulSetView>().OrdinalOf(pod->name());
    Status kept = co_await claims_.KeepOwners(set, ordinal, std::move(of));
    if (!kept.ok()) co_return kept;
  }
  co_return Status();
}

Task<Status> StatefulSetReconciler::Act(ObjectPtr set, StatefulSetPlan plan,
                                        std::map<std::string, ObjectPtr> revisions) {
  const StatefulSetView& view = set->view<StatefulSetView>();
  const Time now = context_.clock.Now();
  for (const StatefulSetPlan::Notice& notice : plan.notices) {
    if (notice.type == "Warning") {
      events_.Warning(*set, notice.reason, notice.message);
    } else {
      events_.Normal(*set, notice.reason, notice.message);
    }
  }
  if (!plan.raise_backoff.empty()) backoff_.Forget(now);
  for (const int64_t ordinal : plan.raise_backoff) {
    backoff_.Raise(FailedPodBackoff::Key(view.uid, view.generation, std::to_string(ordinal)), now);
  }

  auto shared = std::make_shared<const StatefulSetPlan>(std::move(plan));
  BatchStep relabel = [this, set, shared](size_t i) { return Relabel(set, shared->relabel[i]); };
  Status status = co_await RunInGroups(shared->relabel.size(), kWritesAtOnce, relabel);
  BatchStep remove = [this, set, shared](size_t i) { return DeleteOne(set, shared->deletes[i]); };
  Status removed = co_await RunInGroups(shared->deletes.size(), kWritesAtOnce, remove);
  if (status.ok()) status = removed;
  BatchStep create = [this, set, shared, revisions = std::move(revisions)](size_t i) {
    const StatefulSetPlan::Create& pod = shared->creates[i];
    return CreateOne(set, revisions.at(pod.revision), pod.ordinal);
  };
  Status created = co_await SlowStart(shared->creates.size(), 1, create);
  co_return status.ok() ? created : status;
}

Task<Status> StatefulSetReconciler::CreateOne(ObjectPtr set, ObjectPtr revision, int64_t ordinal) {
  const std::string pod = set->view<StatefulSetView>().PodName(ordinal);
  Status claimed = co_await claims_.MakeMissing(set, ordinal);
  if (!claimed.ok()) co_return claimed;
  Json document = StatefulPodFor(*set, *revision, ordinal);
  Result<ObjectPtr> made =
      co_await context_.client.Create(std::string(resources::kPods), set->ns(), std::move(document));
  const std::string what = "create Pod " + pod + " in StatefulSet " + set->name();
  if (made.ok()) {
    events_.Normal(*set, "SuccessfulCreate", what + " successful");
  } else if (!IsNamespaceTerminating(made.status())) {
    events_.Warning(*set, "FailedCreate", what + " failed error: " + made.status().message());
  }
  co_return made.status();
}

Task<Status> StatefulSetReconciler::DeleteOne(ObjectPtr set, StatefulSetPlan::Delete pod) {
  DeleteOptions options;
  options.uid_precondition = pod.uid;
  Result<ObjectPtr> gone =
      co_await context_.client.Delete(std::string(resources::kPods), set->ns(), pod.name, std::move(options));
  const std::string what = "delete Pod " + pod.name + " in StatefulSet " + set->name();
  if (gone.ok()) {
    events_.Normal(*set, "SuccessfulDelete", what + " successful");
    co_return Status();
  }
  // That very pod is gone already.
  if (gone.status().reason() == Reason::kNotFound || gone.status().reason() == Reason::kConflict) co_return Status();
  events_.Warning(*set, "FailedDelete", what + " failed error: " + gone.status().message());
  co_return gone.status();
}

Task<Status> StatefulSetReconciler::Relabel(ObjectPtr set, std::string pod) {
  const ObjectPtr there = context_.client.cache().Get(resources::kPods, set->ns(), pod);
  if (!there) co_return Status();
  Json document = *there->json();
  LabelStatefulPod(document, *set->view<StatefulSetView>().OrdinalOf(pod));
  Result<ObjectPtr> updated = co_await context_.client.Update(std::string(resources::kPods), std::move(document));
  co_return updated.ok() || updated.status().reason() == Reason::kNotFound ? Status() : updated.status();
}

Task<Status> StatefulSetReconciler::WriteStatus(ObjectPtr set, Json status) {
  const JsonPtr current = set->json();
  const Json* old = FindPath(*current, "status");
  if (old && *old == status) co_return Status();
  Json document = *current;
  document["status"] = std::move(status);
  WriteOptions options;
  options.subresource = "status";
  Result<ObjectPtr> written = co_await context_.client.Update(set->key().resource, std::move(document), options);
  co_return written.ok() || written.status().reason() == Reason::kNotFound ? Status() : written.status();
}

void StatefulSetReconciler::OnPod(const Event& event, WorkQueue& queue) {
  const MetaView& meta = event.object->view<MetaView>();
  const OwnerRef* owner = meta.controller();
  if (event.type == EventType::kModified && event.previous) {
    const MetaView& before = event.previous->view<MetaView>();
    const OwnerRef* was = before.controller();
    const bool same_owner = (owner ? owner->uid : "") == (was ? was->uid : "");
    if (same_owner && meta.labels == before.labels &&
        event.object->view<PodView>() == event.previous->view<PodView>() &&
        event.object->view<StatefulPodView>() == event.previous->view<StatefulPodView>()) {
      return;
    }
    if (!same_owner && was && was->kind == "StatefulSet") queue.Add(KeyOf(event.object->ns(), was->name));
  }
  if (owner && owner->kind == "StatefulSet") return queue.Add(KeyOf(event.object->ns(), owner->name));
  if (owner && event.type != EventType::kDeleted) return;
  // An orphan may be adopted by the set that it is named after; one that is gone makes room for that set's own.
  context_.client.cache().ForEach(resources::kStatefulSets, event.object->ns(), [&](const ObjectPtr& set) {
    const StatefulSetView& view = set->view<StatefulSetView>();
    if (view.OrdinalOf(event.object->name())) queue.Add(KeyOf(*set));
    return true;
  });
}

void StatefulSetReconciler::OnRevision(const Event& event, WorkQueue& queue) {
  if (event.type == EventType::kAdded) return;  // ours, or adopted when the set is looked at
  for (const Object* object : {event.object.get(), static_cast<const Object*>(event.previous.get())}) {
    const OwnerRef* owner = object ? object->view<MetaView>().controller() : nullptr;
    if (owner && owner->kind == "StatefulSet") queue.Add(KeyOf(object->ns(), owner->name));
  }
}

void StatefulSetReconciler::OnClaim(const Event& event, WorkQueue& queue) {
  // A pod may be waiting for this claim to be gone, or for somebody's hands off it.
  if (event.type == EventType::kAdded) return;
  const std::string& name = event.object->name();
  context_.client.cache().ForEach(resources::kStatefulSets, event.object->ns(), [&](const ObjectPtr& set) {
    const StatefulSetView& view = set->view<StatefulSetView>();
    const bool concerned = std::any_of(view.claims.begin(), view.claims.end(), [&](const std::string& claim) {
      return name.size() > claim.size() && name.starts_with(claim) && name[claim.size()] == '-' &&
             view.OrdinalOf(std::string_view(name).substr(claim.size() + 1));
    });
    if (concerned) queue.Add(KeyOf(*set));
    return true;
  });
}

}  // namespace wherry
