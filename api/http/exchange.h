#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "api/http/message.h"
#include "core/runtime/task.h"

namespace wherry::http {

// The running answer of a streaming handler (watch, logs -f): chunked, one Write at a time. Owned by its Exchange.
class ResponseStream {
 public:
  virtual ~ResponseStream() = default;
  // Sends the buffers as one chunk and returns when the socket has taken them: that is the back-pressure. Fails once
  // the peer is gone or does not read for the write time-out.
  virtual Task<Status> Write(std::vector<SharedBuffer> buffers) = 0;
  // The peer is gone or the server is stopping: return from the handler soon. (A stream that ends because of a stop is
  // still ended cleanly.)
  virtual bool closed() const = 0;
};

// The raw bytes of a connection after `101 Switching Protocols`. One reader and one writer at a time; they may be two
// coroutines.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Waits for bytes, at most `size`; 0 = the peer has ended. The buffer must live until then.
  virtual Task<Result<size_t>> Read(char* buffer, size_t size) = 0;
  virtual Task<Status> Write(std::vector<SharedBuffer> buffers) = 0;
  // Closes at once; a Read or Write under way fails.
  virtual void Close() = 0;
  virtual bool closed() const = 0;
};

// One request and the way to answer it. A handler answers in exactly one of three ways: Respond, StartStream or
// Upgrade. Control thread only. Shared, so that work started by the handler may hold it, but the answer must be given
// before the handler returns.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const Request& request() const = 0;
  virtual Request& mutable_request() = 0;  // to take the body

  // The whole answer; sent when the handler returns. A second call replaces the first.
  virtual void Respond(Response response) = 0;

  // Sends the head of `head` (its body, if any, is the first chunk) and gives the stream, which ends when the handler
  // returns; an exception out of the handler breaks it off instead. From here on the peer's vanishing is noticed.
  virtual Task<Result<ResponseStream*>> StartStream(Response head) = 0;

  // Sends `head` (status 101 and its headers) and hands over the connection, which closes when the handler returns.
  virtual Task<Result<ByteStream*>> Upgrade(Response head) = 0;

  // True once the peer is gone or the server is stopping.
  virtual bool closed() const = 0;
  // Called once, from the event loop, when closed() turns true (at once when it already is). Only wake: set a flag,
  // Notify a Wakeup. Starts to watch for the peer's vanishing, also before StartStream. nullptr takes it back.
  virtual void set_on_close(std::function<void()> on_close) = 0;
};
using ExchangePtr = std::shared_ptr<Exchange>;

// Answers one request. Requests of one connection are handled one after the other, in order. An exception is a bug: it
// is logged and answered with 500.
// GCC 12 miscompiles temporaries inside a co_await: hand over named locals, `co_await
// exchange->StartStream(std::move(head))`.
using Handler = std::function<Task<>(ExchangePtr)>;

}  // namespace wherry::http
