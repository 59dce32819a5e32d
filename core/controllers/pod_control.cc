#include "core/controllers/pod_control.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {

Json PodFromTemplate(const Json& pod_template, const std::string& generate_name) {
  Json pod = Json::object();
  Json metadata = {{"generateName", generate_name}};
  if (const Json* from = FindPath(pod_template, "metadata"); from && from->is_object()) {
    for (const char* field : {"labels", "annotations", "finalizers"}) {
      if (auto it = from->find(field); it != from->end() && !it->is_null()) metadata[field] = *it;
    }
  }
  pod["metadata"] = std::move(metadata);
  const Json* spec = FindPath(pod_template, "spec");
  pod["spec"] = spec && spec->is_object() ? *spec : Json::object();
  return pod;
}

void AddFinalizer(Json& metadata, const std::string& name) {
  Json& finalizers = metadata["finalizers"];
  if (!finalizers.is_array()) finalizers = Json::array();
  if (std::find(finalizers.begin(), finalizers.end(), name) == finalizers.end()) finalizers.push_back(name);
}

Task<Status> RemoveFinalizer(Client& client, ObjectPtr object, std::string finalizer) {
  Json document = *object->json();
  Json& metadata = document["metadata"];
  auto it = metadata.find("finalizers");
  if (it == metadata.end() || !it->is_array()) co_return Status();
  if (std::erase(it->get_ref<Json::array_t&>(), Json(finalizer)) == 0) co_return Status();
  if (it->empty()) metadata.erase(it);
  Result<ObjectPtr> updated = co_await client.Update(object->key().resource, std::move(document));
  co_return updated.ok() || updated.status().reason() == Reason::kNotFound ? Status() : updated.status();
}

Json ControllerReference(const Object& owner) {
  const TypeOfObject type = TypeOf(owner);
  return {{"apiVersion", type.api_version},
          {"kind", type.kind},
          {"name", owner.name()},
          {"uid", owner.uid()},
          {"controller", true},
          {"blockOwnerDeletion", true}};
}

bool IsNamespaceTerminating(const Status& status) {
  const auto& causes = status.details().causes;
  return std::any_of(causes.begin(), causes.end(),
                     [](const StatusCause& cause) { return cause.reason == "NamespaceTerminating"; });
}

Task<Status> PodControl::Create(ObjectPtr owner, Json pod) {
  const std::string resource(resources::kPods);
  Json& metadata = pod["metadata"];
  if (!metadata.contains("ownerReferences")) metadata["ownerReferences"] = Json::array({ControllerReference(*owner)});
  if (metadata.contains("generateName") && metadata.contains("name")) {
    // Somebody may have taken it since the plan was made.
    if (context_.client.cache().Get(resource, owner->ns(), StringAt(metadata, "name"))) metadata.erase("name");
  }
  Result<ObjectPtr> made = co_await context_.client.Create(resource, owner->ns(), std::move(pod));
  if (made.ok()) {
    events_.Normal(*owner, "SuccessfulCreate", "Created pod: " + made.value()->name());
    co_return Status();
  }
  if (!IsNamespaceTerminating(made.status())) {
    events_.Warning(*owner, "FailedCreate", "Error creating: " + made.status().message());
  }
  co_return made.status();
}

Task<Status> PodControl::Delete(ObjectPtr owner, std::string name, std::string uid) {
  DeleteOptions options;
  options.uid_precondition = std::move(uid);
  Result<ObjectPtr> gone = co_await context_.client.Delete(std::string(resources::kPods), owner->ns(), name, options);
  if (gone.ok()) {
    events_.Normal(*owner, "SuccessfulDelete", "Deleted pod: " + name);
    co_return Status();
  }
  const Reason reason = gone.status().reason();
  if (reason == Reason::kNotFound || reason == Reason::kConflict) co_return Status();
  events_.Warning(*owner, "FailedDelete", "Error deleting: " + gone.status().message());
  co_return gone.status();
}

}  // namespace wherry
