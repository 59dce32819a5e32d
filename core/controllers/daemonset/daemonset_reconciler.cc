#include "core/controllers/daemonset/daemonset_reconciler.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/controllers/daemonset/daemon_pod.h"
#include "core/controllers/ownership.h"
#include "core/controllers/slow_start.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr Duration kShortestWait = std::chrono::seconds(1);

}  // namespace

DaemonSetReconciler::DaemonSetReconciler(RuntimeContext context)
    : context_(context), events_(context, "daemonset-controller"), pod_control_(context, events_) {}

Task<ReconcileResult> DaemonSetReconciler::Reconcile(std::string key) {
  ReconcileResult result;
  const auto [ns, name] = SplitKey(key);
  ObjectPtr set = context_.client.cache().Get(resources::kDaemonSets, ns, name);
  if (!set) {
    ForgetSet(key);
    co_return result;
  }
  Known& known = known_[key];
  if (known.uid != set->uid()) {
    if (!known.uid.empty()) {
      eligibility_.ForgetSet(known.uid);
      backoff_.ForgetSet(known.uid);
    }
    known.uid = set->uid();
  }
  const DaemonSetView& view = set->view<DaemonSetView>();
  if (view.selects_all) {
    events_.Warning(*set, "SelectingAll", "This daemon set is selecting all pods. A non-empty selector is required.");
    co_return result;
  }
  if (view.deleting) co_return result;  // the garbage collector's

  const std::string pods_resource(resources::kPods);
  Result<std::vector<ObjectPtr>> pods =
      co_await ClaimObjects(context_.client, pods_resource, set, view.selector, false);
  if (!pods.ok()) {
    result.status = pods.status();
    co_return result;
  }
  const uint64_t seen = context_.client.cache().revision();
  Result<History> history =
      co_await BringHistoryUpToDate(context_.client, set, view.selector, *pods, RevisionLabel::kHash);
  if (!history.ok()) {
    result.status = history.status();
    co_return result;
  }

  // Decide on what is there now: whoever waited for a write above was not alone.
  set = context_.client.cache().Get(set->key());
  if (!set || set->uid() != known_[key].uid || set->view<DaemonSetView>().deleting) co_return result;
  const int64_t generation = set->view<DaemonSetView>().generation;
  const std::string hash = history->label;
  if (context_.client.cache().revision() != seen) pods = OwnPods(*set);
  Snapshot before = Take(set, std::move(*pods), hash);
  known_[key].nodes = before.nodes.size();
  DaemonSetPlan plan = PlanDaemonSet(before.inputs);
  result.requeue_after = plan.requeue_after;
  std::set<std::string> live_hashes;
  for (const DaemonPod& pod : before.inputs.pods) live_hashes.insert(pod.view->revision_hash);
  const bool acts = !plan.creates.empty() || !plan.deletes.empty();
  if (plan.creates.empty()) known_[key].batch = 1;
  if (acts || !plan.notices.empty()) result.status = co_await Act(set, std::move(plan), hash);

  // The history is trimmed when nothing is created: a pod under way may carry any of its hashes.
  const int64_t limit = set->view<DaemonSetView>().revision_history_limit;
  if (!acts && static_cast<int64_t>(history->old.size()) > limit) {
    Status trimmed = co_await TrimHistory(context_.client, history->old, limit, live_hashes);
    if (result.status.ok()) result.status = trimmed;
  }

  const ObjectPtr latest = context_.client.cache().Get(set->key());
  if (!latest || latest->uid() != set->uid()) co_return result;
  if (acts) before = Take(set, OwnPods(*set), hash);
  DaemonSetStatus status = ObserveDaemonSet(before.inputs, &result.requeue_after);
  Status written = co_await WriteStatus(latest, std::move(status), generation);
  if (result.status.ok()) result.status = written;
  if (IsNamespaceTerminating(result.status)) co_return ReconcileResult();  // it will be deleted; nothing to try again
  // After a refusal the back-off says when to go on, not the rest of a burst.
  if (!result.status.ok() && result.requeue_after < kShortestWait) result.requeue_after = Duration(0);
  co_return result;
}

