#include "core/controllers/service_account.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/pod_control.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr char kAccount[] = "default";
constexpr char kRootCa[] = "kube-root-ca.crt";

class NamespaceFurnisher : public std::enable_shared_from_this<NamespaceFurnisher> {
 public:
  NamespaceFurnisher(RuntimeContext context, std::string ca) : context_(context), ca_(std::move(ca)) {}

  Task<ReconcileResult> Reconcile(std::string name) {
    ReconcileResult result;
    const ObjectPtr ns = context_.client.cache().Get(resources::kNamespaces, "", name);
    if (!ns || ns->view<MetaView>().deleting()) co_return result;
    const std::string accounts(resources::kServiceAccounts), maps(resources::kConfigMaps);
    if (!context_.client.cache().Get(accounts, name, kAccount)) {
      Json account = {{"metadata", {{"name", kAccount}}}};
      Result<ObjectPtr> made = co_await context_.client.Create(accounts, name, std::move(account));
      result.status = Expected(made.status()) ? Status() : made.status();
    }
    if (ca_.empty()) co_return result;
    const ObjectPtr map = context_.client.cache().Get(maps, name, kRootCa);
    const Json data = {{"ca.crt", ca_}};
    if (!map) {
      Json document = {{"metadata", {{"name", kRootCa}}}, {"data", data}};
      Result<ObjectPtr> made = co_await context_.client.Create(maps, name, std::move(document));
      if (!Expected(made.status())) result.status = made.status();
    } else {
      Json document = *map->json();
      if (const Json* have = FindPath(document, "data"); have && *have == data) co_return result;
      document["data"] = data;
      Result<ObjectPtr> mended = co_await context_.client.Update(maps, std::move(document));
      if (!Expected(mended.status())) result.status = mended.status();
    }
    co_return result;
  }

 private:
  static bool Expected(const Status& status) {
    return status.ok() || status.reason() == Reason::kAlreadyExists || IsNamespaceTerminating(status);
  }

  RuntimeContext context_;
  const std::string ca_;
};

// Enqueues the namespace of an object of this name.
std::function<void(const Event&, WorkQueue&)> EnqueueNamespaceOf(std::string name) {
  return [name = std::move(name)](const Event& event, WorkQueue& queue) {
    if (event.object->name() == name && event.type != EventType::kAdded) queue.Add(event.object->ns());
  };
}

}  // namespace

ControllerSpec ServiceAccountController(RuntimeContext context, std::string ca_certificate) {
  auto self = std::make_shared<NamespaceFurnisher>(context, std::move(ca_certificate));
  ControllerSpec spec;
  spec.name = "service-account-controller";
  spec.watches = {{std::string(resources::kNamespaces),
                   [](const Event& event, WorkQueue& queue) {
                     if (event.type == EventType::kAdded) queue.Add(event.object->name());
                   }},
                  {std::string(resources::kServiceAccounts), EnqueueNamespaceOf(kAccount)},
                  {std::string(resources::kConfigMaps), EnqueueNamespaceOf(kRootCa)}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
