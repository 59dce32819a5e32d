#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "core/runtime/clock.h"

namespace wherry {

// How often a key may be retried: exponential back-off per key.
struct BackoffPolicy {
  Duration base = std::chrono::milliseconds(5);
  Duration max = std::chrono::seconds(1000);
};

// Keys waiting to be reconciled. Fair (first in, first out), stingy (a key added many times is processed once),
// multiple workers (a key is never processed by two at once; added while processing it waits for its turn again), with
// delayed and rate-limited adds, and shutdown. After client-go's workqueue contract. Control thread only.
class WorkQueue {
 public:
  WorkQueue(Clock& clock, BackoffPolicy policy = {});
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  void Add(std::string key);
  // Adds after `delay`; an earlier pending moment for the same key wins.
  void AddAfter(std::string key, Duration delay);
  // Adds after the key's back-off, which doubles each time until Forget.
  void AddRateLimited(std::string key);
  void Forget(const std::string& key);
  int Retries(const std::string& key) const;

  // Takes the next key, which is then "processing" until Done. False when none is ready.
  bool TryGet(std::string* key);
  void Done(const std::string& key);

  // Called whenever a key becomes ready (from within Add/Done/timers): only wake a worker.
  void set_on_ready(std::function<void()> on_ready) { on_ready_ = std::move(on_ready); }
  // Drops everything; later adds are ignored.
  void Shutdown();

  bool idle() const { return ready_.empty() && processing_.empty(); }
  size_t size() const { return ready_.size(); }

 private:
  struct Pending {
    Duration due;  // monotonic
    Clock::TimerId timer;
  };
  Clock& clock_;
  const BackoffPolicy policy_;
  std::deque<std::string> ready_;
  std::unordered_set<std::string> dirty_;  // ready, or to be ready when its processing ends
  std::unordered_set<std::string> processing_;
  std::unordered_map<std::string, Pending> delayed_;
  std::unordered_map<std::string, int> failures_;
  std::function<void()> on_ready_;
  bool shutdown_ = false;
};

}  // namespace wherry
