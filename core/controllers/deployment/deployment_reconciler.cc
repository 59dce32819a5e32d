#include "core/controllers/deployment/deployment_reconciler.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/deployment/deployment_revision.h"
#include "core/controllers/deployment/new_replica_set.h"
#include "core/controllers/history.h"
#include "core/controllers/ownership.h"
#include "core/controllers/pod_control.h"
#include "core/controllers/pod_view.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

const std::string& Resource() {
  static const std::string kResource(resources::kReplicaSets);
  return kResource;
}

bool IsNewest(const Object& deployment, const Object& set) {
  if (deployment.view<DeploymentView>().template_digest != set.view<RolloutSetView>().template_digest) return false;
  const JsonPtr wanted = deployment.json(), there = set.json();
  return PlainTemplate(At(*wanted, "spec.template")) == PlainTemplate(At(*there, "spec.template"));
}

int64_t NextRevision(const std::vector<ObjectPtr>& old) {
  int64_t highest = 0;
  for (const ObjectPtr& set : old) highest = std::max(highest, set->view<RolloutSetView>().revision);
  return highest + 1;
}

// A patch of a ReplicaSet that holds only while it is the same one.
Json PatchOf(const Object& set) { return {{"metadata", {{"uid", set.uid()}}}}; }

}  // namespace

DeploymentReconciler::DeploymentReconciler(RuntimeContext context)
    : context_(context), events_(context, "deployment-controller") {}

Task<ReconcileResult> DeploymentReconciler::Reconcile(std::string key) {
  ReconcileResult result;
  const auto [ns, name] = SplitKey(key);
  const WatchCache& cache = context_.client.cache();
  ObjectPtr deployment = cache.Get(resources::kDeployments, ns, name);
  if (!deployment || deployment->view<DeploymentView>().deleting) co_return result;  // the garbage collector's
  const std::string uid = deployment->uid();
  if (deployment->view<DeploymentView>().selects_all) {
    events_.Warning(*deployment, "SelectingAll",
                    "This deployment is selecting all pods. A non-empty selector is required.");
    co_return result;
  }
  const LabelSelector selector = deployment->view<DeploymentView>().selector;
  Result<std::vector<ObjectPtr>> sets = co_await ClaimObjects(context_.client, Resource(), deployment, selector, false);
  if (!sets.ok()) {
    result.status = sets.status();
    co_return result;
  }

  // What is there now, after every wait: who waited was not alone.
  auto look_again = [&](Snapshot& snapshot) {
    deployment = cache.Get(resources::kDeployments, ns, name);
    if (!deployment || deployment->uid() != uid) return false;
    const DeploymentView& view = deployment->view<DeploymentView>();
    if (view.deleting) return false;
    snapshot = Take(deployment, SortClaims(cache, Resource(), *deployment, view.selector, false).ours);
    return true;
  };
  Snapshot snapshot;
  if (!look_again(snapshot)) co_return result;
  const int64_t revision = NextRevision(snapshot.old);
  RolloutNews news;
  if (snapshot.newest) {
    news.found = snapshot.newest->name();
    bool changed = false;
    result.status = co_await SyncRevision(deployment, snapshot.newest, revision, &changed);
    if (!result.status.ok()) co_return result;
    if (changed && !look_again(snapshot)) co_return result;
  }

  const DeploymentPlan plan = PlanDeployment(snapshot.inputs);
  const bool acts = plan.create || !plan.scales.empty() || !plan.removals.empty();
  if (plan.create) {
    result.status = co_await CreateNewest(deployment, revision, *plan.create, &news);
    if (IsNamespaceTerminating(result.status)) co_return ReconcileResult();             // nothing to try again
    if (result.status.reason() == Reason::kAlreadyExists) co_return ReconcileResult();  // counted: comes back at once
  }
  for (const DeploymentPlan::Scale& scale : plan.scales) {
    Status scaled = co_await Scale(deployment, scale);
    if (result.status.ok()) result.status = scaled;
  }
  for (const std::string& surplus : plan.removals) {
    Status removed = co_await Remove(deployment, surplus);
    if (result.status.ok()) result.status = removed;
  }

  // The status tells of the spec that was acted on; a newer one is on the queue.
  const ObjectPtr acted_on = deployment;
  if (acts) {
    const ObjectPtr latest = cache.Get(resources::kDeployments, ns, name);
    if (!latest || latest->uid() != uid) co_return result;
    const DeploymentView& view = acted_on->view<DeploymentView>();
    snapshot = Take(acted_on, SortClaims(cache, Resource(), *acted_on, view.selector, false).ours);
  }
  const RolloutReport report = ReportRollout(snapshot.inputs, news, !plan.resizing, context_.clock.Now());
  result.requeue_after = report.requeue_after;
  Json document = DeploymentStatusDocument(report, acted_on->view<DeploymentView>());
  Status written = co_await WriteStatus(acted_on, std::move(document));
  if (result.status.ok()) result.status = written;
  co_return result;
}

