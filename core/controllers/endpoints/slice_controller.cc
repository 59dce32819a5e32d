#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/endpoints/endpoints_controller.h"
#include "core/controllers/endpoints/service_pods.h"
#include "core/controllers/endpoints/slice_writer.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr char kManagedBy[] = "endpointslice-controller.k8s.io";

class SliceReconciler : public std::enable_shared_from_this<SliceReconciler> {
 public:
  explicit SliceReconciler(RuntimeContext context) : context_(context), pods_(std::move(context)) {}

  ServicePods& pods() { return pods_; }

  Task<ReconcileResult> Reconcile(std::string key) {
    ReconcileResult result;
    const auto [ns, name] = SplitKey(key);
    const WatchCache& cache = context_.client.cache();
    const ObjectPtr service = cache.Get(resources::kServices, ns, name);
    if (!service || service->view<MetaView>().deleting()) co_return result;  // the garbage collector's
    const ServiceView& view = service->view<ServiceView>();
    const bool external = view.type == ServiceView::Type::kExternalName;
    if (!view.has_selector && !external) co_return result;

    std::vector<ObjectPtr> existing = SlicesOf(cache, ns, name, kManagedBy);
    std::vector<PortGroup> groups;
    if (!external) {
      std::vector<ObjectPtr> objects;
      const std::vector<EndpointPod> pods = pods_.Select(*service, &objects);
      groups = GroupPods({name, &view}, pods);
    }
    Json metadata = SliceMetadata(*service, name, kManagedBy, view.headless);
    Status written = co_await WriteSlices(context_, ns, name, std::move(groups), std::move(existing),
                                          std::move(metadata), !external);
    result.status = std::move(written);
    co_return result;
  }

 private:
  RuntimeContext context_;
  ServicePods pods_;
};

}  // namespace

ControllerSpec EndpointSliceController(RuntimeContext context) {
  auto self = std::make_shared<SliceReconciler>(context);
  ControllerSpec spec;
  spec.name = "endpointslice-controller";
  spec.watches = {{std::string(resources::kServices),
                   [self](const Event& event, WorkQueue& queue) { self->pods().OnService(event, queue); }},
                  {std::string(resources::kPods),
                   [self](const Event& event, WorkQueue& queue) { self->pods().OnPod(event, queue); }},
                  {std::string(resources::kNodes),
                   [self](const Event& event, WorkQueue& queue) { self->pods().OnNode(event, queue); }},
                  {std::string(resources::kEndpointSlices),
                   [](const Event& event, WorkQueue& queue) { EnqueueSliceService(event, kManagedBy, queue); }}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
