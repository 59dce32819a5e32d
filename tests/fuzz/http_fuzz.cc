// The request path: parser, limits, percent and query decoding. Bytes fed whole and cut in pieces must give the same
// requests.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/request_parser.h"
#include "tests/fuzz/seeds.h"

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

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { return wherry::http::FuzzOne(data, size); }

std::vector<std::string> FuzzSeeds() {
  return {
      "GET /api/v1/namespaces/default/pods?limit=500&labelSelector=a%3Db%2Cc HTTP/1.1\r\nHost: x\r\nAccept: "
      "*/*\r\n\r\n",
      "POST /a%2Fb HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbodyGET / HTTP/1.1\r\nHost: "
      "y\r\n\r\n",
      "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nT: t\r\n\r\nGET / "
      "HTTP/1.0\r\n\r\n",
      "GET http://h:1/p?q HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw",
      "\r\n\r\nDELETE /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\nHEAD * HTTP/1.1\r\nHost: \r\n\r\n",
      // Not requests, but what mutations should splice in.
      "\r\nContent-Length: 1\r\n",
      "\r\nTransfer-Encoding: chunked\r\n",
      "ffffffffffffffff\r\n",
      "%00%2f%+&=#//\t\x7f\xff",
  };
}
