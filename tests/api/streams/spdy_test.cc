#include "api/streams/spdy.h"

#include <zlib.h>

#include <catch2/catch.hpp>

namespace wherry::streams {
namespace {

std::vector<SpdyFrame> Read(const std::string& bytes, size_t step, SpdyParser& parser) {
  std::vector<SpdyFrame> frames;
  for (size_t at = 0; at < bytes.size(); at += step) {
    parser.Feed(std::string_view(bytes).substr(at, step));
    while (auto frame = parser.Next()) frames.push_back(std::move(*frame));
  }
  return frames;
}

}  // namespace

TEST_CASE("the dictionary is the one whose checksum the specification's implementations send") {
  CHECK(SpdyDictionary().size() == 1423);
  const auto* bytes = reinterpret_cast<const Bytef*>(SpdyDictionary().data());
  CHECK(adler32(adler32(0, nullptr, 0), bytes, static_cast<uInt>(SpdyDictionary().size())) == 0xe3c6a7c2UL);
}

TEST_CASE("frames come out as they went in, however the bytes are cut") {
  SpdyDeflater deflater;
  const SpdyHeaders first = {{"streamtype", "data"}, {"port", "80"}, {"requestid", "0"}};
  const SpdyHeaders second = {{"streamtype", "error"}, {"port", "80"}, {"requestid", "0"}};
  std::string stream;
  stream += EncodeSpdyHeaderFrame(SpdyType::kSynStream, 1, false, deflater.Compress(first));
  stream += EncodeSpdyHeaderFrame(SpdyType::kSynStream, 3, true, deflater.Compress(second));
  stream += EncodeSpdyDataHead(1, false, 5) + "hello";
  stream += EncodeSpdyPing(7);
  stream += EncodeSpdyDataHead(1, true, 0);
  stream += EncodeSpdyHeaderFrame(SpdyType::kSynReply, 1, false, deflater.Compress({}));
  stream += EncodeSpdyReset(3, SpdyReset::kCancel);
  stream += EncodeSpdyGoAway(3);
  for (const size_t step : {size_t{1}, size_t{3}, size_t{64}, stream.size()}) {
    SpdyParser parser;
    std::string data;
    std::vector<SpdyType> types;
    for (const SpdyFrame& frame : Read(stream, step, parser)) {
      if (frame.type == SpdyType::kData) data += frame.payload;
      if (frame.type == SpdyType::kData && !frame.fin) continue;
      types.push_back(frame.type);
      if (frame.type == SpdyType::kSynStream) {
        CHECK(frame.headers == (frame.stream == 1 ? first : second));
        CHECK(frame.fin == (frame.stream == 3));
      }
    }
    CHECK_FALSE(parser.broken());
    CHECK(data == "hello");
    using enum SpdyType;
    CHECK(types == std::vector<SpdyType>{kSynStream, kSynStream, kPing, kData, kSynReply, kRstStream, kGoAway});
  }
}

TEST_CASE("what breaks SPDY breaks the connection") {
  SpdyDeflater deflater;
  const std::string block = deflater.Compress({{"a", "b"}});
  std::string bomb_text(4 << 20, 'x');
  SpdyDeflater bomber;
  const std::string cases[] = {
      std::string("\x80\x02\0\x01\0\0\0\x0A", 8) + std::string(10, '\0'),  // version 2
      std::string("\x80\x03\0\x01\0\xFF\xFF\xFF", 8),                      // too long
      std::string("\x80\x03\0\x01\0\0\0\x04", 8) + "abcd",                 // too short for its headers
      std::string("\x80\x03\0\x06\0\0\0\x02", 8) + "ab",                   // a short ping
      EncodeSpdyHeaderFrame(SpdyType::kSynStream, 1, false, "not compressed"),
      EncodeSpdyHeaderFrame(SpdyType::kSynStream, 1, false, block.substr(0, block.size() / 2)),
      EncodeSpdyHeaderFrame(SpdyType::kSynStream, 1, false, bomber.Compress({{"bomb", bomb_text}})),
  };
  for (const std::string& bytes : cases) {
    SpdyParser parser;
    CHECK(Read(bytes, bytes.size(), parser).empty());
    CHECK(parser.broken());
    parser.Feed(EncodeSpdyPing(1));
    CHECK_FALSE(parser.Next());
  }
}

TEST_CASE("frames that say nothing to us are stepped over") {
  const std::string stream = std::string("\x80\x03\0\x04\0\0\0\x04\0\0\0\0", 12) +  // SETTINGS
                             std::string("\x80\x03\0\x09\0\0\0\x08\0\0\0\x01\0\0\0\x01", 16) + EncodeSpdyPing(9);
  SpdyParser parser;
  const std::vector<SpdyFrame> frames = Read(stream, 5, parser);
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].type == SpdyType::kPing);
  CHECK(frames[0].stream == 9);
}

}  // namespace wherry::streams
