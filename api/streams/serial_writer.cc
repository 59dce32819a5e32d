#include "api/streams/serial_writer.h"

#include <asio/post.hpp>
#include <utility>

#include "core/runtime/await.h"

namespace wherry::streams {

Task<> SerialWriter::Lock() {
  if (!std::exchange(locked_, true)) co_return;
  auto queue = [this](std::function<void(bool)> turn) { waiting_.push_back(std::move(turn)); };
  co_await AwaitCallback<bool>(std::move(queue));  // it is ours from here on
}

void SerialWriter::Unlock() {
  if (waiting_.empty()) {
    locked_ = false;
    return;
  }
  auto turn = std::move(waiting_.front());
  waiting_.pop_front();
  asio::post(executor_, [turn = std::move(turn)] { turn(true); });
}

Task<Status> SerialWriter::Write(std::vector<http::SharedBuffer> buffers) {
  co_await Lock();
  if (stream_.closed()) {
    Unlock();
    co_return Status::Unavailable("the peer closed the connection");
  }
  Status status = co_await stream_.Write(std::move(buffers));
  Unlock();
  co_return status;
}

Task<Status> SerialWriter::Write(std::string bytes) {
  std::vector<http::SharedBuffer> buffers;
  buffers.emplace_back(std::move(bytes));
  Status status = co_await Write(std::move(buffers));
  co_return status;
}

}  // namespace wherry::streams
