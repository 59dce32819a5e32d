#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/runtime/task.h"
#include "core/runtime/time.h"

namespace asio {
class io_context;
}

namespace wherry {

// The one source of time and timers (DESIGN: "One Clock"). Every timestamp, timer, back-off, probe, grace period and
// lease asks it. Timers run on the monotonic clock, so a jump of the wall clock fires nothing early or late. Control
// thread only, except Now().
class Clock {
 public:
  using TimerId = uint64_t;  // 0 is never a timer
  virtual ~Clock() = default;

  // Any thread.
  virtual Time Now() const = 0;
  // Time since an arbitrary start, never jumping: for measuring durations.
  virtual Duration Monotonic() const = 0;

  // Calls `fn` once on the control thread, from the event loop, after `delay` (at once, but not from inside After, when
  // delay <= 0). Timers due at the same moment fire in the order they were made.
  virtual TimerId After(Duration delay, std::function<void()> fn) = 0;
  // Forgets a timer; nothing happens when it has fired or id is 0.
  virtual void Cancel(TimerId id) = 0;

  // Resumes after `delay`.
  Task<> Sleep(Duration delay);
};

// The real clock: one asio timer over a heap of pending timers. The io_context outlives it.
std::unique_ptr<Clock> NewSystemClock(asio::io_context& io);

// A clock that stands still until told. Not connected to an event loop: Advance runs due timers itself, in time order,
// each at its own moment.
class ManualClock : public Clock {
 public:
  explicit ManualClock(Time start = Time(std::chrono::seconds(1'700'000'000)));
  ~ManualClock() override;

  Time Now() const override;
  Duration Monotonic() const override;
  TimerId After(Duration delay, std::function<void()> fn) override;
  void Cancel(TimerId id) override;

  // Moves time forward to the next timer not later than `limit` from now and fires it; false when there is none (time
  // is then moved by nothing).
  bool FireNext(Duration limit);
  // Somebody sets the wall clock, forward or back: Now() jumps, Monotonic() and timers go on as if nothing were.
  void SetWallClock(Duration by);
  // Moves time without firing what is later than the new moment. Use through TestCluster::Advance, which settles in
  // between.
  void MoveTo(Time time);
  // The moment of the earliest timer, or Time::max().
  Time NextTimer() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace wherry
