#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace wherry::streams {

// The framing of RFC 6455, the server's side. Pure: bytes in, pieces out.
enum class WebSocketOp : uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

// Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455, 4.2.2).
std::string WebSocketAccept(std::string_view key);

// One unmasked, final frame.
std::string EncodeWebSocketFrame(WebSocketOp op, std::string_view payload);
// The head of such a frame: the payload follows it.
std::string EncodeWebSocketHead(WebSocketOp op, size_t payload_size);
// A close frame; `reason` is cut to what fits.
std::string EncodeWebSocketClose(uint16_t code, std::string_view reason);

// Cuts a client's stream into pieces. A message is never held as a whole: its payload is handed out as it comes in, so
// a frame may be of any length. Control frames come whole.
class WebSocketParser {
 public:
  struct Piece {
    WebSocketOp op = WebSocketOp::kBinary;  // of the message: never kContinuation
    bool first = false;                     // begins a message
    bool last = false;                      // ends it
    std::string payload;
  };

  void Feed(std::string_view bytes);
  // The next piece; nullopt when more bytes are needed or the stream is broken.
  std::optional<Piece> Next();
  // The peer broke the protocol: the code to close with and why; 0 = it did not.
  uint16_t error_code() const { return error_code_; }
  const std::string& error() const { return error_; }

 private:
  bool ReadHead();
  bool Fail(const char* why);
  std::string_view rest() const { return std::string_view(buffer_).substr(taken_); }

  std::string buffer_;
  size_t taken_ = 0;
  // Of the frame under way.
  bool in_frame_ = false;
  bool final_ = false;
  WebSocketOp frame_op_ = WebSocketOp::kBinary;
  uint64_t left_ = 0;
  unsigned char mask_[4] = {};
  unsigned mask_at_ = 0;
  // Of the message under way.
  bool in_message_ = false;
  bool message_begun_ = false;  // a piece of it was handed out
  WebSocketOp message_op_ = WebSocketOp::kBinary;

  uint16_t error_code_ = 0;
  std::string error_;
};

}  // namespace wherry::streams
