#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <string>

#include "api/http/wakeup.h"
#include "core/runtime/task.h"
#include "store/status.h"

namespace wherry::streams {

// The server's end of a pipe or terminal that a program writes to: read as fast as the reader asks, so that a slow
// client makes the program wait, as a slow terminal would. Control thread only.
class FdReader {
 public:
  // Takes the descriptor and makes it non-blocking.
  FdReader(asio::any_io_executor executor, int fd);

  // Waits for output; "" = the end.
  Task<std::string> Read();
  // From here on what is there is still read, but nothing is waited for: the program has ended, and what else holds the
  // other end is not to keep anybody.
  void Drain();
  // The same at once, for good.
  void Close();

 private:
  asio::posix::stream_descriptor descriptor_;
  bool draining_ = false;
};

// The server's end of a pipe, socket or terminal that a program reads from. Holds a bounded queue, so that the
// connection's own traffic goes on while the program does not read.
class FdWriter {
 public:
  static constexpr size_t kQueueBytes = 256 << 10;

  FdWriter(asio::any_io_executor executor, int fd);

  // Queues; waits first while the queue is full. What a program that no longer reads would have got is dropped.
  Task<> Push(std::string data);
  // No more will come: the descriptor is closed (a socket's sending side shut) once the queue is empty.
  void End();
  // At once: what is queued is dropped.
  void Close();
  // Moves the queue along until it is ended or closed. One coroutine runs it.
  Task<> Run();
  // For ioctl; -1 once it is closed.
  int native() { return descriptor_.is_open() ? descriptor_.native_handle() : -1; }

 private:
  asio::posix::stream_descriptor descriptor_;
  http::Wakeup filled_, emptied_;
  std::string queue_;
  size_t queue_at_ = 0;
  bool ended_ = false;
  bool closed_ = false;
};

}  // namespace wherry::streams