std::vector<ObjectPtr> DaemonSetReconciler::OwnPods(const Object& set) const {
  return SortClaims(context_.client.cache(), resources::kPods, set, set.view<DaemonSetView>().selector, false).ours;
}

DaemonSetReconciler::Snapshot DaemonSetReconciler::Take(ObjectPtr set, std::vector<ObjectPtr> pods,
                                                        const std::string& update_hash) {
  Snapshot out;
  const WatchCache& cache = context_.client.cache();
  out.set = std::move(set);
  out.pods = std::move(pods);
  out.nodes = cache.List(resources::kNodes);
  DaemonSetInputs& inputs = out.inputs;
  inputs.set = &out.set->view<DaemonSetView>();
  inputs.update_hash = update_hash;
  inputs.nodes.reserve(out.nodes.size());
  for (const ObjectPtr& node : out.nodes) inputs.nodes.push_back({node->name(), &eligibility_.Judge(*out.set, *node)});
  inputs.pods.reserve(out.pods.size());
  for (const ObjectPtr& pod : out.pods) inputs.pods.push_back({pod->name(), pod->uid(), &pod->view<PodView>()});
  inputs.backoff = &backoff_;
  inputs.name_taken = [&cache, ns = out.set->ns()](const std::string& pod) {
    return cache.Get(resources::kPods, ns, pod) != nullptr;
  };
  inputs.now = context_.clock.Now();
  return out;
}

Task<Status> DaemonSetReconciler::Act(ObjectPtr set, DaemonSetPlan plan, std::string update_hash) {
  const DaemonSetView& view = set->view<DaemonSetView>();
  const Time now = context_.clock.Now();
  for (const DaemonSetPlan::Notice& notice : plan.notices) {
    if (notice.type == "Warning") {
      events_.Warning(*set, notice.reason, notice.message);
    } else {
      events_.Normal(*set, notice.reason, notice.message);
    }
  }
  if (!plan.raise_backoff.empty()) backoff_.Forget(now);
  for (const std::string& node : plan.raise_backoff)
    backoff_.Raise(FailedPodBackoff::Key(view.uid, view.generation, node), now);

  auto shared = std::make_shared<const DaemonSetPlan>(std::move(plan));
  BatchStep remove = [this, set, shared](size_t i) {
    return pod_control_.Delete(set, shared->deletes[i].name, shared->deletes[i].uid);
  };
  Status status = co_await RunInGroups(shared->deletes.size(), kDaemonSetBurst, remove);
  if (shared->creates.empty()) co_return status;

  const JsonPtr pod_template =
      std::make_shared<const Json>(DaemonPodTemplate(*set, update_hash, view.template_generation));
  BatchStep create = [this, set, shared, pod_template](size_t i) {
    return CreateOne(set, pod_template, shared->creates[i]);
  };
  // The next burst of a long row need not feel its way again: every batch is a commit to wait for.
  const std::string key = KeyOf(*set);
  Status created = co_await SlowStart(shared->creates.size(), std::max<size_t>(1, known_[key].batch), create);
  known_[key].batch = created.ok() ? shared->creates.size() : 1;
  if (status.ok()) status = created;
  co_return status;
}

Task<Status> DaemonSetReconciler::CreateOne(ObjectPtr set, JsonPtr pod_template, DaemonSetPlan::Create create) {
  Json pod = DaemonPodFor(*pod_template, create.node, create.name);
  Status status = co_await pod_control_.Create(set, std::move(pod));
  co_return status;
}

