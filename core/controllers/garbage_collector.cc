#include "core/controllers/garbage_collector.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "core/controllers/slow_start.h"
#include "core/runtime/event_recorder.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr char kForeground[] = "foregroundDeletion";
constexpr char kOrphan[] = "orphan";
constexpr size_t kRememberedUids = 8192;
constexpr size_t kWritesAtOnce = 64;

// "resource|namespace|name": none of the three holds a bar.
std::string QueueKey(const ObjectKey& key) { return key.resource + "|" + key.ns + "|" + key.name; }

ObjectKey ParseKey(const std::string& key) {
  const size_t first = key.find('|'), second = key.find('|', first + 1);
  return {key.substr(0, first), key.substr(first + 1, second - first - 1), key.substr(second + 1)};
}

bool Has(const MetaView& meta, std::string_view finalizer) {
  return std::find(meta.finalizers.begin(), meta.finalizers.end(), finalizer) != meta.finalizers.end();
}

bool WaitsForDependents(const Object& object) {
  const MetaView& meta = object.view<MetaView>();
  return meta.deleting() && Has(meta, kForeground);
}

bool SameOwners(const MetaView& a, const MetaView& b) {
  return std::equal(a.owners.begin(), a.owners.end(), b.owners.begin(), b.owners.end(),
                    [](const OwnerRef& x, const OwnerRef& y) {
                      return x.uid == y.uid && x.name == y.name && x.kind == y.kind &&
                             x.block_owner_deletion == y.block_owner_deletion;
                    });
}

class Collector : public std::enable_shared_from_this<Collector> {
 public:
  Collector(RuntimeContext context, const KindCatalog& catalog)
      : context_(context), catalog_(catalog), events_(context, "garbage-collector-controller") {}

  void OnEvent(const Event& event, WorkQueue& queue) {
    queue_ = &queue;
    const Object& object = *event.object;
    const MetaView& meta = object.view<MetaView>();
    if (event.type == EventType::kDeleted) {
      Remember(object.uid());
      for (const ObjectPtr& dependent : context_.client.cache().ByIndex(kIndexOwnerUid, object.uid()))
        Enqueue(*dependent);
      WakeWaitingOwners(object);
      return;
    }
    const MetaView* before = event.previous ? &event.previous->view<MetaView>() : nullptr;
    if (meta.deleting() && (Has(meta, kForeground) || Has(meta, kOrphan))) {
      if (!before || !before->deleting() || before->finalizers != meta.finalizers) Enqueue(object);
    }
    const bool news = !before || !SameOwners(meta, *before);
    if (news && !meta.owners.empty()) Enqueue(object);
    if (news && before) WakeWaitingOwners(*event.previous);  // one of them may have lost what it waited for
  }

  Task<ReconcileResult> Reconcile(std::string key) {
    ReconcileResult result;
    const ObjectPtr object = context_.client.cache().Get(ParseKey(key));
    if (!object) co_return result;
    const MetaView& meta = object->view<MetaView>();
    if (meta.deleting()) {
      if (Has(meta, kOrphan)) {
        result.status = co_await OrphanDependents(object);
      } else if (Has(meta, kForeground)) {
        result.status = co_await DeleteDependentsFirst(object);
      }
    } else if (!meta.owners.empty()) {
      result.status = co_await CheckOwners(object);
    }
    if (result.status.reason() == Reason::kNotFound) result.status = Status();
    co_return result;
  }

 private:
  enum class Standing : uint8_t { kSolid, kDangling, kWaiting };

  void Enqueue(const Object& object) { queue_->Add(QueueKey(object.key())); }

  void Remember(const std::string& uid) {
    if (!deleted_.insert(uid).second) return;
    deleted_order_.push_back(uid);
    if (deleted_order_.size() <= kRememberedUids) return;
    deleted_.erase(deleted_order_.front());
    deleted_order_.pop_front();
  }

  // The kind an owner reference speaks of, in whatever version; null when no such kind is served.
  const Kind* KindOf(const OwnerRef& ref) const {
    const size_t slash = ref.api_version.find('/');
    const std::string group = slash == std::string::npos ? "" : ref.api_version.substr(0, slash);
    const std::string version = slash == std::string::npos ? ref.api_version : ref.api_version.substr(slash + 1);
    const Kind* found = catalog_.FindGvk(group, version, ref.kind);
    if (found) return found->storage ? found->storage : found;
    for (const auto& kind : catalog_.kinds()) {
      if (kind->gvk.group == group && kind->gvk.kind == ref.kind) return kind->storage ? kind->storage : kind.get();
    }
    return nullptr;
  }

