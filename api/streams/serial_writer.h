#pragma once

#include <asio/any_io_executor.hpp>
#include <deque>
#include <functional>
#include <vector>

#include "api/http/exchange.h"

namespace wherry::streams {

// Lets the coroutines of one connection write one after the other, each waiting until the socket has taken what it
// gave: the back-pressure of whatever they read from. Nothing is buffered. Control thread only; the stream outlives it,
// and it outlives every Write.
class SerialWriter {
 public:
  SerialWriter(http::ByteStream& stream, asio::any_io_executor executor)
      : stream_(stream), executor_(std::move(executor)) {}
  SerialWriter(const SerialWriter&) = delete;
  SerialWriter& operator=(const SerialWriter&) = delete;

  // All of one call leaves together.
  Task<Status> Write(std::vector<http::SharedBuffer> buffers);
  Task<Status> Write(std::string bytes);

 private:
  Task<> Lock();
  void Unlock();

  http::ByteStream& stream_;
  const asio::any_io_executor executor_;
  bool locked_ = false;
  std::deque<std::function<void(bool)>> waiting_;
};

}  // namespace wherry::streams
