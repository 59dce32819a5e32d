#include "core/runtime/work_queue.h"

#include <algorithm>
#include <utility>

namespace wherry {

WorkQueue::WorkQueue(Clock& clock, BackoffPolicy policy) : clock_(clock), policy_(policy) {}
WorkQueue::~WorkQueue() { Shutdown(); }

void WorkQueue::Add(std::string key) {
  if (shutdown_) return;
  if (!dirty_.insert(key).second) return;
  if (processing_.contains(key)) return;  // Done will queue it again
  ready_.push_back(std::move(key));
  if (on_ready_) on_ready_();
}

void WorkQueue::AddAfter(std::string key, Duration delay) {
  if (shutdown_) return;
  if (delay <= Duration::zero()) {
    Add(std::move(key));
    return;
  }
  const Duration due = clock_.Monotonic() + delay;
  if (auto it = delayed_.find(key); it != delayed_.end()) {
    if (it->second.due <= due) return;
    clock_.Cancel(it->second.timer);
    delayed_.erase(it);
  }
  const Clock::TimerId timer = clock_.After(delay, [this, key] {
    delayed_.erase(key);
    Add(key);
  });
  delayed_.emplace(std::move(key), Pending{due, timer});
}

void WorkQueue::AddRateLimited(std::string key) {
  const int failures = failures_[key]++;
  Duration delay = policy_.base;
  for (int i = 0; i < failures && delay < policy_.max; ++i) delay *= 2;
  AddAfter(std::move(key), std::min(delay, policy_.max));
}

void WorkQueue::Forget(const std::string& key) { failures_.erase(key); }

int WorkQueue::Retries(const std::string& key) const {
  auto it = failures_.find(key);
  return it == failures_.end() ? 0 : it->second;
}

bool WorkQueue::TryGet(std::string* key) {
  if (ready_.empty()) return false;
  *key = std::move(ready_.front());
  ready_.pop_front();
  processing_.insert(*key);
  dirty_.erase(*key);
  return true;
}

void WorkQueue::Done(const std::string& key) {
  processing_.erase(key);
  if (!dirty_.contains(key)) return;
  ready_.push_back(key);
  if (on_ready_) on_ready_();
}

void WorkQueue::Shutdown() {
  shutdown_ = true;
  for (const auto& [key, pending] : delayed_) clock_.Cancel(pending.timer);
  delayed_.clear();
  ready_.clear();
  dirty_.clear();
}

}  // namespace wherry
