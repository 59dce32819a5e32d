#include "api/streams/fd_pump.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <ctime>
#include <utility>

namespace wherry::streams {
namespace {

constexpr size_t kReadBytes = 32 << 10;
const auto kAwait = asio::use_awaitable_t<asio::any_io_executor>();

int NonBlocking(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
}

// write(2) on a pipe that nobody reads raises SIGPIPE, and what signals do is not ours to decide: the process may be
// somebody else's program.
ssize_t WriteQuietly(int fd, const char* data, size_t size) {
  sigset_t pipe_signal, before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const ssize_t sent = write(fd, data, size);
  const int error = errno;
  if (sent < 0 && error == EPIPE) {
    const timespec now{};
    while (sigtimedwait(&pipe_signal, nullptr, &now) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return sent;
}

}  // namespace

FdReader::FdReader(asio::any_io_executor executor, int fd) : descriptor_(std::move(executor), NonBlocking(fd)) {}

Task<std::string> FdReader::Read() {
  std::string buffer;
  while (descriptor_.is_open()) {
    buffer.resize(kReadBytes);
    const ssize_t got = read(descriptor_.native_handle(), buffer.data(), buffer.size());
    if (got > 0) {
      buffer.resize(static_cast<size_t>(got));
      co_return buffer;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got == 0 || errno != EAGAIN || draining_) break;  // a terminal whose programs are gone says EIO
    std::string().swap(buffer);
    asio::error_code cancelled;
    co_await descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, asio::redirect_error(kAwait, cancelled));
  }
  co_return std::string();
}

void FdReader::Drain() {
  draining_ = true;
  asio::error_code ignored;
  descriptor_.cancel(ignored);
}

void FdReader::Close() {
  asio::error_code ignored;
  descriptor_.close(ignored);
}

FdWriter::FdWriter(asio::any_io_executor executor, int fd)
    : descriptor_(executor, NonBlocking(fd)), filled_(executor), emptied_(executor) {}

Task<> FdWriter::Push(std::string data) {
  while (!closed_ && queue_.size() - queue_at_ >= kQueueBytes) co_await emptied_.Wait();
  if (closed_ || ended_) co_return;
  if (queue_at_ > kQueueBytes / 2) {
    queue_.erase(0, queue_at_);
    queue_at_ = 0;
  }
  queue_ += data;
  filled_.Notify();
}

void FdWriter::End() {
  ended_ = true;
  filled_.Notify();
}

void FdWriter::Close() {
  closed_ = true;
  asio::error_code ignored;
  descriptor_.close(ignored);
  std::string().swap(queue_);
  queue_at_ = 0;
  filled_.Notify();
  emptied_.Notify();
}

Task<> FdWriter::Run() {
  while (!closed_) {
    if (queue_at_ == queue_.size()) {
      queue_.clear();
      queue_at_ = 0;
      if (ended_) {
        shutdown(descriptor_.native_handle(), SHUT_WR);  // another descriptor of a socket may be read on
        break;
      }
      co_await filled_.Wait();
      continue;
    }
    const ssize_t sent =
        WriteQuietly(descriptor_.native_handle(), queue_.data() + queue_at_, queue_.size() - queue_at_);
    if (sent > 0) {
      queue_at_ += static_cast<size_t>(sent);
      emptied_.Notify();
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) break;  // nobody reads any more
    asio::error_code cancelled;
    co_await descriptor_.async_wait(asio::posix::stream_descriptor::wait_write,
                                    asio::redirect_error(kAwait, cancelled));
  }
  Close();
}

}  // namespace wherry::streams