  // The owner as `object` names it; null when absent.
  ObjectPtr FindOwner(const Object& object, const OwnerRef& ref) const {
    const Kind* kind = KindOf(ref);
    if (!kind) return nullptr;
    ObjectPtr owner =
        context_.client.cache().Get(kind->resource, kind->namespaced ? object.ns() : std::string(), ref.name);
    return owner && owner->uid() == ref.uid ? owner : nullptr;
  }

  void WakeWaitingOwners(const Object& object) {
    for (const OwnerRef& ref : object.view<MetaView>().owners) {
      const ObjectPtr owner = FindOwner(object, ref);
      if (owner && WaitsForDependents(*owner)) Enqueue(*owner);
    }
  }

  Standing Judge(const Object& object, const OwnerRef& ref) {
    const Kind* kind = KindOf(ref);
    if (!kind) return Standing::kSolid;  // what cannot be looked up cannot be called absent
    if (kind->namespaced && object.ns().empty()) {
      ReportNamespace(object, ref);
      return Standing::kSolid;  // a mistake that deleting would not mend
    }
    const ObjectPtr owner = FindOwner(object, ref);
    if (owner) return WaitsForDependents(*owner) ? Standing::kWaiting : Standing::kSolid;
    if (kind->namespaced && !deleted_.contains(ref.uid) && LivesElsewhere(*kind, ref)) ReportNamespace(object, ref);
    return Standing::kDangling;
  }

  bool LivesElsewhere(const Kind& kind, const OwnerRef& ref) const {
    bool found = false;
    context_.client.cache().ForEach(kind.resource, {}, [&](const ObjectPtr& candidate) {
      found = candidate->uid() == ref.uid;
      return !found;
    });
    return found;
  }

  void ReportNamespace(const Object& object, const OwnerRef& ref) {
    events_.Warning(object, "OwnerRefInvalidNamespace",
                    "ownerRef [" + ref.api_version + "/" + ref.kind + ", namespace: " + object.ns() + ", name: " +
                        ref.name + ", uid: " + ref.uid + "] does not exist in namespace \"" + object.ns() + "\"");
  }

  Task<Status> CheckOwners(ObjectPtr object) {
    const MetaView& meta = object->view<MetaView>();
    std::vector<std::string> drop;
    size_t solid = 0, waiting = 0;
    for (const OwnerRef& ref : meta.owners) {
      const Standing standing = Judge(*object, ref);
      if (standing == Standing::kSolid) {
        ++solid;
      } else {
        drop.push_back(ref.uid);
        if (standing == Standing::kWaiting) ++waiting;
      }
    }
    if (drop.empty()) co_return Status();
    if (solid > 0) {
      Status dropped = co_await DropReferences(object, drop);
      co_return dropped;
    }
    DeleteOptions options;
    options.uid_precondition = object->uid();
    options.revision_precondition = object->revision();
    options.propagation = Has(meta, kOrphan) ? Propagation::kOrphan : Propagation::kBackground;
    if (Has(meta, kForeground)) options.propagation = Propagation::kForeground;
    const std::vector<ObjectPtr> dependents = context_.client.cache().ByIndex(kIndexOwnerUid, object->uid());
    if (waiting > 0 && !dependents.empty()) {
      // Foreground goes all the way down. A circle of owners would wait for itself: let go of those above.
      options.propagation = Propagation::kForeground;
      const bool circle =
          std::any_of(dependents.begin(), dependents.end(), [](const ObjectPtr& d) { return WaitsForDependents(*d); });
      if (circle) {
        Result<ObjectPtr> unblocked = co_await Unblock(object);
        if (!unblocked.ok()) co_return unblocked.status();
        options.revision_precondition = unblocked.value()->revision();
      }
    }
    Result<ObjectPtr> gone =
        co_await context_.client.Delete(object->key().resource, object->ns(), object->name(), options);
    co_return gone.ok() ? Status() : gone.status();
  }

