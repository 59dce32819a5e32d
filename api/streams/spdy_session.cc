#include "api/streams/spdy_session.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace wherry::streams {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kMaxDataFrame = 0xFFFFFF;

}  // namespace

Task<SpdySession::Event> SpdySession::Next() {
  std::string buffer;
  for (;;) {
    while (std::optional<SpdyFrame> frame = parser_.Next()) {
      Event event;
      event.stream = frame->stream;
      event.fin = frame->fin;
      switch (frame->type) {
        case SpdyType::kData:
          if (open_.count(frame->stream) == 0) continue;
          event.kind = Event::Kind::kData;
          event.data = std::move(frame->payload);
          co_return event;
        case SpdyType::kSynStream: {
          // A client's streams are odd and rise.
          const bool valid = frame->stream % 2 == 1 && frame->stream > last_;
          if (!valid || open_.size() >= kMaxStreams) {
            const SpdyReset why = valid ? SpdyReset::kRefusedStream : SpdyReset::kProtocolError;
            const Status sent = co_await Reset(frame->stream, why);
            if (!sent.ok()) co_return Event{};
            continue;
          }
          last_ = frame->stream;
          open_.insert(frame->stream);
          const Status sent = co_await Accept(frame->stream);
          if (!sent.ok()) co_return Event{};
          event.kind = Event::Kind::kOpened;
          event.headers = std::move(frame->headers);
          co_return event;
        }
        case SpdyType::kRstStream:
          if (open_.erase(frame->stream) == 0) continue;
          event.kind = Event::Kind::kReset;
          co_return event;
        case SpdyType::kPing: {
          std::string pong = EncodeSpdyPing(frame->stream);
          const Status sent = co_await writer_.Write(std::move(pong));
          if (!sent.ok()) co_return Event{};
          continue;
        }
        default:
          continue;  // GOAWAY: no more streams, but those there are go on
      }
    }
    if (parser_.broken()) {
      spdlog::debug("spdy connection broken reason=\"{}\"", parser_.error());
      co_return Event{};
    }
    buffer.resize(kReadBytes);
    const Result<size_t> got = co_await stream_.Read(buffer.data(), buffer.size());
    if (!got.ok() || *got == 0) co_return Event{};
    parser_.Feed(std::string_view(buffer).substr(0, *got));
  }
}

Task<Status> SpdySession::Accept(uint32_t stream) {
  const SpdyHeaders none;
  std::string frame = EncodeSpdyHeaderFrame(SpdyType::kSynReply, stream, false, deflater_.Compress(none));
  Status status = co_await writer_.Write(std::move(frame));
  co_return status;
}

Task<Status> SpdySession::Write(uint32_t stream, std::string data, bool fin) {
  if (data.size() > kMaxDataFrame) co_return Status::Internal("a data frame is too long");
  std::vector<http::SharedBuffer> buffers;
  buffers.emplace_back(EncodeSpdyDataHead(stream, fin, data.size()));
  if (!data.empty()) buffers.emplace_back(std::move(data));
  Status status = co_await writer_.Write(std::move(buffers));
  co_return status;
}

Task<Status> SpdySession::Reset(uint32_t stream, SpdyReset why) {
  open_.erase(stream);
  std::string frame = EncodeSpdyReset(stream, why);
  Status status = co_await writer_.Write(std::move(frame));
  co_return status;
}

Task<Status> SpdySession::GoAway() {
  std::string frame = EncodeSpdyGoAway(last_);
  Status status = co_await writer_.Write(std::move(frame));
  co_return status;
}

}  // namespace wherry::streams
