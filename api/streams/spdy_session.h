#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "api/streams/serial_writer.h"
#include "api/streams/spdy.h"

namespace wherry::streams {

// The server's end of a SPDY connection whose peer opens all streams: frames in order of their coming, everything that
// needs no decision answered here. One reader, any number of writers. Control thread only; the stream outlives it.
class SpdySession {
 public:
  static constexpr size_t kMaxStreams = 512;  // open at once; more are refused

  SpdySession(http::ByteStream& stream, asio::any_io_executor executor)
      : stream_(stream), writer_(stream, std::move(executor)) {}

  struct Event {
    enum class Kind : uint8_t {
      kOpened,  // answered with SYN_REPLY already; `fin` when the peer will send nothing on it
      kData,    // `fin`: the last of it
      kReset,   // the peer gave the stream up
      kGone,    // the connection is over
    };
    Kind kind = Kind::kGone;
    uint32_t stream = 0;
    bool fin = false;
    SpdyHeaders headers;
    std::string data;
  };
  Task<Event> Next();

  // Sends data; returns when the socket has taken it.
  Task<Status> Write(uint32_t stream, std::string data, bool fin);
  Task<Status> Reset(uint32_t stream, SpdyReset status);
  Task<Status> GoAway();
  // Forgets a stream that is through in both directions.
  void Forget(uint32_t stream) { open_.erase(stream); }
  void Close() { stream_.Close(); }

 private:
  Task<Status> Accept(uint32_t stream);

  http::ByteStream& stream_;
  SerialWriter writer_;
  SpdyParser parser_;
  SpdyDeflater deflater_;
  std::set<uint32_t> open_;
  uint32_t last_ = 0;
};

}  // namespace wherry::streams
