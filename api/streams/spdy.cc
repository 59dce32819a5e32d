#include "api/streams/spdy.h"

#include <zlib.h>

#include <algorithm>

#include "api/http/message.h"

namespace wherry::streams {
namespace {

constexpr uint16_t kVersion = 3;
constexpr size_t kHeadBytes = 8;
constexpr size_t kMaxControlBytes = 64 << 10;
constexpr size_t kMaxHeaderBytes = 256 << 10;  // expanded
constexpr uint8_t kFlagFin = 1;

void Put16(std::string& out, uint32_t value) {
  out.push_back(static_cast<char>(value >> 8));
  out.push_back(static_cast<char>(value));
}
void Put24(std::string& out, uint32_t value) {
  out.push_back(static_cast<char>(value >> 16));
  Put16(out, value);
}
void Put32(std::string& out, uint32_t value) {
  out.push_back(static_cast<char>(value >> 24));
  Put24(out, value);
}
// REQUIRES: four bytes there.
uint32_t Get32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

// The words of the dictionary: the first list each with its length before it, the rest as one text.
constexpr std::string_view kWords[] = {"options",
                                       "head",
                                       "post",
                                       "put",
                                       "delete",
                                       "trace",
                                       "accept",
                                       "accept-charset",
                                       "accept-encoding",
                                       "accept-language",
                                       "accept-ranges",
                                       "age",
                                       "allow",
                                       "authorization",
                                       "cache-control",
                                       "connection",
                                       "content-base",
                                       "content-encoding",
                                       "content-language",
                                       "content-length",
                                       "content-location",
                                       "content-md5",
                                       "content-range",
                                       "content-type",
                                       "date",
                                       "etag",
                                       "expect",
                                       "expires",
                                       "from",
                                       "host",
                                       "if-match",
                                       "if-modified-since",
                                       "if-none-match",
                                       "if-range",
                                       "if-unmodified-since",
                                       "last-modified",
                                       "location",
                                       "max-forwards",
                                       "pragma",
                                       "proxy-authenticate",
                                       "proxy-authorization",
                                       "range",
                                       "referer",
                                       "retry-after",
                                       "server",
                                       "te",
                                       "trailer",
                                       "transfer-encoding",
                                       "upgrade",
                                       "user-agent",
                                       "vary",
                                       "via",
                                       "warning",
                                       "www-authenticate",
                                       "method",
                                       "get",
                                       "status",
                                       "200 OK",
                                       "version",
                                       "HTTP/1.1",
                                       "url",
                                       "public",
                                       "set-cookie",
                                       "keep-alive",
                                       "origin"};
constexpr std::string_view kText =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

const Bytef* AsBytes(std::string_view text) { return reinterpret_cast<const Bytef*>(text.data()); }

bool ReadHeaders(std::string_view text, SpdyHeaders* headers) {
  const auto word = [&](std::string* out) {
    if (text.size() < 4) return false;
    const uint32_t size = Get32(text, 0);
    if (text.size() - 4 < size) return false;
    *out = text.substr(4, size);
    text.remove_prefix(4 + size);
    return true;
  };
  if (text.size() < 4) return false;
  uint32_t count = Get32(text, 0);
  text.remove_prefix(4);
  for (; count > 0; --count) {
    std::string name, value;
    if (!word(&name) || !word(&value) || name.empty()) return false;
    headers->emplace_back(std::move(name), std::move(value));
  }
  return text.empty();
}

}  // namespace

const std::string& SpdyDictionary() {
  static const std::string dictionary = [] {
    std::string text;
    for (const std::string_view word : kWords) {
      Put32(text, static_cast<uint32_t>(word.size()));
      text += word;
    }
    text += kText;
    return text;
  }();
  return dictionary;
}

std::string SpdyHeader(const SpdyHeaders& headers, std::string_view name) {
  for (const auto& [each, value] : headers) {
    if (http::EqualsIgnoreCase(each, name)) return value;
  }
  return {};
}

// ---- Header blocks

SpdyDeflater::SpdyDeflater() : stream_(std::make_unique<z_stream>()) {
  // Small and quick: the headers are a few words.
  deflateInit2(stream_.get(), Z_BEST_SPEED, Z_DEFLATED, 11, 1, Z_DEFAULT_STRATEGY);
  deflateSetDictionary(stream_.get(), AsBytes(SpdyDictionary()), static_cast<uInt>(SpdyDictionary().size()));
}

SpdyDeflater::~SpdyDeflater() { deflateEnd(stream_.get()); }

std::string SpdyDeflater::Compress(const SpdyHeaders& headers) {
  std::string text;
  Put32(text, static_cast<uint32_t>(headers.size()));
  for (const auto& [name, value] : headers) {
    for (const std::string* word : {&name, &value}) {
      Put32(text, static_cast<uint32_t>(word->size()));
      text += *word;
    }
  }
  stream_->next_in = const_cast<Bytef*>(AsBytes(text));  // NOLINT: zlib does not write there
  stream_->avail_in = static_cast<uInt>(text.size());
  std::string block;
  char chunk[1024];
  do {
    stream_->next_out = reinterpret_cast<Bytef*>(chunk);
    stream_->avail_out = sizeof chunk;
    deflate(stream_.get(), Z_SYNC_FLUSH);
    block.append(chunk, sizeof chunk - stream_->avail_out);
  } while (stream_->avail_out == 0);
  return block;
}

SpdyInflater::SpdyInflater() : stream_(std::make_unique<z_stream>()) { inflateInit(stream_.get()); }

SpdyInflater::~SpdyInflater() { inflateEnd(stream_.get()); }

bool SpdyInflater::Expand(std::string_view block, SpdyHeaders* headers) {
  stream_->next_in = const_cast<Bytef*>(AsBytes(block));  // NOLINT: zlib does not write there
  stream_->avail_in = static_cast<uInt>(block.size());
  std::string text;
  char chunk[4096];
  for (;;) {
    stream_->next_out = reinterpret_cast<Bytef*>(chunk);
    stream_->avail_out = sizeof chunk;
    const int result = inflate(stream_.get(), Z_SYNC_FLUSH);
    text.append(chunk, sizeof chunk - stream_->avail_out);
    if (text.size() > kMaxHeaderBytes) return false;
    if (result == Z_NEED_DICT) {
      const int set =
          inflateSetDictionary(stream_.get(), AsBytes(SpdyDictionary()), static_cast<uInt>(SpdyDictionary().size()));
      if (set != Z_OK) return false;
      continue;
    }
    if (result == Z_BUF_ERROR) break;  // nothing more to be had
    if (result != Z_OK) return false;
    if (stream_->avail_in == 0 && stream_->avail_out > 0) break;
  }
  return stream_->avail_in == 0 && ReadHeaders(text, headers);
}

// ---- Frames

void SpdyParser::Feed(std::string_view bytes) {
  if (broken_) return;
  if (taken_ > 0) {
    buffer_.erase(0, taken_);
    taken_ = 0;
  }
  buffer_ += bytes;
}

std::optional<SpdyFrame> SpdyParser::Break(const char* why) {
  broken_ = true;
  error_ = why;
  buffer_.clear();
  taken_ = 0;
  return std::nullopt;
}

std::optional<SpdyFrame> SpdyParser::Next() {
  while (!broken_) {
    const std::string_view bytes = std::string_view(buffer_).substr(taken_);
    if (data_left_ > 0) {
      if (bytes.empty()) return std::nullopt;
      const size_t size = std::min<size_t>(data_left_, bytes.size());
      SpdyFrame frame;
      frame.stream = data_stream_;
      frame.payload = bytes.substr(0, size);
      taken_ += size;
      data_left_ -= static_cast<uint32_t>(size);
      frame.fin = data_left_ == 0 && data_fin_;
      return frame;
    }
    if (bytes.size() < kHeadBytes) return std::nullopt;
    const uint32_t first = Get32(bytes, 0);
    const uint32_t second = Get32(bytes, 4);
    const uint8_t flags = static_cast<uint8_t>(second >> 24);
    const uint32_t length = second & 0xFFFFFF;
    if (first >> 31 == 0) {
      taken_ += kHeadBytes;
      data_stream_ = first;
      data_left_ = length;
      data_fin_ = (flags & kFlagFin) != 0;
      if (length > 0) continue;
      SpdyFrame frame;
      frame.stream = data_stream_;
      frame.fin = data_fin_;
      return frame;
    }
    if ((first >> 16 & 0x7FFF) != kVersion) return Break("another version of SPDY than 3");
    if (length > kMaxControlBytes) return Break("a control frame is too long");
    if (bytes.size() < kHeadBytes + length) return std::nullopt;
    taken_ += kHeadBytes + length;
    std::optional<SpdyFrame> frame = ReadControl(static_cast<uint16_t>(first), flags, bytes.substr(kHeadBytes, length));
    if (frame || broken_) return frame;
  }
  return std::nullopt;
}

std::optional<SpdyFrame> SpdyParser::ReadControl(uint16_t type, uint8_t flags, std::string_view body) {
  SpdyFrame frame;
  frame.type = static_cast<SpdyType>(type);
  frame.fin = (flags & kFlagFin) != 0;
  const auto short_of = [&](size_t size) { return body.size() < size; };
  size_t block = 0;
  switch (frame.type) {
    case SpdyType::kSynStream:
      block = 10;
      break;
    case SpdyType::kSynReply:
    case SpdyType::kHeaders:
      block = 4;
      break;
    case SpdyType::kRstStream:
      if (short_of(8)) return Break("a RST_STREAM is too short");
      break;
    case SpdyType::kPing:
    case SpdyType::kGoAway:
      if (short_of(4)) return Break("a PING or GOAWAY is too short");
      break;
    default:
      return std::nullopt;  // settings, windows, what we do not know
  }
  if (short_of(std::max<size_t>(block, 4))) return Break("a frame with headers is too short");
  frame.stream = Get32(body, 0) & 0x7FFFFFFF;
  if (frame.type == SpdyType::kPing) frame.stream = Get32(body, 0);
  if (block > 0 && !inflater_.Expand(body.substr(block), &frame.headers)) return Break("a header block is broken");
  return frame;
}

std::string EncodeSpdyDataHead(uint32_t stream, bool fin, size_t size) {
  std::string out;
  Put32(out, stream);
  out.push_back(fin ? kFlagFin : 0);
  Put24(out, static_cast<uint32_t>(size));
  return out;
}

namespace {

std::string ControlHead(SpdyType type, bool fin, size_t size) {
  std::string out;
  Put16(out, 0x8000 | kVersion);
  Put16(out, static_cast<uint32_t>(type));
  out.push_back(fin ? kFlagFin : 0);
  Put24(out, static_cast<uint32_t>(size));
  return out;
}

}  // namespace

std::string EncodeSpdyHeaderFrame(SpdyType type, uint32_t stream, bool fin, std::string_view block) {
  const bool syn = type == SpdyType::kSynStream;
  std::string out = ControlHead(type, fin, (syn ? 10 : 4) + block.size());
  Put32(out, stream);
  if (syn) out.append(6, '\0');  // no association, highest priority
  out += block;
  return out;
}

std::string EncodeSpdyReset(uint32_t stream, SpdyReset status) {
  std::string out = ControlHead(SpdyType::kRstStream, false, 8);
  Put32(out, stream);
  Put32(out, static_cast<uint32_t>(status));
  return out;
}

std::string EncodeSpdyPing(uint32_t id) {
  std::string out = ControlHead(SpdyType::kPing, false, 4);
  Put32(out, id);
  return out;
}

std::string EncodeSpdyGoAway(uint32_t last_stream) {
  std::string out = ControlHead(SpdyType::kGoAway, false, 8);
  Put32(out, last_stream);
  Put32(out, 0);
  return out;
}

}  // namespace wherry::streams
