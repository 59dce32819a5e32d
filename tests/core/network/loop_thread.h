#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <functional>
#include <future>
#include <thread>

#include "core/runtime/clock.h"

namespace wherry {

// An event loop on a thread of its own with a manual clock, as the proxy thread is with a real one. What is used on it
// is made before Start, and closed there before Stop.
class LoopThread {
 public:
  ~LoopThread() { Stop(); }

  void Start() {
    thread_ = std::thread([this] { io_.run(); });
  }
  bool running() const { return thread_.joinable(); }
  // Ends when nothing is left to do.
  void Stop() {
    guard_.reset();
    if (thread_.joinable()) thread_.join();
  }
  // Runs on the thread and waits for it.
  void Call(const std::function<void()>& fn) {
    std::promise<void> done;
    asio::post(io_, [&] {
      fn();
      done.set_value();
    });
    done.get_future().wait();
  }
  void Advance(Duration duration) {
    Call([&] {
      const Time end = clock_.Now() + duration;
      while (clock_.FireNext(end - clock_.Now())) {
      }
      clock_.MoveTo(end);
    });
  }
  asio::io_context& io() { return io_; }
  ManualClock& clock() { return clock_; }

 private:
  asio::io_context io_;
  ManualClock clock_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(io_);
  std::thread thread_;
};

}  // namespace wherry
