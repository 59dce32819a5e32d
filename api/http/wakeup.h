#pragma once

#include <asio/any_io_executor.hpp>
#include <memory>

#include "core/runtime/task.h"

namespace wherry::http {

// Lets one coroutine wait until somebody says there is something to do: a subscription's wakeup, a timer, a vanished
// peer all Notify the same Wakeup, and the loop looks at everything anew. Notifications that come while nobody waits
// are remembered as one. Control thread only.
class Wakeup {
 public:
  explicit Wakeup(asio::any_io_executor executor);
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  // Resumes the waiter from the event loop, never from inside Notify.
  void Notify();
  // REQUIRES: nobody else waits.
  Task<> Wait();
  bool waiting() const { return waiter_ != nullptr; }

 private:
  struct Waiter;
  template <typename CompletionHandler>
  struct WaiterOf;
  asio::any_io_executor executor_;
  bool notified_ = false;
  std::unique_ptr<Waiter> waiter_;
};

}  // namespace wherry::http
