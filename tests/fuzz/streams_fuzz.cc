// The framings of streams: bytes fed whole and cut in pieces must mean the same, and nothing is held without bound.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/streams/spdy.h"
#include "api/streams/web_socket.h"
#include "tests/fuzz/seeds.h"

namespace wherry::streams {
namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "streams_fuzz: %s\n", what);
  std::abort();
}

std::string ReadWebSocket(std::string_view bytes, size_t step) {
  WebSocketParser parser;
  std::string seen, message;
  bool open = false;
  while (!bytes.empty()) {
    const std::string_view some = bytes.substr(0, step);
    bytes.remove_prefix(some.size());
    parser.Feed(some);
    while (const auto piece = parser.Next()) {
      const bool control = static_cast<uint8_t>(piece->op) >= 8;
      Require(!control || piece->payload.size() <= 125, "a long control frame");
      Require(control || piece->first == !open, "first and last do not pair");
      if (control) {
        seen += "control " + std::to_string(static_cast<int>(piece->op)) + piece->payload + "\n";
        continue;
      }
      message += piece->payload;
      open = !piece->last;
      if (piece->last) seen += "message " + std::to_string(static_cast<int>(piece->op)) + message + "\n";
      if (piece->last) message.clear();
    }
  }
  return seen + "left " + message + " error " + std::to_string(parser.error_code());
}

std::string ReadSpdy(std::string_view bytes, size_t step) {
  SpdyParser parser;
  std::string seen, data;
  while (!bytes.empty()) {
    const std::string_view some = bytes.substr(0, step);
    bytes.remove_prefix(some.size());
    parser.Feed(some);
    while (const auto frame = parser.Next()) {
      if (frame->type == SpdyType::kData) {
        // Parts of one frame are one; an empty frame says something only by its end.
        seen += frame->payload + (frame->fin ? " fin " + std::to_string(frame->stream) : "");
        continue;
      }
      seen += "\nframe " + std::to_string(static_cast<int>(frame->type)) + " " + std::to_string(frame->stream);
      for (const auto& [name, value] : frame->headers) seen += name + "=" + value;
    }
  }
  return seen + (parser.broken() ? " broken" : "");
}

}  // namespace
}  // namespace wherry::streams

std::vector<std::string> FuzzSeeds() {
  using namespace wherry::streams;
  SpdyDeflater deflater;
  std::string spdy = EncodeSpdyHeaderFrame(SpdyType::kSynStream, 1, false,
                                           deflater.Compress({{"streamtype", "data"}, {"port", "80"}}));
  spdy += EncodeSpdyHeaderFrame(SpdyType::kSynStream, 3, false, deflater.Compress({{"streamtype", "error"}}));
  spdy += EncodeSpdyDataHead(1, false, 5) + "hello" + EncodeSpdyPing(2) + EncodeSpdyDataHead(1, true, 0);
  spdy += EncodeSpdyReset(3, SpdyReset::kCancel) + EncodeSpdyGoAway(3);
  const std::string mask = "\x01\x02\x03\x04";
  const std::string web_socket = "\x82\x86" + mask + "abcdef\x02\x82" + mask + "gh\x89\x81" + mask + "p\x80\x81" +
                                 mask + "z\x82\xFE" + std::string("\x01\x00", 2) + mask + std::string(256, 'l') +
                                 "\x88\x80" + mask;
  return {"w" + web_socket, "s" + spdy};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wherry::streams;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 1) {  // 'w' and 's' are both odd
    const std::string whole =
        data[0] == 's' ? ReadSpdy(bytes, bytes.size() + 1) : ReadWebSocket(bytes, bytes.size() + 1);
    for (const size_t step : {size_t{1}, size_t{7}}) {
      const std::string cut = data[0] == 's' ? ReadSpdy(bytes, step) : ReadWebSocket(bytes, step);
      Require(cut == whole, "the cut changes the meaning");
    }
  }
  return 0;
}
