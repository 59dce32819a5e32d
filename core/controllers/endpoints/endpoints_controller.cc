#include "core/controllers/endpoints/endpoints_controller.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/endpoints/service_pods.h"
#include "core/controllers/pod_control.h"
#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr char kManagedByLabel[] = "endpoints.kubernetes.io/managed-by";
constexpr char kManagedBy[] = "endpoint-controller";
constexpr char kOverCapacity[] = "endpoints.kubernetes.io/over-capacity";
constexpr char kLeaderAnnotation[] = "control-plane.alpha.kubernetes.io/leader";

bool Managed(const Object& endpoints) {
  const std::string* by = endpoints.view<MetaView>().label(kManagedByLabel);
  return by && *by == kManagedBy;
}

bool IsVote(const Object& endpoints) {
  const JsonPtr document = endpoints.json();
  return MapAt(*document, "metadata.annotations").contains(kLeaderAnnotation);
}

class EndpointsReconciler : public std::enable_shared_from_this<EndpointsReconciler> {
 public:
  explicit EndpointsReconciler(RuntimeContext context) : context_(context), pods_(std::move(context)) {}

  ServicePods& pods() { return pods_; }

  // Our own are put right again; what people keep is theirs.
  void OnEndpoints(const Event& event, WorkQueue& queue) const {
    const bool ours = Managed(*event.object) || (event.previous && Managed(*event.previous));
    if (ours || event.type == EventType::kDeleted) queue.Add(KeyOf(*event.object));
  }

  Task<ReconcileResult> Reconcile(std::string key) {
    ReconcileResult result;
    const auto [ns, name] = SplitKey(key);
    const WatchCache& cache = context_.client.cache();
    const ObjectPtr service = cache.Get(resources::kServices, ns, name);
    const ObjectPtr current = cache.Get(resources::kEndpoints, ns, name);
    if (!service) {
      if (current && !IsVote(*current)) result.status = co_await Remove(current);
      co_return result;
    }
    const ServiceView& view = service->view<ServiceView>();
    if (!view.has_selector || view.type == ServiceView::Type::kExternalName || service->view<MetaView>().deleting())
      co_return result;

    Json document = current ? *current->json() : Json{{"metadata", {{"name", name}, {"namespace", ns}}}};
    Change(*service, document);
    if (current && document == *current->json()) co_return result;
    const std::string resource(resources::kEndpoints);
    if (current) {
      Result<ObjectPtr> written = co_await context_.client.Update(resource, std::move(document));
      result.status = written.status();
    } else {
      Result<ObjectPtr> written = co_await context_.client.Create(resource, ns, std::move(document));
      result.status = written.status();
    }
    if (IsNamespaceTerminating(result.status)) result.status = Status();
    co_return result;
  }

 private:
  // Makes `document` the Endpoints of `service`.
  void Change(const Object& service, Json& document) {
    std::vector<ObjectPtr> objects;
    const std::vector<EndpointPod> pods = pods_.Select(service, &objects);
    const ServiceView& view = service.view<ServiceView>();
    bool truncated = false;
    Json subsets = PlanSubsets({service.name(), &view}, pods, &truncated);
    document.erase("subsets");
    if (!subsets.is_null()) document["subsets"] = std::move(subsets);
    Json& metadata = document["metadata"];
    Json labels = Json::object();
    for (const auto& [label, value] : *service.view<MetaView>().labels) labels[label] = value;
    labels[kManagedByLabel] = kManagedBy;
    if (view.headless) labels[kHeadlessLabel] = "";
    metadata["labels"] = std::move(labels);
    if (truncated) {
      metadata["annotations"][kOverCapacity] = "truncated";
    } else if (auto it = metadata.find("annotations"); it != metadata.end() && it->erase(kOverCapacity) > 0) {
      if (it->empty()) metadata.erase(it);
    }
  }

  Task<Status> Remove(ObjectPtr endpoints) {
    DeleteOptions options;
    options.uid_precondition = endpoints->uid();
    Result<ObjectPtr> gone =
        co_await context_.client.Delete(endpoints->key().resource, endpoints->ns(), endpoints->name(), options);
    const Reason reason = gone.ok() ? Reason::kOk : gone.status().reason();
    if (reason == Reason::kNotFound || reason == Reason::kConflict) co_return Status();
    co_return gone.ok() ? Status() : gone.status();
  }

  RuntimeContext context_;
  ServicePods pods_;
};

}  // namespace

ControllerSpec EndpointsController(RuntimeContext context) {
  auto self = std::make_shared<EndpointsReconciler>(context);
  ControllerSpec spec;
  spec.name = "endpoint-controller";
  spec.watches = {{std::string(resources::kServices),
                   [self](const Event& event, WorkQueue& queue) { self->pods().OnService(event, queue); }},
                  {std::string(resources::kPods),
                   [self](const Event& event, WorkQueue& queue) { self->pods().OnPod(event, queue); }},
                  {std::string(resources::kEndpoints),
                   [self](const Event& event, WorkQueue& queue) { self->OnEndpoints(event, queue); }}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
