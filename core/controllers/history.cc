#include "core/controllers/history.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/node_view.h"
#include "core/controllers/ownership.h"
#include "core/controllers/pod_control.h"
#include "core/controllers/pod_view.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr char kLastApplied[] = "kubectl.kubernetes.io/last-applied-configuration";
// No vowels and no lookalikes: hashes shall spell nothing.
constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";

constexpr int kMaxCollisions = 8;

int64_t NumberOf(const ObjectPtr& revision) { return revision->view<RevisionView>().revision; }

Json NewRevision(const Object& owner, const Json& pod_template, const std::string& hash, int64_t number, Json patch) {
  const JsonPtr document = owner.json();
  Json metadata = {{"name", owner.name() + "-" + hash}, {"namespace", owner.ns()}};
  const Json* labels = FindPath(pod_template, "metadata.labels");
  metadata["labels"] = labels && labels->is_object() ? *labels : Json::object();
  metadata["labels"][kRevisionHashLabel] = hash;
  // The change cause among them is what `kubectl rollout history` shows.
  if (const Json* annotations = FindPath(*document, "metadata.annotations"); annotations && annotations->is_object()) {
    metadata["annotations"] = *annotations;
    metadata["annotations"].erase(kLastApplied);
  }
  metadata["ownerReferences"] = Json::array({ControllerReference(owner)});
  return {{"metadata", std::move(metadata)}, {"data", std::move(patch)}, {"revision", number}};
}

// True when the revision in the way belongs to an earlier object of the same name: it is on its way out.
bool IsPredecessors(const WatchCache& cache, const Object& owner, const std::string& hash) {
  const ObjectPtr there = cache.Get(resources::kControllerRevisions, owner.ns(), owner.name() + "-" + hash);
  const OwnerRef* controller = there ? there->view<MetaView>().controller() : nullptr;
  return controller && controller->name == owner.name() && controller->uid != owner.uid() &&
         controller->kind == StringAt(*owner.json(), "kind");
}

Task<Status> Relabel(Client& client, ObjectPtr object, std::string hash) {
  Json document = *object->json();
  document["metadata"]["labels"][kRevisionHashLabel] = std::move(hash);
  Result<ObjectPtr> updated = co_await client.Update(object->key().resource, std::move(document));
  co_return updated.ok() ? Status() : updated.status();
}

Task<Status> Remove(Client& client, ObjectPtr revision) {
  DeleteOptions options;
  options.uid_precondition = revision->uid();
  Result<ObjectPtr> gone = co_await client.Delete(revision->key().resource, revision->ns(), revision->name(), options);
  co_return gone.ok() || gone.status().reason() == Reason::kNotFound ? Status() : gone.status();
}

}  // namespace

RevisionView::RevisionView(const Json& object) {
  revision = IntAt(object, "revision");
  if (const Json* labels = FindPath(object, "metadata.labels")) {
    if (auto it = labels->find(kRevisionHashLabel); it != labels->end() && it->is_string()) hash = *it;
  }
  auto it = object.find("data");
  data = std::make_shared<const Json>(it == object.end() ? Json() : *it);
}

Json TemplatePatch(const Json& pod_template) {
  Json content = pod_template;
  content["$patch"] = "replace";
  // Always there and null in what Go writes: `kubectl rollout undo` compares bytes to see that there is nothing to do.
  content["metadata"]["creationTimestamp"] = nullptr;
  return {{"spec", {{"template", std::move(content)}}}};
}

std::string TemplateHash(const Json& pod_template, std::optional<int64_t> collision_count) {
  uint64_t hash = Fnv1a64(pod_template.dump());
  if (collision_count) hash = Fnv1a64(std::to_string(*collision_count), hash);
  const std::string digits = std::to_string(static_cast<uint32_t>(hash ^ (hash >> 32)));
  std::string out;
  for (const char digit : digits) out.push_back(kAlphabet[static_cast<unsigned char>(digit) % kAlphabet.size()]);
  return out;
}

HistoryPlan PlanHistory(const Json& patch, const std::vector<ObjectPtr>& owned) {
  HistoryPlan plan;
  for (const ObjectPtr& revision : owned) {
    if (*revision->view<RevisionView>().data == patch) {
      if (!plan.current) {
        plan.current = revision;
      } else if (NumberOf(revision) > NumberOf(plan.current)) {
        plan.duplicates.push_back(std::exchange(plan.current, revision));
      } else {
        plan.duplicates.push_back(revision);
      }
    } else {
      plan.old.push_back(revision);
      plan.revision = std::max(plan.revision, NumberOf(revision) + 1);
    }
  }
  std::stable_sort(plan.old.begin(), plan.old.end(),
                   [](const ObjectPtr& a, const ObjectPtr& b) { return NumberOf(a) < NumberOf(b); });
  if (plan.current) plan.revision = std::max(plan.revision, NumberOf(plan.current));
  return plan;
}

