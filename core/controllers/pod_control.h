#pragma once

#include <string>

#include "core/registry/client.h"
#include "core/runtime/controller.h"
#include "core/runtime/event_recorder.h"

namespace wherry {

// The metadata (labels, annotations, finalizers) and spec of a pod template as a pod. metadata.generateName is
// `generate_name`.
Json PodFromTemplate(const Json& pod_template, const std::string& generate_name);

// Puts `name` among metadata.finalizers, once.
void AddFinalizer(Json& metadata, const std::string& name);
// Takes `finalizer` away from an object, if it is still as seen. Ok when the object is gone or never had it.
Task<Status> RemoveFinalizer(Client& client, ObjectPtr object, std::string finalizer);

// The ownerReference of a managing controller to its object.
Json ControllerReference(const Object& owner);

// True when a refusal only says that the namespace is on its way out: no error for a controller, nothing to retry.
bool IsNamespaceTerminating(const Status& status);

// Makes and removes pods for a workload controller and says so in Events about the owner: SuccessfulCreate,
// FailedCreate, SuccessfulDelete, FailedDelete. Control thread only; outlives its calls.
class PodControl {
 public:
  PodControl(RuntimeContext context, EventRecorder& events) : context_(std::move(context)), events_(events) {}

  // Creates `pod` in the owner's namespace, owned by it (unless its ownerReferences are filled in already). A pod with
  // both a name and a generateName falls back to a generated name when the name is taken.
  Task<Status> Create(ObjectPtr owner, Json pod);
  // Deletes with the pod's own grace. Ok when that very pod (`uid`) is gone already.
  Task<Status> Delete(ObjectPtr owner, std::string name, std::string uid);

 private:
  RuntimeContext context_;
  EventRecorder& events_;
};

}  // namespace wherry
