#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "core/runtime/clock.h"

namespace wherry {

struct ManualClock::Impl {
  Time start;
  Time now;            // as if nobody ever set the wall clock
  Duration set_by{0};  // what Now() is ahead of that
  std::map<std::pair<Time, TimerId>, std::function<void()>> timers;
  std::unordered_map<TimerId, Time> due_of;
  TimerId next_id = 1;
};

ManualClock::ManualClock(Time start) : impl_(std::make_unique<Impl>()) { impl_->start = impl_->now = start; }
ManualClock::~ManualClock() = default;

Time ManualClock::Now() const { return impl_->now + impl_->set_by; }
Duration ManualClock::Monotonic() const { return impl_->now - impl_->start; }

Clock::TimerId ManualClock::After(Duration delay, std::function<void()> fn) {
  const TimerId id = impl_->next_id++;
  const Time due = impl_->now + std::max(delay, Duration::zero());
  impl_->timers.emplace(std::pair(due, id), std::move(fn));
  impl_->due_of.emplace(id, due);
  return id;
}

void ManualClock::Cancel(TimerId id) {
  auto found = impl_->due_of.find(id);
  if (found == impl_->due_of.end()) return;
  impl_->timers.erase(std::pair(found->second, id));
  impl_->due_of.erase(found);
}

Time ManualClock::NextTimer() const {
  return impl_->timers.empty() ? Time::max() : impl_->timers.begin()->first.first + impl_->set_by;
}

void ManualClock::SetWallClock(Duration by) { impl_->set_by += by; }

bool ManualClock::FireNext(Duration limit) {
  if (impl_->timers.empty()) return false;
  const auto first = impl_->timers.begin();
  if (first->first.first > impl_->now + limit) return false;
  auto node = impl_->timers.extract(first);
  impl_->due_of.erase(node.key().second);
  impl_->now = std::max(impl_->now, node.key().first);
  node.mapped()();
  return true;
}

void ManualClock::MoveTo(Time time) { impl_->now = std::max(impl_->now, time - impl_->set_by); }

}  // namespace wherry
