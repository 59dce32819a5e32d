#include "core/runtime/controller.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "core/runtime/object_view.h"

namespace wherry {

namespace {

// Refusals that only mean the world moved on: another writer, an object that is gone, a namespace that is going.
bool MovedOn(const Status& status) {
  const Reason reason = status.reason();
  if (reason == Reason::kConflict || reason == Reason::kNotFound) return true;
  const auto& causes = status.details().causes;
  return std::any_of(causes.begin(), causes.end(),
                     [](const StatusCause& cause) { return cause.reason == "NamespaceTerminating"; });
}

}  // namespace

Controller::Controller(RuntimeContext context, ControllerSpec spec)
    : context_(std::move(context)), spec_(std::move(spec)), queue_(context_.clock, spec_.backoff) {
  queue_.set_on_ready([this] { OnReady(); });
}

Controller::~Controller() { Stop(); }

void Controller::Start() {
  for (const WatchRule& rule : spec_.watches) {
    handlers_.push_back(context_.client.events().AddHandler(
        rule.resource, [this, &rule](const Event& event) { rule.enqueue(event, queue_); }));
    context_.client.cache().ForEach(rule.resource, {}, [this, &rule](const ObjectPtr& object) {
      Event seen;
      seen.type = EventType::kAdded;
      seen.object = object;
      rule.enqueue(seen, queue_);
      return true;
    });
  }
  if (spec_.on_start) spec_.on_start(queue_);
}

void Controller::Stop() {
  if (stopped_) return;
  stopped_ = true;
  for (EventBus::HandlerId id : handlers_) context_.client.events().RemoveHandler(id);
  handlers_.clear();
  queue_.Shutdown();
}

void Controller::OnReady() {
  if (stopped_ || active_ >= spec_.workers) return;
  ++active_;
  Spawn(context_.executor, spec_.name, Work());
}

Task<> Controller::Work() {
  std::string key;
  while (!stopped_ && queue_.TryGet(&key)) {
    ReconcileResult result;
    try {
      result = co_await spec_.reconcile(key);
    } catch (const std::exception& e) {
      // One broken object must never stop the others.
      spdlog::error("reconcile threw controller={} key={} error=\"{}\"", spec_.name, key, e.what());
      result.status = Status::Internal(e.what());
    }
    if (!result.status.ok()) {
      if (!MovedOn(result.status)) {
        spdlog::warn("reconcile failed controller={} key={} retries={} error=\"{}\"", spec_.name, key,
                     queue_.Retries(key), result.status.message());
      }
      queue_.AddRateLimited(key);
    } else {
      queue_.Forget(key);
    }
    if (result.requeue_after > Duration::zero()) queue_.AddAfter(key, result.requeue_after);
    queue_.Done(key);
  }
  --active_;
}

std::pair<std::string, std::string> SplitKey(const std::string& key) {
  const size_t slash = key.find('/');
  if (slash == std::string::npos) return {"", key};
  return {key.substr(0, slash), key.substr(slash + 1)};
}

std::string KeyOf(std::string_view ns, std::string_view name) {
  std::string key;
  key.reserve(ns.size() + name.size() + 1);
  if (!ns.empty()) key.append(ns).push_back('/');
  return key.append(name);
}

std::string KeyOf(const Object& object) { return KeyOf(object.ns(), object.name()); }

void EnqueueSelf(const Event& event, WorkQueue& queue) { queue.Add(KeyOf(*event.object)); }

std::function<void(const Event&, WorkQueue&)> EnqueueControllerOf(std::string kind) {
  return [kind = std::move(kind)](const Event& event, WorkQueue& queue) {
    for (const ObjectPtr& object : {event.object, event.previous}) {
      if (!object) continue;
      const OwnerRef* owner = object->view<MetaView>().controller();
      if (owner && owner->kind == kind) queue.Add(KeyOf(object->ns(), owner->name));
    }
  };
}

}  // namespace wherry
