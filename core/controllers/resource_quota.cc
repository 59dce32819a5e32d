#include "core/controllers/resource_quota.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "core/kinds/fields.h"
#include "core/kinds/quota.h"
#include "core/kinds/resources.h"

namespace wherry {
namespace {

// Objects of a namespace come in crowds: a quota over many is summed up twenty times a second at most.
constexpr Duration kPatience = std::chrono::milliseconds(50);
constexpr int64_t kCrowd = 100;

Task<ReconcileResult> Reconcile(RuntimeContext context, std::string key) {
  ReconcileResult result;
  const auto [ns, name] = SplitKey(key);
  const ObjectPtr quota = context.client.cache().Get(resources::kResourceQuotas, ns, name);
  if (!quota) co_return result;
  const QuotaView& view = quota->view<QuotaView>();
  const JsonPtr document = quota->json();
  Json status = {{"hard", ToJson(view.hard)}, {"used", ToJson(SumUse(context.client.cache(), ns, view))}};
  if (At(*document, "status") == status) co_return result;
  Json changed = *document;
  changed["status"] = std::move(status);
  WriteOptions options;
  options.subresource = "status";
  Result<ObjectPtr> written = co_await context.client.Update(quota->key().resource, std::move(changed), options);
  if (!written.ok() && written.status().reason() != Reason::kNotFound) result.status = written.status();
  co_return result;
}

int64_t Counted(const Object& quota) {
  const JsonPtr document = quota.json();
  const auto& used = MapAt(*document, "status.used");
  const auto it = used.find("pods");
  if (it == used.end() || !it->second.is_string()) return 0;
  const Result<Quantity> parsed = Quantity::Parse(it->second.get_ref<const std::string&>());
  return parsed.ok() ? parsed->value() : 0;
}

// An object of `resource` came, went or changed what it uses.
void OnObject(const WatchCache& cache, const std::string& resource, const Event& event, WorkQueue& queue) {
  cache.ForEach(resources::kResourceQuotas, event.object->ns(), [&](const ObjectPtr& quota) {
    if (!quota->view<QuotaView>().resources.contains(resource)) return true;
    if (event.type == EventType::kModified && event.previous &&
        event.object->view<QuotaUse>().SameAs(event.previous->view<QuotaUse>())) {
      return false;
    }
    queue.AddAfter(KeyOf(*quota), Counted(*quota) < kCrowd ? Duration(0) : kPatience);
    return true;
  });
}

}  // namespace

ControllerSpec ResourceQuotaController(RuntimeContext context, const KindCatalog& catalog) {
  ControllerSpec spec;
  spec.name = "resourcequota-controller";
  const WatchCache& cache = context.client.cache();
  for (const auto& kind : catalog.kinds()) {
    if (!kind->namespaced || kind->storage) continue;
    const std::string resource = kind->resource;
    spec.watches.push_back({resource, [&cache, resource](const Event& event, WorkQueue& queue) {
                              if (resource == resources::kResourceQuotas) EnqueueSelf(event, queue);
                              OnObject(cache, resource, event, queue);
                            }});
  }
  spec.reconcile = [context](std::string key) { return Reconcile(context, std::move(key)); };
  return spec;
}

}  // namespace wherry
