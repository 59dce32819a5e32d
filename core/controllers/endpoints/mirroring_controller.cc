#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/endpoints/endpoints_controller.h"
#include "core/controllers/endpoints/slice_writer.h"
#include "core/kinds/resources.h"
#include "core/kinds/service_view.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr char kManagedBy[] = "endpointslicemirroring-controller.k8s.io";

// People's own Endpoints of a Service without a selector, as slices.
Task<ReconcileResult> Mirror(RuntimeContext context, std::string key) {
  ReconcileResult result;
  const auto [ns, name] = SplitKey(key);
  const WatchCache& cache = context.client.cache();
  const ObjectPtr service = cache.Get(resources::kServices, ns, name);
  const ObjectPtr endpoints = cache.Get(resources::kEndpoints, ns, name);
  std::vector<ObjectPtr> existing = SlicesOf(cache, ns, name, kManagedBy);
  const std::string* skip = endpoints ? endpoints->view<MetaView>().label(kSkipMirrorLabel) : nullptr;
  const bool wanted = service && endpoints && !endpoints->view<MetaView>().deleting() &&
                      !service->view<ServiceView>().has_selector && !(skip && *skip == "true");
  if (!wanted && existing.empty()) co_return result;
  std::vector<PortGroup> groups;
  Json metadata = Json::object();
  if (wanted) {
    groups = GroupSubsets(*endpoints->json());
    metadata = SliceMetadata(*endpoints, name, kManagedBy, service->view<ServiceView>().headless);
  }
  Status written =
      co_await WriteSlices(context, ns, name, std::move(groups), std::move(existing), std::move(metadata), false);
  result.status = std::move(written);
  co_return result;
}

}  // namespace

ControllerSpec EndpointSliceMirroringController(RuntimeContext context) {
  ControllerSpec spec;
  spec.name = "endpointslicemirroring-controller";
  spec.watches = {{std::string(resources::kServices), EnqueueSelf},
                  {std::string(resources::kEndpoints),
                   [context](const Event& event, WorkQueue& queue) {
                     // Those of Services with a selector change all the time, and are none of ours.
                     const ObjectPtr service =
                         context.client.cache().Get(resources::kServices, event.object->ns(), event.object->name());
                     if (!service || !service->view<ServiceView>().has_selector) EnqueueSelf(event, queue);
                   }},
                  {std::string(resources::kEndpointSlices),
                   [](const Event& event, WorkQueue& queue) { EnqueueSliceService(event, kManagedBy, queue); }}};
  spec.reconcile = [context](std::string key) { return Mirror(context, std::move(key)); };
  return spec;
}

}  // namespace wherry
