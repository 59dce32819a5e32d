#include <nlohmann/json.hpp>
#include <utility>

#include "core/registry/registry.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

class LocalClient : public Client {
 public:
  LocalClient(Registry& registry, std::string name) : registry_(registry), name_(std::move(name)) {}

  const WatchCache& cache() const override { return registry_.cache(); }
  EventBus& events() override { return registry_.cache().bus(); }

  Task<Result<ObjectPtr>> Create(std::string resource, std::string ns, Json object, WriteOptions options) override {
    const Kind* kind = registry_.catalog().FindResource(resource);
    if (!kind) co_return Unknown(resource);
    Result<ObjectPtr> made = co_await registry_.Create(*kind, std::move(ns), std::move(object), Context(options));
    co_return made;
  }

  Task<Result<ObjectPtr>> Update(std::string resource, Json object, WriteOptions options) override {
    const Kind* kind = registry_.catalog().FindResource(resource);
    if (!kind) co_return Unknown(resource);
    std::string ns = StringAt(object, "metadata.namespace");
    std::string name = StringAt(object, "metadata.name");
    Result<ObjectPtr> updated = co_await registry_.Update(*kind, std::move(ns), std::move(name), options.subresource,
                                                          std::move(object), Context(options), nullptr);
    co_return updated;
  }

  Task<Result<ObjectPtr>> Patch(std::string resource, std::string ns, std::string name, PatchType type, Json patch,
                                WriteOptions options) override {
    const Kind* kind = registry_.catalog().FindResource(resource);
    if (!kind) co_return Unknown(resource);
    Result<ObjectPtr> patched =
        co_await registry_.Patch(*kind, std::move(ns), std::move(name), options.subresource, type, std::move(patch),
                                 FieldValidation::kIgnore, Context(options), nullptr);
    co_return patched;
  }

  Task<Result<ObjectPtr>> Delete(std::string resource, std::string ns, std::string name,
                                 DeleteOptions options) override {
    const Kind* kind = registry_.catalog().FindResource(resource);
    if (!kind) co_return Unknown(resource);
    Result<ObjectPtr> deleted = co_await registry_.Delete(*kind, std::move(ns), std::move(name), std::move(options),
                                                          Context(WriteOptions()), nullptr);
    co_return deleted;
  }

  Task<Status> Bind(std::string ns, std::string pod, std::string pod_uid, std::string node) override {
    Json binding = {{"target", {{"kind", "Node"}, {"name", std::move(node)}}}};
    if (!pod_uid.empty()) binding["metadata"]["uid"] = std::move(pod_uid);
    Status status = co_await registry_.Bind(std::move(ns), std::move(pod), std::move(binding), Context(WriteOptions()));
    co_return status;
  }

 private:
  RequestContext Context(const WriteOptions& options) const {
    RequestContext context;
    context.user = name_;
    context.groups = {"system:masters"};
    context.field_manager = options.field_manager.empty() ? name_ : options.field_manager;
    context.dry_run = options.dry_run;
    return context;
  }
  static Status Unknown(const std::string& resource) {
    return Status(Reason::kNotFound, "the server could not find the requested resource: " + resource);
  }

  Registry& registry_;
  const std::string name_;
};

}  // namespace

std::unique_ptr<Client> NewLocalClient(Registry& registry, std::string name) {
  return std::make_unique<LocalClient>(registry, std::move(name));
}

}  // namespace wherry
