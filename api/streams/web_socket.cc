#include "api/streams/web_socket.h"

#include <openssl/evp.h>

#include <algorithm>

namespace wherry::streams {
namespace {

constexpr size_t kMaxControl = 125;  // RFC 6455, 5.5
constexpr uint16_t kProtocolError = 1002;

bool IsControl(WebSocketOp op) { return static_cast<uint8_t>(op) >= 8; }

bool IsKnown(uint8_t op) { return op <= 2 || (op >= 8 && op <= 10); }

}  // namespace

std::string WebSocketAccept(std::string_view key) {
  std::string text(key);
  text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr);
  unsigned char encoded[64];
  const int length = EVP_EncodeBlock(encoded, digest, static_cast<int>(size));
  return std::string(reinterpret_cast<char*>(encoded), static_cast<size_t>(length));
}

std::string EncodeWebSocketHead(WebSocketOp op, size_t payload_size) {
  std::string head;
  head.push_back(static_cast<char>(0x80 | static_cast<uint8_t>(op)));
  if (payload_size < 126) {
    head.push_back(static_cast<char>(payload_size));
  } else if (payload_size <= 0xFFFF) {
    head.push_back(126);
    for (int shift = 8; shift >= 0; shift -= 8) head.push_back(static_cast<char>(payload_size >> shift));
  } else {
    head.push_back(127);
    for (int shift = 56; shift >= 0; shift -= 8) {
      head.push_back(static_cast<char>(static_cast<uint64_t>(payload_size) >> shift));
    }
  }
  return head;
}

std::string EncodeWebSocketFrame(WebSocketOp op, std::string_view payload) {
  std::string frame = EncodeWebSocketHead(op, payload.size());
  frame += payload;
  return frame;
}

std::string EncodeWebSocketClose(uint16_t code, std::string_view reason) {
  std::string payload;
  payload.push_back(static_cast<char>(code >> 8));
  payload.push_back(static_cast<char>(code));
  payload += reason.substr(0, kMaxControl - 2);
  return EncodeWebSocketFrame(WebSocketOp::kClose, payload);
}

void WebSocketParser::Feed(std::string_view bytes) {
  if (error_code_ != 0) return;
  if (taken_ > 0) {
    buffer_.erase(0, taken_);
    taken_ = 0;
  }
  buffer_ += bytes;
}

bool WebSocketParser::Fail(const char* why) {
  error_code_ = kProtocolError;
  error_ = why;
  buffer_.clear();
  taken_ = 0;
  return false;
}

// False when the head is not whole yet, or wrong.
bool WebSocketParser::ReadHead() {
  const std::string_view bytes = rest();
  if (bytes.size() < 2) return false;
  const auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const uint8_t op = at(0) & 0x0F;
  if ((at(0) & 0x70) != 0) return Fail("reserved bits are set");
  if (!IsKnown(op)) return Fail("unknown opcode");
  if ((at(1) & 0x80) == 0) return Fail("a client's frames must be masked");
  final_ = (at(0) & 0x80) != 0;
  frame_op_ = static_cast<WebSocketOp>(op);
  uint64_t length = at(1) & 0x7F;
  if (IsControl(frame_op_)) {
    if (length > kMaxControl || !final_) return Fail("a control frame is too long or in parts");
  } else if (frame_op_ == WebSocketOp::kContinuation) {
    if (!in_message_) return Fail("a continuation of nothing");
  } else if (in_message_) {
    return Fail("a new message within a message");
  }
  size_t head = 2;
  const size_t wide = length == 126 ? 2 : length == 127 ? 8 : 0;
  if (bytes.size() < head + wide + 4) return false;
  if (wide > 0) {
    length = 0;
    for (size_t i = 0; i < wide; ++i) length = length << 8 | at(head++);
    if (length >> 63 != 0) return Fail("the length of a frame is impossible");
  }
  for (size_t i = 0; i < 4; ++i) mask_[i] = at(head++);
  mask_at_ = 0;
  left_ = length;
  taken_ += head;
  in_frame_ = true;
  if (!IsControl(frame_op_) && frame_op_ != WebSocketOp::kContinuation) {
    in_message_ = true;
    message_begun_ = false;
    message_op_ = frame_op_;
  }
  return true;
}

std::optional<WebSocketParser::Piece> WebSocketParser::Next() {
  for (;;) {
    if (error_code_ != 0) return std::nullopt;
    if (!in_frame_ && !ReadHead()) return std::nullopt;
    const bool control = IsControl(frame_op_);
    const std::string_view bytes = rest();
    if (bytes.size() < left_ && (control || bytes.empty())) return std::nullopt;
    const size_t size = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
    Piece piece;
    piece.payload = bytes.substr(0, size);
    for (char& byte : piece.payload) byte = static_cast<char>(byte ^ static_cast<char>(mask_[mask_at_++ & 3]));
    taken_ += size;
    left_ -= size;
    if (left_ == 0) in_frame_ = false;
    if (control) {
      piece.op = frame_op_;
      piece.first = piece.last = true;
      return piece;
    }
    piece.op = message_op_;
    piece.first = !message_begun_;
    piece.last = left_ == 0 && final_;
    message_begun_ = true;
    if (piece.last) in_message_ = false;
    if (piece.payload.empty() && !piece.last) {  // an empty fragment says nothing
      if (piece.first) message_begun_ = false;
      continue;
    }
    return piece;
  }
}

}  // namespace wherry::streams
