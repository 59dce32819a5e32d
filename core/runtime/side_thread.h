#pragma once

#include <asio/any_io_executor.hpp>
#include <functional>
#include <memory>

#include "core/runtime/task.h"
#include "store/status.h"

namespace wherry {

// One thread beside the control thread, for calls that may block long: the removal of a directory tree. It starts with
// the first Run and does one thing after another. Used from the control thread; what it runs must share nothing.
class SideThread {
 public:
  explicit SideThread(asio::any_io_executor executor);
  // Waits for the work under way. What waits behind it is dropped, and with it the coroutines that wait for it.
  ~SideThread();
  SideThread(const SideThread&) = delete;
  SideThread& operator=(const SideThread&) = delete;

  // Resumes on the control thread with what `work` returned.
  Task<Status> Run(std::function<Status()> work);

 private:
  struct Rep;
  asio::any_io_executor executor_;
  std::unique_ptr<Rep> rep_;  // null until the first Run
};

}  // namespace wherry