Task<Status> DaemonSetReconciler::WriteStatus(ObjectPtr set, DaemonSetStatus status, int64_t observed_generation) {
  const JsonPtr current = set->json();
  auto it = current->find("status");
  const Json* old = it == current->end() ? nullptr : &*it;
  Json made = StatusDocument(status, old, observed_generation, context_.clock.Now());
  if (old && *old == made) co_return Status();
  Json document = *current;
  document["status"] = std::move(made);
  WriteOptions options;
  options.subresource = "status";
  Result<ObjectPtr> written = co_await context_.client.Update(set->key().resource, std::move(document), options);
  co_return written.ok() || written.status().reason() == Reason::kNotFound ? Status() : written.status();
}

void DaemonSetReconciler::ForgetSet(const std::string& key) {
  auto it = known_.find(key);
  if (it == known_.end()) return;
  eligibility_.ForgetSet(it->second.uid);
  backoff_.ForgetSet(it->second.uid);
  known_.erase(it);
}

Duration DaemonSetReconciler::Patience(const std::string& key) const {
  auto it = known_.find(key);
  if (it == known_.end() || it->second.nodes < 100) return Duration(0);
  return std::min<Duration>(std::chrono::milliseconds(50), std::chrono::microseconds(10) * it->second.nodes);
}

void DaemonSetReconciler::OnSet(const Event& event, WorkQueue& queue) {
  const std::string key = KeyOf(*event.object);
  const bool ours_only =
      event.type == EventType::kModified && event.previous &&
      event.previous->view<DaemonSetView>().generation == event.object->view<DaemonSetView>().generation;
  // Changes beside the spec are mostly our own status.
  if (ours_only) return EnqueueCalmly(key, queue);
  queue.Add(key);
}

void DaemonSetReconciler::OnPod(const Event& event, WorkQueue& queue) {
  const MetaView& meta = event.object->view<MetaView>();
  if (event.type == EventType::kModified && event.previous) {
    const MetaView& before = event.previous->view<MetaView>();
    const bool same_owner =
        (meta.controller() ? meta.controller()->uid : "") == (before.controller() ? before.controller()->uid : "");
    if (same_owner && meta.labels == before.labels && event.object->view<PodView>() == event.previous->view<PodView>())
      return;
    if (!same_owner && before.controller() && before.controller()->kind == "DaemonSet") {
      EnqueueCalmly(KeyOf(event.object->ns(), before.controller()->name), queue);
    }
  }
  if (const OwnerRef* owner = meta.controller()) {
    if (owner->kind == "DaemonSet") EnqueueCalmly(KeyOf(event.object->ns(), owner->name), queue);
    return;
  }
  // An orphan: whoever selects it may adopt it.
  if (event.type == EventType::kDeleted) return;
  context_.client.cache().ForEach(resources::kDaemonSets, event.object->ns(), [&](const ObjectPtr& set) {
    const DaemonSetView& view = set->view<DaemonSetView>();
    if (!view.selects_all && view.selector.Matches(*meta.labels)) EnqueueCalmly(KeyOf(*set), queue);
    return true;
  });
}

void DaemonSetReconciler::OnNode(const Event& event, WorkQueue& queue) {
  const Object& node = *event.object;
  const bool gone = event.type == EventType::kDeleted;
  if (event.type == EventType::kModified && event.previous &&
      event.previous->view<NodeView>().placement_hash == node.view<NodeView>().placement_hash) {
    return;  // a heartbeat
  }
  context_.client.cache().ForEach(resources::kDaemonSets, {}, [&](const ObjectPtr& set) {
    if (eligibility_.NodeChanged(*set, node, event.previous.get(), gone)) EnqueueCalmly(KeyOf(*set), queue);
    return true;
  });
}

void DaemonSetReconciler::OnRevision(const Event& event, WorkQueue& queue) {
  if (event.type == EventType::kAdded) return;  // ours, or adopted when the set is looked at
  for (const Object* object : {event.object.get(), static_cast<const Object*>(event.previous.get())}) {
    const OwnerRef* owner = object ? object->view<MetaView>().controller() : nullptr;
    if (owner && owner->kind == "DaemonSet") EnqueueCalmly(KeyOf(object->ns(), owner->name), queue);
  }
}

}  // namespace wherry
