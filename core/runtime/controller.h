#pragma once

#include <asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/registry/client.h"
#include "core/runtime/clock.h"
#include "core/runtime/work_queue.h"

namespace wherry {

// What every controller, the scheduler and the agents are given. All outlive them. Control thread only.
struct RuntimeContext {
  Client& client;
  Clock& clock;
  asio::any_io_executor executor;
  uint64_t seed = 0;  // of every random choice; a test's seed makes a run repeatable
};

// The outcome of one Reconcile. A Status that is not ok retries with back-off; kConflict and kNotFound do so quietly,
// since they only mean that the world moved on.
struct ReconcileResult {
  Status status;
  Duration requeue_after{0};  // > 0: look again then, whatever happens
};

// One resource that a controller follows, and which keys an event there concerns.
struct WatchRule {
  std::string resource;
  // Adds the concerned keys to `queue`; must only enqueue. Also called with kAdded for each object there at start.
  std::function<void(const Event& event, WorkQueue& queue)> enqueue;
};

// A controller as one descriptor: what it follows, and its level-triggered reconcile of a key ("namespace/name" or
// "name").
struct ControllerSpec {
  std::string name;
  std::vector<WatchRule> watches;
  std::function<Task<ReconcileResult>(std::string key)> reconcile;
  int workers = 4;  // keys reconciled at once
  BackoffPolicy backoff;
  // Called once by Start, after the watches: for controllers that keep an eye on time. May be empty.
  std::function<void(WorkQueue& queue)> on_start;
};

// Drives one ControllerSpec: handlers on the bus fill the queue, workers empty it. No coroutine exists while there is
// nothing to do. Destroying it detaches the handlers; running reconciles must have ended (stop the executor first).
class Controller {
 public:
  Controller(RuntimeContext context, ControllerSpec spec);
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  void Start();
  // No further reconcile begins; those running end by themselves.
  void Stop();
  WorkQueue& queue() { return queue_; }
  const std::string& name() const { return spec_.name; }

 private:
  void OnReady();
  Task<> Work();

  RuntimeContext context_;
  ControllerSpec spec_;
  WorkQueue queue_;
  std::vector<EventBus::HandlerId> handlers_;
  int active_ = 0;
  bool stopped_ = false;
};

// "default/web" → {"default", "web"}; "node-1" → {"", "node-1"}.
std::pair<std::string, std::string> SplitKey(const std::string& key);
std::string KeyOf(const Object& object);
std::string KeyOf(std::string_view ns, std::string_view name);

// A WatchRule's enqueue for the controller's own kind: the object itself.
void EnqueueSelf(const Event& event, WorkQueue& queue);
// For dependants: the controller owner (metadata.ownerReferences with controller: true) of `kind`, of the object and of
// its previous state.
std::function<void(const Event&, WorkQueue&)> EnqueueControllerOf(std::string kind);

}  // namespace wherry
