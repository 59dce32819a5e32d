#include "store/event_bus.h"

#include <algorithm>

namespace wherry {
namespace {

// Counts one level of Publish, also when a handler throws.
class Depth {
 public:
  explicit Depth(int& level) : level_(level) { ++level_; }
  ~Depth() { --level_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  int& level_;
};

}  // namespace

std::string_view ToString(EventType type) {
  static constexpr std::string_view kNames[] = {"ADDED", "MODIFIED", "DELETED"};
  return kNames[static_cast<size_t>(type)];
}

std::shared_ptr<const std::string> Event::Frame(EventType as) const {
  auto& frame = frames_[static_cast<size_t>(as)];
  if (!frame) {
    const std::string_view name = ToString(as);
    const std::string_view bytes = object->bytes();
    std::string text;
    text.reserve(bytes.size() + name.size() + 24);
    text.append("{\"type\":\"").append(name).append("\",\"object\":").append(bytes).append("}\n");
    frame = std::make_shared<const std::string>(std::move(text));
  }
  return frame;
}

EventPtr Subscription::Pop() {
  if (queue_.empty()) return nullptr;
  EventPtr event = std::move(queue_.front());
  queue_.pop_front();
  return event;
}

void Subscription::Push(const EventPtr& event) {
  if (closed_) return;
  if (queue_.size() >= capacity_) {
    Close();
    return;
  }
  queue_.push_back(event);
  if (queue_.size() > 1) return;
  if (auto wakeup = wakeup_) wakeup();
}

void Subscription::Close() {
  if (closed_) return;
  closed_ = true;
  if (auto wakeup = wakeup_) wakeup();
}

std::shared_ptr<Subscription> EventBus::Subscribe(std::string_view resource, size_t capacity) {
  auto subscription = std::make_shared<Subscription>(capacity);
  if (shut_down_) {
    subscription->Close();
    return subscription;
  }
  Channel& channel = ChannelOf(resource);
  // Readers that left a quiet resource are forgotten here, those of a busy one in Publish.
  if (publishing_ == 0) Prune(channel);
  channel.subscriptions.push_back(subscription);
  return subscription;
}

EventBus::HandlerId EventBus::AddHandler(std::string_view resource, Handler handler) {
  const HandlerId id = next_id_++;
  ChannelOf(resource).handlers.push_back(std::make_shared<HandlerSlot>(HandlerSlot{id, std::move(handler)}));
  return id;
}

void EventBus::RemoveHandler(HandlerId id) {
  for (auto& [resource, channel] : channels_) {
    for (auto& slot : channel.handlers) {
      if (slot->id != id) continue;
      slot->id = 0;
      if (publishing_ == 0) {
        Prune(channel);
      } else {
        channel.dirty = true;
      }
      return;
    }
  }
}

void EventBus::Publish(const EventPtr& event) {
  // Those who join from within a handler or wakeup get the events after this one: the ends are fixed before the first
  // call.
  Channel* channels[] = {nullptr, nullptr};
  if (auto it = channels_.find(event->object->key().resource); it != channels_.end()) channels[0] = &it->second;
  if (auto it = channels_.find(std::string_view()); it != channels_.end()) channels[1] = &it->second;
  size_t handlers[2] = {};
  size_t subscriptions[2] = {};
  for (int i = 0; i < 2; ++i) {
    if (!channels[i]) continue;
    handlers[i] = channels[i]->handlers.size();
    subscriptions[i] = channels[i]->subscriptions.size();
  }
  {
    const Depth depth(publishing_);
    for (int i = 0; i < 2; ++i) {
      if (channels[i]) PublishTo(*channels[i], handlers[i], subscriptions[i], event);
    }
  }
  if (publishing_ > 0) return;
  for (Channel* channel : channels) {
    if (channel && channel->dirty) Prune(*channel);
  }
}

void EventBus::PublishTo(Channel& channel, size_t handlers, size_t subscriptions, const EventPtr& event) {
  for (size_t i = 0; i < handlers; ++i) {
    // Held, because the handler may add others (the vector moves) or remove itself.
    const std::shared_ptr<HandlerSlot> slot = channel.handlers[i];
    if (slot->id != 0) slot->handler(*event);
  }
  for (size_t i = 0; i < subscriptions; ++i) {
    if (auto subscription = channel.subscriptions[i].lock(); subscription && !subscription->closed()) {
      subscription->Push(event);
    } else {
      channel.dirty = true;
    }
  }
}

void EventBus::Shutdown() {
  shut_down_ = true;
  const Depth depth(publishing_);
  for (auto& [resource, channel] : channels_) {
    for (size_t i = 0; i < channel.subscriptions.size(); ++i) {
      if (auto subscription = channel.subscriptions[i].lock()) subscription->Close();
    }
    channel.dirty = true;
  }
}

size_t EventBus::subscriptions() const {
  size_t count = 0;
  for (const auto& [resource, channel] : channels_) {
    for (const auto& weak : channel.subscriptions) {
      const auto subscription = weak.lock();
      if (subscription && !subscription->closed()) ++count;
    }
  }
  return count;
}

EventBus::Channel& EventBus::ChannelOf(std::string_view resource) {
  auto it = channels_.find(resource);
  if (it == channels_.end()) it = channels_.emplace(std::string(resource), Channel()).first;
  return it->second;
}

void EventBus::Prune(Channel& channel) {
  std::erase_if(channel.subscriptions, [](const auto& weak) {
    const auto subscription = weak.lock();
    return !subscription || subscription->closed();
  });
  std::erase_if(channel.handlers, [](const auto& slot) { return slot->id == 0; });
  channel.dirty = false;
}

}  // namespace wherry