std::string LabelOf(const Object& revision, RevisionLabel label) {
  return label == RevisionLabel::kName ? revision.name() : revision.view<RevisionView>().hash;
}

std::vector<ObjectPtr> SurplusRevisions(const std::vector<ObjectPtr>& old, int64_t limit,
                                        const std::set<std::string>& live_labels, RevisionLabel label) {
  std::vector<ObjectPtr> out;
  int64_t surplus = static_cast<int64_t>(old.size()) - std::max<int64_t>(0, limit);
  for (const ObjectPtr& revision : old) {
    if (surplus <= 0) break;
    if (live_labels.contains(LabelOf(*revision, label))) continue;
    out.push_back(revision);
    --surplus;
  }
  return out;
}

namespace {

// kAlreadyExists: a revision of that name has other content.
Task<Result<History>> SyncHistory(Client& client, ObjectPtr owner, std::optional<int64_t> collision_count,
                                  std::vector<ObjectPtr> owned, std::vector<ObjectPtr> pods, RevisionLabel label) {
  const JsonPtr document = owner->json();
  const Json& pod_template = document->at("spec").at("template");
  const std::string resource(resources::kControllerRevisions);
  for (ObjectPtr& revision : owned) {
    // Made by hand or by something older: its name says as much as a hash.
    if (!revision->view<RevisionView>().hash.empty()) continue;
    Status labelled = co_await Relabel(client, revision, revision->name());
    if (!labelled.ok()) co_return labelled;
    revision = client.cache().Get(revision->key());
    if (!revision) co_return Status(Reason::kConflict, "a revision went away");
  }

  const Json patch = TemplatePatch(pod_template);
  HistoryPlan plan = PlanHistory(patch, owned);
  if (!plan.current) {
    const std::string hash = TemplateHash(pod_template, collision_count);
    Json made = NewRevision(*owner, pod_template, hash, plan.revision, patch);
    Result<ObjectPtr> created = co_await client.Create(resource, owner->ns(), std::move(made));
    if (!created.ok()) {
      if (created.status().reason() == Reason::kAlreadyExists && IsPredecessors(client.cache(), *owner, hash)) {
        co_return Status(Reason::kConflict, "the revision of a predecessor is still being collected");
      }
      co_return created.status();
    }
    plan.current = created.value();
  }
  if (NumberOf(plan.current) < plan.revision) {
    Json renumbered = *plan.current->json();
    renumbered["revision"] = plan.revision;
    Result<ObjectPtr> updated = co_await client.Update(resource, std::move(renumbered));
    if (!updated.ok()) co_return updated.status();
    plan.current = updated.value();
  }
  const std::string kept = LabelOf(*plan.current, label);
  for (const ObjectPtr& duplicate : plan.duplicates) {
    for (const ObjectPtr& pod : pods) {
      if (pod->view<PodView>().revision_hash != LabelOf(*duplicate, label)) continue;
      Status relabelled = co_await Relabel(client, pod, kept);
      if (!relabelled.ok()) co_return relabelled;
    }
    Status removed = co_await Remove(client, duplicate);
    if (!removed.ok()) co_return removed;
  }
  History history;
  history.current = std::move(plan.current);
  history.label = kept;
  history.old = std::move(plan.old);
  co_return history;
}

}  // namespace

Task<Result<History>> BringHistoryUpToDate(Client& client, ObjectPtr owner, LabelSelector selector,
                                           std::vector<ObjectPtr> pods, RevisionLabel label) {
  const std::string resource(resources::kControllerRevisions);
  for (int collision = 0;; ++collision) {
    std::optional<int64_t> count;
    const JsonPtr document = owner->json();
    if (Has(*document, "status.collisionCount")) count = IntAt(*document, "status.collisionCount");
    Result<std::vector<ObjectPtr>> owned = co_await ClaimObjects(client, resource, owner, selector, false);
    if (!owned.ok()) co_return owned.status();
    Result<History> history = co_await SyncHistory(client, owner, count, *owned, pods, label);
    if (history.ok() || history.status().reason() != Reason::kAlreadyExists || collision == kMaxCollisions) {
      co_return history;
    }
    // Another template has this short name: count the collision, which makes another hash.
    Json counted = *document;
    counted["status"]["collisionCount"] = count.value_or(0) + 1;
    WriteOptions options;
    options.subresource = "status";
    Result<ObjectPtr> updated = co_await client.Update(owner->key().resource, std::move(counted), options);
    if (!updated.ok()) co_return updated.status();
    owner = updated.value();
  }
}

Task<Status> TrimHistory(Client& client, std::vector<ObjectPtr> old, int64_t limit, std::set<std::string> live_labels,
                         RevisionLabel label) {
  for (const ObjectPtr& revision : SurplusRevisions(old, limit, live_labels, label)) {
    Status removed = co_await Remove(client, revision);
    if (!removed.ok()) co_return removed;
  }
  co_return Status();
}

}  // namespace wherry
