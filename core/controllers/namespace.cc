#include "core/controllers/namespace.h"

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/controllers/slow_start.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr char kFinalizer[] = "kubernetes";
constexpr size_t kWritesAtOnce = 128;
// From when we see a namespace go until we empty it. `kubectl delete -f` names the namespace first and then what is in
// it, and must find it still there. Kubernetes waits 5 s.
constexpr Duration kGrace = std::chrono::seconds(1);

// What is left of a namespace.
struct Remains {
  std::map<std::string, size_t> by_resource;
  std::map<std::string, size_t> by_finalizer;
  std::vector<ObjectPtr> to_delete;  // not being deleted yet
  bool empty() const { return by_resource.empty(); }
};

Remains Look(const WatchCache& cache, const std::string& ns) {
  Remains out;
  for (const std::string& resource : cache.Resources()) {
    cache.ForEach(resource, ns, [&](const ObjectPtr& object) {
      const MetaView& meta = object->view<MetaView>();
      ++out.by_resource[resource];
      for (const std::string& finalizer : meta.finalizers) ++out.by_finalizer[finalizer];
      if (!meta.deleting()) out.to_delete.push_back(object);
      return true;
    });
  }
  return out;
}

std::string Listed(const std::map<std::string, size_t>& counts, const char* in) {
  std::string out;
  for (const auto& [what, count] : counts) {
    out += (out.empty() ? "" : ", ") + what + in + std::to_string(count) + " resource instances";
  }
  return out;
}

struct ConditionRow {
  const char* type;
  bool value;
  const char* reason;
  std::string message;
};

Json Conditions(const Json* old, const Remains& remains, const Status& failure, Time now) {
  const bool left = !remains.empty(), held = !remains.by_finalizer.empty(), failed = !failure.ok();
  const ConditionRow rows[] = {
      {"NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered", "All resources successfully discovered"},
      {"NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions",
       "All legacy kube types successfully parsed"},
      {"NamespaceDeletionContentFailure", failed, failed ? "ContentDeletionFailed" : "ContentDeleted",
       failed ? "Failed to delete all resource types, 1 remaining: " + failure.message()
              : "All content successfully deleted, may be waiting on finalization"},
      {"NamespaceContentRemaining", left, left ? "SomeResourcesRemain" : "ContentRemoved",
       left ? "Some resources are remaining: " + Listed(remains.by_resource, " has ")
            : "All content successfully removed"},
      {"NamespaceFinalizersRemaining", held, held ? "SomeFinalizersRemain" : "ContentHasNoFinalizers",
       held ? "Some content in the namespace has finalizers remaining: " + Listed(remains.by_finalizer, " in ")
            : "All content-preserving finalizers finished"},
  };
  Json out = old && old->is_array() ? *old : Json::array();
  for (const ConditionRow& row : rows) {
    const char* status = row.value ? "True" : "False";
    Json made = {{"type", row.type},
                 {"status", status},
                 {"reason", row.reason},
                 {"message", row.message},
                 {"lastTransitionTime", FormatTime(now)}};
    auto it = std::find_if(out.begin(), out.end(), [&](const Json& c) { return StringAt(c, "type") == row.type; });
    if (it == out.end()) {
      out.push_back(std::move(made));
    } else {
      if (StringAt(*it, "status") == status) made["lastTransitionTime"] = (*it)["lastTransitionTime"];
      *it = std::move(made);
    }
  }
  return out;
}

class NamespaceReconciler : public std::enable_shared_from_this<NamespaceReconciler> {
 public:
  explicit NamespaceReconciler(RuntimeContext context) : context_(context) {}

  void OnEvent(const Event& event, WorkQueue& queue) const {
    const Object& object = *event.object;
    if (object.key().resource == resources::kNamespaces) {
      if (event.type != EventType::kDeleted && object.view<MetaView>().deleting()) queue.Add(object.name());
      return;
    }
    // Content that goes, or that slipped in, matters to a namespace on its way out only.
    if (object.ns().empty() || event.type == EventType::kModified) return;
    const ObjectPtr ns = context_.client.cache().Get(resources::kNamespaces, "", object.ns());
    if (ns && ns->view<MetaView>().deleting()) queue.Add(object.ns());
  }

