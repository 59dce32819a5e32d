#include "core/controllers/endpoints/slice_writer.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/endpoints/endpoints_controller.h"
#include "core/controllers/pod_control.h"
#include "core/controllers/slow_start.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr size_t kWritesAtOnce = 64;

Task<Status> Write(RuntimeContext context, std::string ns, std::shared_ptr<const SlicePlan> plan, size_t i) {
  const std::string resource(resources::kEndpointSlices);
  Status status;
  if (i < plan->creates.size()) {
    Json document = plan->creates[i];
    Result<ObjectPtr> made = co_await context.client.Create(resource, ns, std::move(document));
    status = made.status();
  } else if (i < plan->creates.size() + plan->updates.size()) {
    Json document = plan->updates[i - plan->creates.size()];
    Result<ObjectPtr> made = co_await context.client.Update(resource, std::move(document));
    status = made.status();
  } else {
    std::string name = plan->deletes[i - plan->creates.size() - plan->updates.size()];
    DeleteOptions options;
    Result<ObjectPtr> gone = co_await context.client.Delete(resource, ns, std::move(name), options);
    status = gone.status();
    if (status.reason() == Reason::kNotFound) status = Status();
  }
  if (IsNamespaceTerminating(status)) status = Status();
  co_return status;
}

}  // namespace

Json SliceMetadata(const Object& owner, const std::string& service, const std::string& managed_by, bool headless) {
  Json labels = Json::object();
  for (const auto& [label, value] : *owner.view<MetaView>().labels) labels[label] = value;
  labels.erase(kHeadlessLabel);
  labels[kServiceNameLabel] = service;
  labels[kSliceManagedByLabel] = managed_by;
  if (headless) labels[kHeadlessLabel] = "";
  return {{"labels", std::move(labels)}, {"ownerReferences", Json::array({ControllerReference(owner)})}};
}

std::vector<ObjectPtr> SlicesOf(const WatchCache& cache, const std::string& ns, const std::string& service,
                                const std::string& managed_by) {
  std::vector<ObjectPtr> out;
  for (const ObjectPtr& slice : cache.ByIndex(kIndexServiceName, ns + "/" + service)) {
    const std::string* by = slice->view<MetaView>().label(kSliceManagedByLabel);
    if (by && *by == managed_by && !slice->view<MetaView>().deleting()) out.push_back(slice);
  }
  return out;
}

Task<Status> WriteSlices(RuntimeContext context, std::string ns, std::string service, std::vector<PortGroup> groups,
                         std::vector<ObjectPtr> existing, Json metadata, bool keep_one) {
  std::vector<JsonPtr> documents;
  std::vector<ExistingSlice> stored;
  for (const ObjectPtr& slice : existing) {
    documents.push_back(slice->json());
    stored.push_back({slice->name(), documents.back().get()});
  }
  SlicePlan made = PlanSlices(std::move(groups), stored, metadata, keep_one);
  for (Json& document : made.creates) {
    document["metadata"] = metadata;
    document["metadata"]["generateName"] = service + "-";
  }
  auto plan = std::make_shared<const SlicePlan>(std::move(made));
  const size_t count = plan->creates.size() + plan->updates.size() + plan->deletes.size();
  if (count == 0) co_return Status();
  BatchStep step = [context, ns, plan](size_t i) { return Write(context, ns, plan, i); };
  Status status = co_await RunInGroups(count, kWritesAtOnce, step);
  co_return status;
}

void EnqueueSliceService(const Event& event, const std::string& managed_by, WorkQueue& queue) {
  for (const ObjectPtr& slice : {event.object, event.previous}) {
    if (!slice) continue;
    const MetaView& meta = slice->view<MetaView>();
    const std::string* by = meta.label(kSliceManagedByLabel);
    const std::string* service = meta.label(kServiceNameLabel);
    if (by && service && *by == managed_by) queue.Add(KeyOf(slice->ns(), *service));
  }
}

}  // namespace wherry
