#pragma once

#include <functional>

#include "core/runtime/clock.h"

namespace wherry::http {

// A moment that moves all the time and is hardly ever reached: setting it later costs a store; the timer behind it is
// made anew only when the moment comes nearer, or when it fires too early. Control thread only.
class Deadline {
 public:
  // `on_expired` runs from the event loop; it may destroy the Deadline.
  Deadline(Clock& clock, std::function<void()> on_expired) : clock_(clock), on_expired_(std::move(on_expired)) {}
  ~Deadline() { clock_.Cancel(timer_); }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  void Set(Duration from_now) {
    due_ = clock_.Monotonic() + from_now;
    if (timer_ != 0 && armed_for_ <= due_) return;
    clock_.Cancel(timer_);
    Arm(from_now);
  }
  void Clear() { due_ = Duration::max(); }

 private:
  void Arm(Duration delay) {
    armed_for_ = due_;
    timer_ = clock_.After(delay, [this] { OnTimer(); });
  }
  void OnTimer() {
    timer_ = 0;
    if (due_ == Duration::max()) return;
    const Duration left = due_ - clock_.Monotonic();
    if (left > Duration::zero()) return Arm(left);
    due_ = Duration::max();
    on_expired_();
  }

  Clock& clock_;
  const std::function<void()> on_expired_;
  Duration due_ = Duration::max();
  Duration armed_for_{};
  Clock::TimerId timer_ = 0;
};

}  // namespace wherry::http
