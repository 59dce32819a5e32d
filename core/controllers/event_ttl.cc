#include "core/controllers/event_ttl.h"

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/slow_start.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr size_t kDeletesAtOnce = 100;
constexpr Duration kPause = std::chrono::milliseconds(100);
constexpr char kKey[] = "expired";

// When an event that was already there at the start was last written, as far as it tells.
Time LastWritten(const Json& event, Time otherwise) {
  Time latest{}, time;
  for (const char* field : {"lastTimestamp", "eventTime", "series.lastObservedTime", "metadata.creationTimestamp"}) {
    if (ParseTime(StringAt(event, field), &time)) latest = std::max(latest, time);
  }
  return latest == Time{} ? otherwise : std::min(latest, otherwise);
}

class EventReaper : public std::enable_shared_from_this<EventReaper> {
 public:
  explicit EventReaper(RuntimeContext context) : context_(context) {}

  void OnEvent(const Event& event, WorkQueue& queue) {
    if (event.type == EventType::kDeleted) return;
    const Object& object = *event.object;
    const Time now = context_.clock.Now();
    // Only what was loaded needs to be read; what comes now was written now.
    const Time written = started_ ? now : LastWritten(*object.json(), now);
    const bool first = due_.empty();
    due_.emplace(written + kEventTtl, Written{object.ns(), object.name(), object.revision()});
    if (first && started_) queue.AddAfter(kKey, kEventTtl);
  }

  void Start(WorkQueue& queue) {
    started_ = true;
    if (!due_.empty()) queue.AddAfter(kKey, due_.begin()->first - context_.clock.Now());
  }

  Task<ReconcileResult> Reconcile() {
    ReconcileResult result;
    const Time now = context_.clock.Now();
    auto expired = std::make_shared<std::vector<ObjectPtr>>();
    while (!due_.empty() && due_.begin()->first <= now && expired->size() < kDeletesAtOnce) {
      const Written written = std::move(due_.extract(due_.begin()).mapped());
      ObjectPtr event = context_.client.cache().Get(resources::kEvents, written.ns, written.name);
      // Another revision has an entry of its own, further on.
      if (event && event->revision() == written.revision) expired->push_back(std::move(event));
    }
    BatchStep step = [this, expired](size_t i) { return Remove((*expired)[i]); };
    Status removed = co_await RunInGroups(expired->size(), kDeletesAtOnce, step);
    result.status = std::move(removed);
    if (!due_.empty()) result.requeue_after = std::max(kPause, due_.begin()->first - context_.clock.Now());
    co_return result;
  }

 private:
  struct Written {
    std::string ns, name;
    uint64_t revision;
  };

  Task<Status> Remove(ObjectPtr event) {
    DeleteOptions options;
    options.uid_precondition = event->uid();
    Result<ObjectPtr> gone =
        co_await context_.client.Delete(event->key().resource, event->ns(), event->name(), options);
    const Reason reason = gone.ok() ? Reason::kOk : gone.status().reason();
    co_return reason == Reason::kOk || reason == Reason::kNotFound || reason == Reason::kConflict ? Status()
                                                                                                  : gone.status();
  }

  RuntimeContext context_;
  std::multimap<Time, Written> due_;
  bool started_ = false;
};

}  // namespace

ControllerSpec EventTtlController(RuntimeContext context) {
  auto self = std::make_shared<EventReaper>(context);
  ControllerSpec spec;
  spec.name = "event-ttl-controller";
  spec.workers = 1;
  spec.watches = {
      {std::string(resources::kEvents), [self](const Event& event, WorkQueue& queue) { self->OnEvent(event, queue); }}};
  spec.reconcile = [self](std::string) { return self->Reconcile(); };
  spec.on_start = [self](WorkQueue& queue) { self->Start(queue); };
  return spec;
}

}  // namespace wherry
