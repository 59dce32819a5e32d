#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/runtime/task.h"
#include "store/object.h"
#include "store/status.h"
#include "store/watch_cache.h"

namespace wherry {

// How the dependants of a deleted owner fare (metav1.DeletionPropagation).
enum class Propagation : uint8_t { kDefault, kBackground, kForeground, kOrphan };

// No aggregate, as WriteOptions: GCC 12 miscompiles aggregate temporaries within a co_await expression.
struct DeleteOptions {
  DeleteOptions() = default;
  std::optional<int64_t> grace_period_seconds;
  Propagation propagation = Propagation::kDefault;
  std::string uid_precondition;  // "" = any
  std::optional<uint64_t> revision_precondition;
  bool dry_run = false;
};

struct WriteOptions {
  WriteOptions() = default;
  std::string subresource;    // "" = the object itself; "status", "scale", "finalize" …
  std::string field_manager;  // recorded in managedFields; "" = the caller's name
  bool dry_run = false;
};

enum class PatchType : uint8_t { kJson, kMerge, kStrategic, kApply };

// The seam between those who act (controllers, scheduler, node agents) and the cluster: the same verbs in process,
// where a call is a function call into the Registry, and over HTTP, where it is a request (DESIGN: "Client is the
// seam"). Control thread only. `resource` is the store's name for it ("pods", "daemonsets.apps":
// core/kinds/resources.h). Documents need no apiVersion and kind: they are the storage version's.
class Client {
 public:
  virtual ~Client() = default;

  // What can be read without waiting: in process the server's own cache, which already holds every write whose call has
  // returned; over HTTP a mirror fed by list and watch.
  virtual const WatchCache& cache() const = 0;
  // Where informer handlers attach.
  virtual EventBus& events() = 0;

  virtual Task<Result<ObjectPtr>> Create(std::string resource, std::string ns, Json object,
                                         WriteOptions options = {}) = 0;
  // Replaces the object (or its subresource). metadata.resourceVersion in `object` is the precondition; absent = none.
  virtual Task<Result<ObjectPtr>> Update(std::string resource, Json object, WriteOptions options = {}) = 0;
  virtual Task<Result<ObjectPtr>> Patch(std::string resource, std::string ns, std::string name, PatchType type,
                                        Json patch, WriteOptions options = {}) = 0;
  // The object as it is after the call: with a deletionTimestamp when it waits for finalizers or grace, else its last
  // state.
  virtual Task<Result<ObjectPtr>> Delete(std::string resource, std::string ns, std::string name,
                                         DeleteOptions options = {}) = 0;
  // Binds a pod to a node through the binding subresource; kConflict when it is bound or being deleted.
  virtual Task<Status> Bind(std::string ns, std::string pod, std::string pod_uid, std::string node) = 0;
};

}  // namespace wherry