  Task<ReconcileResult> Reconcile(std::string name) {
    ReconcileResult result;
    ObjectPtr ns = context_.client.cache().Get(resources::kNamespaces, "", name);
    if (!ns || !ns->view<MetaView>().deleting()) {
      seen_.erase(name);
      co_return result;
    }
    const Duration now = context_.clock.Monotonic();
    const Duration waited = now - seen_.try_emplace(name, now).first->second;
    if (waited < kGrace) {
      result.requeue_after = kGrace - waited;
      co_return result;
    }

    auto remains = std::make_shared<Remains>(Look(context_.client.cache(), name));
    BatchStep step = [this, remains](size_t i) { return DeleteOne(remains->to_delete[i]); };
    Status deleted = co_await RunInGroups(remains->to_delete.size(), kWritesAtOnce, step);
    if (!remains->to_delete.empty()) *remains = Look(context_.client.cache(), name);

    ns = context_.client.cache().Get(resources::kNamespaces, "", name);
    if (!ns) co_return result;
    result.status = deleted;
    if (remains->empty()) {
      Status finalized = co_await Finalize(ns);
      seen_.erase(name);
      result.status = finalized.reason() == Reason::kNotFound ? Status() : finalized;
      co_return result;
    }
    Status told = co_await Tell(ns, *remains, deleted);
    if (result.status.ok()) result.status = told;
    co_return result;
  }

 private:
  Task<Status> DeleteOne(ObjectPtr object) {
    DeleteOptions options;
    options.propagation = Propagation::kBackground;
    options.uid_precondition = object->uid();
    Result<ObjectPtr> gone =
        co_await context_.client.Delete(object->key().resource, object->ns(), object->name(), options);
    const Reason reason = gone.ok() ? Reason::kOk : gone.status().reason();
    co_return reason == Reason::kOk || reason == Reason::kNotFound || reason == Reason::kConflict ? Status()
                                                                                                  : gone.status();
  }

  Task<Status> Finalize(ObjectPtr ns) {
    Json document = *ns->json();
    Json kept = Json::array();
    if (const Json* finalizers = FindPath(document, "spec.finalizers"); finalizers && finalizers->is_array()) {
      for (const Json& finalizer : *finalizers) {
        if (finalizer != kFinalizer) kept.push_back(finalizer);
      }
      if (kept.size() == finalizers->size()) co_return Status();  // others hold it; ours is gone
    }
    document["spec"]["finalizers"] = std::move(kept);
    WriteOptions options;
    options.subresource = "finalize";
    const std::string resource(resources::kNamespaces);
    Result<ObjectPtr> updated = co_await context_.client.Update(resource, std::move(document), options);
    co_return updated.ok() ? Status() : updated.status();
  }

  Task<Status> Tell(ObjectPtr ns, Remains remains, Status failure) {
    Json document = *ns->json();
    Json made = Conditions(FindPath(document, "status.conditions"), remains, failure, context_.clock.Now());
    Json& status = document["status"];
    if (status.is_object() && status.contains("conditions") && status["conditions"] == made) co_return Status();
    status["conditions"] = std::move(made);
    WriteOptions options;
    options.subresource = "status";
    const std::string resource(resources::kNamespaces);
    Result<ObjectPtr> updated = co_await context_.client.Update(resource, std::move(document), options);
    const bool gone = !updated.ok() && updated.status().reason() == Reason::kNotFound;
    co_return updated.ok() || gone ? Status() : updated.status();
  }

  RuntimeContext context_;
  std::unordered_map<std::string, Duration> seen_;  // since when each is on its way out, by the monotonic clock
};

}  // namespace

ControllerSpec NamespaceController(RuntimeContext context) {
  auto self = std::make_shared<NamespaceReconciler>(context);
  ControllerSpec spec;
  spec.name = "namespace-controller";
  // Of every resource: the namespaces themselves are among them.
  spec.watches = {{"", [self](const Event& event, WorkQueue& queue) { self->OnEvent(event, queue); }}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  spec.on_start = [&client = context.client](WorkQueue& queue) {
    client.cache().ForEach(resources::kNamespaces, {}, [&](const ObjectPtr& ns) {
      if (ns->view<MetaView>().deleting()) queue.Add(ns->name());
      return true;
    });
  };
  return spec;
}

}  // namespace wherry