DeploymentReconciler::Snapshot DeploymentReconciler::Take(ObjectPtr deployment, std::vector<ObjectPtr> sets) const {
  Snapshot out;
  out.deployment = std::move(deployment);
  // Of several with the same template, the oldest is the one: upstream's rule for what was made by hand.
  for (const ObjectPtr& set : sets) {
    if (!IsNewest(*out.deployment, *set)) continue;
    if (!out.newest || set->view<RolloutSetView>().created < out.newest->view<RolloutSetView>().created) {
      out.newest = set;
    }
  }
  for (ObjectPtr& set : sets) {
    if (set != out.newest) out.old.push_back(std::move(set));
  }
  DeploymentInputs& inputs = out.inputs;
  inputs.deployment = &out.deployment->view<DeploymentView>();
  if (out.newest) inputs.newest = RolloutSet{out.newest->name(), &out.newest->view<RolloutSetView>()};
  for (const ObjectPtr& set : out.old) inputs.old.push_back({set->name(), &set->view<RolloutSetView>()});
  if (inputs.deployment->recreate) inputs.old_pods_left = AnyPodsLeft(out.old);
  return out;
}

bool DeploymentReconciler::AnyPodsLeft(const std::vector<ObjectPtr>& sets) const {
  for (const ObjectPtr& set : sets) {
    for (const ObjectPtr& pod : context_.client.cache().ByIndex(kIndexOwnerUid, set->uid())) {
      if (pod->key().resource == resources::kPods && !pod->view<PodView>().terminal()) return true;
    }
  }
  return false;
}

Task<Status> DeploymentReconciler::SyncRevision(ObjectPtr deployment, ObjectPtr newest, int64_t revision,
                                                bool* changed) {
  const DeploymentView& view = deployment->view<DeploymentView>();
  Json annotations = RevisedAnnotations(*deployment->json(), *newest->json(), revision);
  const bool other_wait = newest->view<RolloutSetView>().min_ready_seconds != view.min_ready_seconds;
  std::string number = std::to_string(newest->view<RolloutSetView>().revision);
  if (annotations.contains(kRevision)) number = annotations[kRevision].get<std::string>();
  if (!annotations.empty() || other_wait) {
    Json patch = PatchOf(*newest);
    patch["metadata"]["annotations"] = std::move(annotations);
    if (other_wait) patch["spec"]["minReadySeconds"] = view.min_ready_seconds;
    *changed = true;
    Result<ObjectPtr> patched =
        co_await context_.client.Patch(Resource(), newest->ns(), newest->name(), PatchType::kMerge, std::move(patch));
    if (!patched.ok()) co_return patched.status();
  }
  if (number == "0" || view.revision == number) co_return Status();
  Json patch = PatchOf(*deployment);
  patch["metadata"]["annotations"][kRevision] = number;
  *changed = true;
  Result<ObjectPtr> patched = co_await context_.client.Patch(deployment->key().resource, deployment->ns(),
                                                             deployment->name(), PatchType::kMerge, std::move(patch));
  co_return patched.ok() ? Status() : patched.status();
}

Task<Status> DeploymentReconciler::CreateNewest(ObjectPtr deployment, int64_t revision, int64_t replicas,
                                                RolloutNews* news) {
  const DeploymentView& view = deployment->view<DeploymentView>();
  const std::string hash = TemplateHash(At(*deployment->json(), "spec.template"), view.collision_count);
  const std::string name = deployment->name() + "-" + hash;
  Json set = NewReplicaSet(*deployment, hash, revision, replicas);
  Result<ObjectPtr> made = co_await context_.client.Create(Resource(), deployment->ns(), std::move(set));
  if (made.ok()) {
    news->created = name;
    if (replicas > 0) {
      events_.Normal(*deployment, "ScalingReplicaSet",
                     "Scaled up replica set " + name + " from 0 to " + std::to_string(replicas));
    }
    co_return Status();
  }
  if (made.status().reason() == Reason::kAlreadyExists) {
    Json status = At(*deployment->json(), "status");
    if (!status.is_object()) status = Json::object();
    status["collisionCount"] = view.collision_count.value_or(0) + 1;
    Status counted = co_await WriteStatus(deployment, std::move(status));
    co_return counted.ok() ? made.status() : counted;
  }
  if (!IsNamespaceTerminating(made.status())) {
    news->create_failed = "Failed to create new replica set \"" + name + "\": " + made.status().message();
    events_.Warning(*deployment, "ReplicaSetCreateError", news->create_failed);
  }
  co_return made.status();
}

