#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/object.h"

namespace wherry {

enum class EventType : uint8_t { kAdded, kModified, kDeleted };
std::string_view ToString(EventType type);  // "ADDED" …

// One committed change. Shared by every watcher. For kDeleted, `object` is the last state with the deletion's revision.
struct Event {
  EventType type = EventType::kAdded;
  ObjectPtr object;
  ObjectPtr previous;  // the state before; null for kAdded, or when a replay no longer has it

  uint64_t revision() const { return object->revision(); }

  // `{"type":"ADDED","object":{…}}\n`, made once per event and type and shared by all plain JSON watchers. `as` differs
  // from `type` when a selector turns a change into an appearance or disappearance. Control thread only.
  std::shared_ptr<const std::string> Frame(EventType as) const;

 private:
  mutable std::array<std::shared_ptr<const std::string>, 3> frames_;
};
using EventPtr = std::shared_ptr<const Event>;

// Where one slow reader (a watch connection) collects its events: a bounded queue filled by the bus. When it is full
// the subscription closes, and the reader must end its watch: nothing is ever buffered without limit. Control thread
// only. Owned by the reader; the bus holds it weakly.
class Subscription {
 public:
  explicit Subscription(size_t capacity) : capacity_(capacity) {}

  // The next event, or null when none is waiting.
  EventPtr Pop();
  bool empty() const { return queue_.empty(); }
  // True once the queue overflowed or the bus shut down. Events popped before are still valid; those after are lost.
  bool closed() const { return closed_; }
  // Called (once per change from empty to not empty, and on close) from within Publish: only wake, do not work.
  void set_wakeup(std::function<void()> wakeup) { wakeup_ = std::move(wakeup); }

 private:
  friend class EventBus;
  void Push(const EventPtr& event);
  void Close();

  const size_t capacity_;
  std::deque<EventPtr> queue_;
  bool closed_ = false;
  std::function<void()> wakeup_;
};

// Hands every committed event, in revision order, to those who asked for its resource. The right-hand end of the write
// path; see WatchCache::Apply, the only caller of Publish. Handlers and wakeups may subscribe, add and remove handlers:
// who joins gets the events after the present one, who is removed is not called again. Control thread only.
class EventBus {
 public:
  using Handler = std::function<void(const Event&)>;
  using HandlerId = uint64_t;

  // A bounded queue of the events of one resource from now on ("" = every resource).
  std::shared_ptr<Subscription> Subscribe(std::string_view resource, size_t capacity);

  // A function called inside Publish for each event of `resource` ("" = every resource): informer handlers, which must
  // only enqueue. Stays until RemoveHandler.
  HandlerId AddHandler(std::string_view resource, Handler handler);
  void RemoveHandler(HandlerId id);

  void Publish(const EventPtr& event);
  // Closes every subscription, and those made later at once: the server stops.
  void Shutdown();

  size_t subscriptions() const;

 private:
  struct HandlerSlot {
    HandlerId id;  // 0: removed, never called again
    Handler handler;
  };
  struct Channel {
    std::vector<std::weak_ptr<Subscription>> subscriptions;
    std::vector<std::shared_ptr<HandlerSlot>> handlers;
    bool dirty = false;  // holds removed handlers or readers that left
  };
  Channel& ChannelOf(std::string_view resource);
  void PublishTo(Channel& channel, size_t handlers, size_t subscriptions, const EventPtr& event);
  static void Prune(Channel& channel);

  std::map<std::string, Channel, std::less<>> channels_;
  HandlerId next_id_ = 1;
  int publishing_ = 0;  // depth of Publish: while it is not 0, channels only grow
  bool shut_down_ = false;
};

}  // namespace wherry
