#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct z_stream_s;

namespace wherry::streams {

// The framing of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00 with the session flow control of 3.1), as far as kubectl's
// streams use it. Pure: bytes in, frames out. There is no flow control here: the peers do without it.
using SpdyHeaders = std::vector<std::pair<std::string, std::string>>;
// The value of a header, "" when absent. Names compare without regard to case.
std::string SpdyHeader(const SpdyHeaders& headers, std::string_view name);

enum class SpdyType : uint16_t {
  kData = 0,  // no control frame
  kSynStream = 1,
  kSynReply = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kHeaders = 8,
  kWindowUpdate = 9,
};

enum class SpdyReset : uint32_t { kProtocolError = 1, kInvalidStream = 2, kRefusedStream = 3, kCancel = 5 };

struct SpdyFrame {
  SpdyType type = SpdyType::kData;
  uint32_t stream = 0;  // or the id of a ping, or the status of a reset
  bool fin = false;     // the sender's last on this stream
  SpdyHeaders headers;  // of kSynStream, kSynReply, kHeaders
  std::string payload;  // of kData: a part of a frame perhaps, then without fin
};

// Compressed header blocks: one state for a direction of a connection.
class SpdyDeflater {
 public:
  SpdyDeflater();
  ~SpdyDeflater();
  std::string Compress(const SpdyHeaders& headers);

 private:
  std::unique_ptr<z_stream_s> stream_;
};

class SpdyInflater {
 public:
  SpdyInflater();
  ~SpdyInflater();
  // False when the block is broken or unreasonably large.
  bool Expand(std::string_view block, SpdyHeaders* headers);

 private:
  std::unique_ptr<z_stream_s> stream_;
};

// Cuts a stream of bytes into frames. Data frames are handed out as they come in, control frames whole.
class SpdyParser {
 public:
  void Feed(std::string_view bytes);
  // The next frame of a kind we know; nullopt when more bytes are needed or the stream is broken.
  std::optional<SpdyFrame> Next();
  bool broken() const { return broken_; }
  const std::string& error() const { return error_; }

 private:
  std::optional<SpdyFrame> Break(const char* why);
  // nullopt: nothing to hand out, or broken.
  std::optional<SpdyFrame> ReadControl(uint16_t type, uint8_t flags, std::string_view body);

  std::string buffer_;
  size_t taken_ = 0;
  uint32_t data_stream_ = 0;  // of the data frame under way
  uint32_t data_left_ = 0;
  bool data_fin_ = false;
  bool broken_ = false;
  std::string error_;
  SpdyInflater inflater_;
};

std::string EncodeSpdyDataHead(uint32_t stream, bool fin, size_t size);
std::string EncodeSpdyHeaderFrame(SpdyType type, uint32_t stream, bool fin, std::string_view block);
std::string EncodeSpdyReset(uint32_t stream, SpdyReset status);
std::string EncodeSpdyPing(uint32_t id);
std::string EncodeSpdyGoAway(uint32_t last_stream);

// The dictionary that header blocks are compressed with (2.6.10.1).
const std::string& SpdyDictionary();

}  // namespace wherry::streams
