#include "core/runtime/clock.h"

#include <algorithm>
#include <asio/async_result.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <map>
#include <unordered_map>
#include <utility>

namespace wherry {

Task<> Clock::Sleep(Duration delay) {
  // The timer is cancelled when the coroutine is destroyed, which is how everything ends when the loop stops.
  asio::any_io_executor executor = co_await asio::this_coro::executor;
  asio::use_awaitable_t<asio::any_io_executor> token;
  auto initiation = [this, delay, executor](auto handler) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    After(delay, [shared, executor] { asio::post(executor, [shared] { std::move (*shared)(); }); });
  };
  co_await asio::async_initiate<asio::use_awaitable_t<asio::any_io_executor>, void()>(std::move(initiation), token);
}

namespace {

// All timers in one ordered map behind one asio timer, armed for the earliest.
class SystemClock : public Clock {
 public:
  explicit SystemClock(asio::io_context& io) : timer_(io) {}
  ~SystemClock() override { *alive_ = false; }

  Time Now() const override { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }
  Duration Monotonic() const override {
    return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
  }

  TimerId After(Duration delay, std::function<void()> fn) override {
    const TimerId id = next_id_++;
    const Duration due = Monotonic() + std::max(delay, Duration::zero());
    auto [it, inserted] = timers_.emplace(std::pair(due, id), std::move(fn));
    due_of_.emplace(id, due);
    if (it == timers_.begin()) Arm();
    return id;
  }

  void Cancel(TimerId id) override {
    auto found = due_of_.find(id);
    if (found == due_of_.end()) return;
    timers_.erase(std::pair(found->second, id));  // the armed moment may now be early: Fire looks again
    due_of_.erase(found);
    if (timers_.empty()) timer_.cancel();  // a loop with nothing left to wait for may end
  }

 private:
  void Arm() {
    if (timers_.empty()) return;
    timer_.expires_at(std::chrono::steady_clock::time_point(
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(timers_.begin()->first.first)));
    timer_.async_wait([this, alive = alive_](const std::error_code& error) {
      if (!error && *alive) Fire();
    });
  }

  void Fire() {
    const Duration now = Monotonic();
    const TimerId before = next_id_;  // timers made by those fired now wait for the next turn of the loop
    auto alive = alive_;
    while (*alive && !timers_.empty()) {
      auto it = timers_.begin();
      while (it != timers_.end() && it->first.first <= now && it->first.second >= before) ++it;
      if (it == timers_.end() || it->first.first > now) break;
      auto node = timers_.extract(it);
      due_of_.erase(node.key().second);
      node.mapped()();
    }
    if (*alive) Arm();
  }

  asio::steady_timer timer_;
  std::map<std::pair<Duration, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, Duration> due_of_;
  TimerId next_id_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<Clock> NewSystemClock(asio::io_context& io) { return std::make_unique<SystemClock>(io); }

}  // namespace wherry
