#include "api/streams/web_socket_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace wherry::streams {
namespace {

constexpr size_t kReadBytes = 64 << 10;

}  // namespace

Task<Result<size_t>> WebSocketStream::Read(char* buffer, size_t size) {
  std::string input;
  for (;;) {
    if (pending_at_ < pending_.size()) {
      const size_t got = std::min(size, pending_.size() - pending_at_);
      std::memcpy(buffer, pending_.data() + pending_at_, got);
      pending_at_ += got;
      co_return got;
    }
    while (std::optional<WebSocketParser::Piece> piece = parser_.Next()) {
      if (piece->op == WebSocketOp::kPing) {
        std::string pong = EncodeWebSocketFrame(WebSocketOp::kPong, piece->payload);
        const Status sent = co_await writer_.Write(std::move(pong));
        if (!sent.ok()) co_return sent;
      } else if (piece->op == WebSocketOp::kClose) {
        co_await Finish();
        co_return size_t{0};
      } else if (piece->op == WebSocketOp::kBinary && !piece->payload.empty()) {
        pending_ = std::move(piece->payload);
        pending_at_ = 0;
        break;
      }
    }
    if (pending_at_ < pending_.size()) continue;
    if (parser_.error_code() != 0) {
      std::string close = EncodeWebSocketClose(parser_.error_code(), parser_.error());
      closing_ = true;
      const Status ignored = co_await writer_.Write(std::move(close));
      (void)ignored;
      co_return Status::BadRequest("WebSocket: " + parser_.error());
    }
    input.resize(kReadBytes);
    const Result<size_t> got = co_await stream_.Read(input.data(), input.size());
    if (!got.ok() || *got == 0) co_return got;
    parser_.Feed(std::string_view(input).substr(0, *got));
  }
}

Task<Status> WebSocketStream::Write(std::vector<http::SharedBuffer> buffers) {
  size_t size = 0;
  for (const http::SharedBuffer& buffer : buffers) size += buffer.data.size();
  buffers.insert(buffers.begin(), http::SharedBuffer(EncodeWebSocketHead(WebSocketOp::kBinary, size)));
  Status status = co_await writer_.Write(std::move(buffers));
  co_return status;
}

Task<> WebSocketStream::Finish() {
  if (std::exchange(closing_, true)) co_return;
  std::string close = EncodeWebSocketClose(1000, "");
  const Status ignored = co_await writer_.Write(std::move(close));
  (void)ignored;
}

}  // namespace wherry::streams