Task<Status> DeploymentReconciler::Scale(ObjectPtr deployment, DeploymentPlan::Scale scale) {
  const ObjectPtr set = context_.client.cache().Get(Resource(), deployment->ns(), scale.name);
  if (!set) co_return Status(Reason::kNotFound, "replica set " + scale.name + " is gone");
  const DeploymentView& view = deployment->view<DeploymentView>();
  Json patch = PatchOf(*set);
  patch["metadata"]["annotations"] = {{kDesiredReplicas, std::to_string(view.replicas)},
                                      {kMaxReplicas, std::to_string(view.replicas + view.Surge())}};
  if (scale.from != scale.to) patch["spec"]["replicas"] = scale.to;
  Result<ObjectPtr> patched =
      co_await context_.client.Patch(Resource(), set->ns(), set->name(), PatchType::kMerge, std::move(patch));
  if (!patched.ok()) co_return patched.status();
  if (scale.from != scale.to) {
    events_.Normal(*deployment, "ScalingReplicaSet",
                   std::string(scale.from < scale.to ? "Scaled up" : "Scaled down") + " replica set " + scale.name +
                       " from " + std::to_string(scale.from) + " to " + std::to_string(scale.to));
  }
  co_return Status();
}

Task<Status> DeploymentReconciler::Remove(ObjectPtr deployment, std::string name) {
  const ObjectPtr set = context_.client.cache().Get(Resource(), deployment->ns(), name);
  if (!set) co_return Status();
  DeleteOptions options;
  options.uid_precondition = set->uid();
  // It had no pods when this was planned, and gets none unless it has changed since.
  options.revision_precondition = set->revision();
  Result<ObjectPtr> gone = co_await context_.client.Delete(Resource(), set->ns(), name, options);
  co_return gone.ok() || gone.status().reason() == Reason::kNotFound ? Status() : gone.status();
}

Task<Status> DeploymentReconciler::WriteStatus(ObjectPtr deployment, Json status) {
  const JsonPtr current = deployment->json();
  if (At(*current, "status") == status) co_return Status();
  // Nobody else writes it, so only the uid is insisted on.
  Json document = {
      {"metadata", {{"namespace", deployment->ns()}, {"name", deployment->name()}, {"uid", deployment->uid()}}},
      {"status", std::move(status)}};
  WriteOptions options;
  options.subresource = "status";
  Result<ObjectPtr> written = co_await context_.client.Update(deployment->key().resource, std::move(document), options);
  co_return written.ok() || written.status().reason() == Reason::kNotFound ? Status() : written.status();
}

void DeploymentReconciler::OnReplicaSet(const Event& event, WorkQueue& queue) {
  const Object& set = *event.object;
  const OwnerRef* owner = set.view<MetaView>().controller();
  const OwnerRef* was = event.previous ? event.previous->view<MetaView>().controller() : nullptr;
  if (was && was->kind == "Deployment" && (!owner || owner->uid != was->uid)) queue.Add(KeyOf(set.ns(), was->name));
  if (owner) {
    if (owner->kind == "Deployment") queue.Add(KeyOf(set.ns(), owner->name));
    return;
  }
  // An orphan: whoever selects it may adopt it.
  if (event.type == EventType::kDeleted) return;
  context_.client.cache().ForEach(resources::kDeployments, set.ns(), [&](const ObjectPtr& deployment) {
    const DeploymentView& view = deployment->view<DeploymentView>();
    if (!view.selects_all && view.selector.Matches(*set.view<MetaView>().labels)) queue.Add(KeyOf(*deployment));
    return true;
  });
}

void DeploymentReconciler::OnPod(const Event& event, WorkQueue& queue) {
  const bool gone = event.type == EventType::kDeleted;
  const bool ended = event.type == EventType::kModified && event.object->view<PodView>().terminal() &&
                     !(event.previous && event.previous->view<PodView>().terminal());
  if (!gone && !ended) return;
  const OwnerRef* owner = event.object->view<MetaView>().controller();
  if (!owner || owner->kind != "ReplicaSet") return;
  const ObjectPtr set = context_.client.cache().Get(Resource(), event.object->ns(), owner->name);
  const OwnerRef* parent = set ? set->view<MetaView>().controller() : nullptr;
  if (!parent || parent->kind != "Deployment") return;
  const ObjectPtr deployment = context_.client.cache().Get(resources::kDeployments, event.object->ns(), parent->name);
  if (deployment && deployment->view<DeploymentView>().recreate) queue.Add(KeyOf(*deployment));
}

}  // namespace wherry
