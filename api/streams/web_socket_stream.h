#pragma once

#include <string>

#include "api/streams/serial_writer.h"
#include "api/streams/web_socket.h"

namespace wherry::streams {

// A stream of bytes inside the binary messages of a WebSocket: how newer kubectls carry SPDY.
class WebSocketStream : public http::ByteStream {
 public:
  WebSocketStream(http::ByteStream& stream, asio::any_io_executor executor)
      : stream_(stream), writer_(stream, std::move(executor)) {}

  Task<Result<size_t>> Read(char* buffer, size_t size) override;
  Task<Status> Write(std::vector<http::SharedBuffer> buffers) override;
  void Close() override { stream_.Close(); }
  bool closed() const override { return stream_.closed(); }
  // Says that nothing more comes.
  Task<> Finish();

 private:
  http::ByteStream& stream_;
  SerialWriter writer_;
  WebSocketParser parser_;
  std::string pending_;  // came in, not read yet
  size_t pending_at_ = 0;
  bool closing_ = false;
};

}  // namespace wherry::streams
