// Feeds bytes to the request parser whole and cut in pieces, and checks that both ways see the same requests. With
// libFuzzer through its entry point; under ctest by mutating a few seeds in a fixed pseudo-random order.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include "api/http/request_parser.h"

namespace wherry::http {
namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "http_fuzz: %s\n", what);
  std::abort();
}

// The requests of `bytes`, fed at most `step` at a time, as text.
std::string Parse(std::string_view bytes, size_t step, const Limits& limits) {
  RequestParser parser(limits);
  std::string seen;
  while (!bytes.empty()) {
    Request request;
    parser.Begin(&request);
    RequestParser::Progress progress = parser.progress();
    while (!bytes.empty() && progress != RequestParser::Progress::kComplete &&
           progress != RequestParser::Progress::kRefused) {
      const std::string_view piece = bytes.substr(0, step);
      size_t consumed = 0;
      progress = parser.Feed(piece, &consumed);
      Require(consumed <= piece.size(), "consumed more than it was given");
      Require(consumed > 0 || progress == RequestParser::Progress::kRefused, "no progress");
      bytes.remove_prefix(consumed);
    }
    if (progress == RequestParser::Progress::kRefused) {
      const Response failure = parser.failure();
      Require(failure.status >= 400 && failure.status < 600, "refused without a reason");
      return seen + "refused";
    }
    if (progress != RequestParser::Progress::kComplete) return seen + "incomplete";
    Require(request.body().size() <= limits.body_bytes, "the body passes its limit");
    Require(request.headers().size() <= limits.header_count, "too many headers");
    Require(request.target().size() <= limits.target_bytes, "the target passes its limit");
    Require(request.path().find('\0') == std::string_view::npos, "a NUL in the path");
    seen.append(request.method()).append(" ").append(request.path());
    for (const std::string_view segment : request.segments()) seen.append("/").append(segment);
    for (const Request::Field& field : request.query())
      seen.append("&").append(field.name).append("=").append(field.value);
    for (const Request::Field& field : request.headers()) {
      Require(field.value.find_first_of("\r\n") == std::string_view::npos, "a line end in a header");
      seen.append(";").append(field.name).append(":").append(field.value);
    }
    seen.append("|").append(request.body()).append("\n");
  }
  return seen;
}

}  // namespace

int FuzzOne(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Limits limits;
  limits.head_bytes = 4096;
  limits.target_bytes = 1024;
  limits.header_count = 20;
  limits.body_bytes = 256;
  const std::string whole = Parse(bytes, 1 << 20, limits);
  // Where input is refused may differ in how much blank was seen; what was accepted must not.
  if (size < 4096) {
    Require(Parse(bytes, 1, limits) == whole, "byte by byte gives other requests");
    Require(Parse(bytes, 7, limits) == whole, "cut in sevens gives other requests");
  }
  std::string decoded;
  if (PercentDecode(bytes, true, decoded)) {
    Require(decoded.size() <= bytes.size(), "decoding lengthens");
    std::string again;
    Require(PercentDecode(PercentEncode(decoded), false, again) && again == decoded, "encoding loses");
  }
  Request request;
  if (request.Assign("GET", bytes).ok()) Require(!request.raw_path().empty(), "a target without a path");
  return 0;
}

}  // namespace wherry::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return wherry::http::FuzzOne(data, size);
}

#ifndef WHERRY_LIBFUZZER
namespace {

constexpr std::string_view kSeeds[] = {
    "GET /api/v1/namespaces/default/pods?limit=500&labelSelector=a%3Db%2Cc HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
    "POST /a%2Fb HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbodyGET / HTTP/1.1\r\nHost: "
    "y\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nT: t\r\n\r\nGET / "
    "HTTP/1.0\r\n\r\n",
    "GET http://h:1/p?q HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw",
    "\r\n\r\nDELETE /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\nHEAD * HTTP/1.1\r\nHost: \r\n\r\n",
};
constexpr std::string_view kPieces[] = {"\r\n",
                                        "\r\n\r\n",
                                        "%",
                                        "%00",
                                        "%2f",
                                        "+",
                                        "&",
                                        "=",
                                        ":",
                                        " ",
                                        "\t",
                                        "\0",
                                        "HTTP/1.1",
                                        "Content-Length: 1\r\n",
                                        "Transfer-Encoding: chunked\r\n",
                                        "0\r\n\r\n",
                                        "?",
                                        "#",
                                        "//",
                                        "Host: z\r\n",
                                        "Upgrade",
                                        "ffffffffffffffff\r\n",
                                        "\n",
                                        "\x7f",
                                        "\xff"};

std::string Mutate(std::mt19937& random) {
  const auto pick = [&random](size_t below) { return below == 0 ? 0 : random() % below; };
  std::string text(kSeeds[pick(std::size(kSeeds))]);
  for (size_t edits = 1 + pick(6); edits > 0; --edits) {
    const size_t at = pick(text.size() + 1);
    switch (pick(5)) {
      case 0:
        text.insert(at, kPieces[pick(std::size(kPieces))]);
        break;
      case 1:
        text.erase(at, 1 + pick(8));
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      case 3:
        text.insert(at, text.substr(pick(text.size()), pick(40)));
        break;
      default:
        text += kSeeds[pick(std::size(kSeeds))];
    }
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  const long rounds = argc > 1 ? std::atol(argv[1]) : 20'000;
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same inputs every time
  for (long i = 0; i < rounds; ++i) {
    const std::string text = Mutate(random);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  }
  std::printf("http_fuzz: %ld inputs\n", rounds);
  return 0;
}
#endif
