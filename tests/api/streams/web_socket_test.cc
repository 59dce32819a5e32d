#include "api/streams/web_socket.h"

#include <catch2/catch.hpp>
#include <vector>

namespace wherry::streams {
namespace {

// A client's frame, masked.
std::string ClientFrame(int first_byte, const std::string& payload, bool masked = true) {
  std::string frame(1, static_cast<char>(first_byte));
  const char mask_bit = masked ? static_cast<char>(0x80) : 0;
  if (payload.size() < 126) {
    frame += static_cast<char>(mask_bit | static_cast<char>(payload.size()));
  } else if (payload.size() < 65536) {
    frame += static_cast<char>(mask_bit | 126);
    frame += static_cast<char>(payload.size() >> 8);
    frame += static_cast<char>(payload.size());
  } else {
    frame += static_cast<char>(mask_bit | 127);
    for (int shift = 56; shift >= 0; shift -= 8) frame += static_cast<char>(payload.size() >> shift);
  }
  if (!masked) return frame + payload;
  const std::string mask = "\x11\x22\x33\x44";
  frame += mask;
  for (size_t i = 0; i < payload.size(); ++i) frame += static_cast<char>(payload[i] ^ mask[i % 4]);
  return frame;
}

struct Message {
  WebSocketOp op;
  std::string payload;
  bool operator==(const Message&) const = default;
};

// The messages of a stream that comes in pieces of `step` bytes.
std::vector<Message> Read(const std::string& bytes, size_t step, WebSocketParser& parser) {
  std::vector<Message> messages;
  std::string message;
  for (size_t at = 0; at < bytes.size(); at += step) {
    parser.Feed(std::string_view(bytes).substr(at, step));
    while (auto piece = parser.Next()) {
      if (static_cast<uint8_t>(piece->op) >= 8) {
        messages.push_back({piece->op, piece->payload});
        continue;
      }
      if (piece->first) message.clear();
      message += piece->payload;
      if (piece->last) messages.push_back({piece->op, message});
    }
  }
  return messages;
}

}  // namespace

TEST_CASE("the accept key is RFC 6455's example") {
  CHECK(WebSocketAccept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("messages come out as they went in, however the bytes are cut") {
  const std::string large(70'000, 'L');
  const std::string stream = ClientFrame(0x82, "binary") + ClientFrame(0x81, "") + ClientFrame(0x02, "in ") +
                             ClientFrame(0x89, "ping") + ClientFrame(0x00, "three ") + ClientFrame(0x80, "parts") +
                             ClientFrame(0x82, std::string(300, 'm')) + ClientFrame(0x82, large) +
                             ClientFrame(0x88, "\x03\xE8");
  const std::vector<Message> expected = {{WebSocketOp::kBinary, "binary"},
                                         {WebSocketOp::kText, ""},
                                         {WebSocketOp::kPing, "ping"},
                                         {WebSocketOp::kBinary, "in three parts"},
                                         {WebSocketOp::kBinary, std::string(300, 'm')},
                                         {WebSocketOp::kBinary, large},
                                         {WebSocketOp::kClose, "\x03\xE8"}};
  for (const size_t step : {size_t{1}, size_t{2}, size_t{7}, size_t{1000}, stream.size()}) {
    WebSocketParser parser;
    CHECK(Read(stream, step, parser) == expected);
    CHECK(parser.error_code() == 0);
  }
}

TEST_CASE("a long message is handed out before it is whole") {
  WebSocketParser parser;
  const std::string frame = ClientFrame(0x82, std::string(100'000, 'x'));
  parser.Feed(std::string_view(frame).substr(0, 1014));
  const auto piece = parser.Next();
  REQUIRE(piece);
  CHECK(piece->payload.size() == 1000);
  CHECK(piece->first);
  CHECK_FALSE(piece->last);
  CHECK_FALSE(parser.Next());
}

TEST_CASE("what breaks the protocol is refused with 1002") {
  const std::string cases[] = {
      ClientFrame(0x82, "unmasked", false),              //
      ClientFrame(0xC2, "reserved bit"),                 //
      ClientFrame(0x83, "unknown opcode"),               //
      ClientFrame(0x80, "continues nothing"),            //
      ClientFrame(0x02, "a") + ClientFrame(0x82, "b"),   // a message within a message
      ClientFrame(0x09, "a control frame in parts"),     //
      ClientFrame(0x89, std::string(126, 'x')),          // too long for a control frame
      std::string("\x82\xFF\xFF\0\0\0\0\0\0\0mask", 14)  // impossible length
  };
  for (const std::string& bytes : cases) {
    WebSocketParser parser;
    Read(bytes, bytes.size(), parser);
    CHECK(parser.error_code() == 1002);
    CHECK_FALSE(parser.Next());
  }
}

TEST_CASE("frames of the server are final and not masked") {
  CHECK(EncodeWebSocketFrame(WebSocketOp::kBinary, "ab") == std::string("\x82\x02"
                                                                        "ab"));
  CHECK(EncodeWebSocketHead(WebSocketOp::kBinary, 300) == std::string("\x82\x7E\x01\x2C", 4));
  CHECK(EncodeWebSocketHead(WebSocketOp::kBinary, 70'000) == std::string("\x82\x7F\0\0\0\0\0\x01\x11\x70", 10));
  CHECK(EncodeWebSocketClose(1000, "bye") == std::string("\x88\x05\x03\xE8"
                                                         "bye"));
  CHECK(EncodeWebSocketClose(1000, std::string(500, 'x')).size() == 127);
}

}  // namespace wherry::streams