  Task<Status> DeleteDependentsFirst(ObjectPtr owner) {
    bool blocked = false;
    for (const ObjectPtr& dependent : context_.client.cache().ByIndex(kIndexOwnerUid, owner->uid())) {
      if (!InScope(*owner, *dependent)) continue;
      for (const OwnerRef& ref : dependent->view<MetaView>().owners) {
        if (ref.uid != owner->uid() || !ref.block_owner_deletion) continue;
        blocked = true;
        if (!dependent->view<MetaView>().deleting()) Enqueue(*dependent);
      }
    }
    if (blocked) co_return Status();  // the last one's end wakes us
    Status removed = co_await RemoveFinalizer(owner, kForeground);
    co_return removed;
  }

  Task<Status> OrphanDependents(ObjectPtr owner) {
    auto dependents = std::make_shared<std::vector<ObjectPtr>>();
    for (ObjectPtr& dependent : context_.client.cache().ByIndex(kIndexOwnerUid, owner->uid())) {
      if (InScope(*owner, *dependent)) dependents->push_back(std::move(dependent));
    }
    BatchStep step = [this, dependents, uid = owner->uid()](size_t i) {
      return DropReferences((*dependents)[i], std::vector<std::string>{uid});
    };
    Status dropped = co_await RunInGroups(dependents->size(), kWritesAtOnce, step);
    if (!dropped.ok() && dropped.reason() != Reason::kNotFound) co_return dropped;
    Status removed = co_await RemoveFinalizer(owner, kOrphan);
    co_return removed;
  }

  static bool InScope(const Object& owner, const Object& dependent) {
    return owner.ns().empty() || owner.ns() == dependent.ns();
  }

  Task<Status> DropReferences(ObjectPtr object, std::vector<std::string> uids) {
    Json document = *object->json();
    Json& metadata = document["metadata"];
    Json kept = Json::array();
    for (const Json& ref : metadata["ownerReferences"]) {
      if (std::find(uids.begin(), uids.end(), StringAt(ref, "uid")) == uids.end()) kept.push_back(ref);
    }
    metadata.erase("ownerReferences");
    if (!kept.empty()) metadata["ownerReferences"] = std::move(kept);
    Result<ObjectPtr> updated = co_await context_.client.Update(object->key().resource, std::move(document));
    co_return updated.ok() ? Status() : updated.status();
  }

  Task<Result<ObjectPtr>> Unblock(ObjectPtr object) {
    Json document = *object->json();
    for (Json& ref : document["metadata"]["ownerReferences"]) ref["blockOwnerDeletion"] = false;
    Result<ObjectPtr> updated = co_await context_.client.Update(object->key().resource, std::move(document));
    co_return updated;
  }

  Task<Status> RemoveFinalizer(ObjectPtr object, std::string finalizer) {
    Json document = *object->json();
    Json& metadata = document["metadata"];
    Json kept = Json::array();
    for (const Json& name : metadata["finalizers"]) {
      if (name != finalizer) kept.push_back(name);
    }
    metadata["finalizers"] = std::move(kept);
    Result<ObjectPtr> updated = co_await context_.client.Update(object->key().resource, std::move(document));
    co_return updated.ok() ? Status() : updated.status();
  }

  RuntimeContext context_;
  const KindCatalog& catalog_;
  EventRecorder events_;
  WorkQueue* queue_ = nullptr;  // the controller's, from its first event on
  // Uids known to be gone: their dependents need no search for a namesake elsewhere.
  std::unordered_set<std::string> deleted_;
  std::deque<std::string> deleted_order_;
};

}  // namespace

ControllerSpec GarbageCollector(RuntimeContext context, const KindCatalog& catalog) {
  auto self = std::make_shared<Collector>(context, catalog);
  ControllerSpec spec;
  spec.name = "garbage-collector";
  spec.workers = 16;
  spec.watches = {{"", [self](const Event& event, WorkQueue& queue) { self->OnEvent(event, queue); }}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  // The bus's "" is every resource, the cache's is none: what is there at the start is looked at here.
  spec.on_start = [self, &client = context.client](WorkQueue& queue) {
    for (const std::string& resource : client.cache().Resources()) {
      client.cache().ForEach(resource, {}, [&](const ObjectPtr& object) {
        Event seen;
        seen.object = object;
        self->OnEvent(seen, queue);
        return true;
      });
    }
  };
  return spec;
}

}  // namespace wherry
