#include "api/http/exchange_impl.h"

#include <array>
#include <asio/post.hpp>
#include <charconv>
#include <cstring>

namespace wherry::http {
namespace {

Status Gone() { return Status::Unavailable("the peer closed the connection"); }

}  // namespace

void ExchangeImpl::Reset() {
  response_.reset();
  on_close_ = nullptr;
  mode_ = Mode::kWhole;
  writing_ = broken_ = false;
}

bool ExchangeImpl::closed() const {
  return connection_ == nullptr || broken_ || connection_->peer_gone_ || connection_->stopping_ ||
         !connection_->transport_.open();
}

void ExchangeImpl::set_on_close(std::function<void()> on_close) {
  on_close_ = std::move(on_close);
  if (!on_close_) return;
  if (closed()) {
    if (connection_ == nullptr) return;
    asio::post(connection_->context_->executor, [self = connection_->shared_from_this()] {
      if (self->exchange_) self->exchange_->NotifyClosed();
    });
    return;
  }
  if (mode_ != Mode::kRaw) connection_->Watch();  // who reads the raw stream sees its end himself
}

void ExchangeImpl::NotifyClosed() {
  if (!on_close_) return;
  const std::function<void()> call = std::move(on_close_);
  on_close_ = nullptr;
  call();
}

Task<Status> ExchangeImpl::SendPieces(std::span<const std::string_view> pieces) {
  if (connection_ == nullptr || broken_) co_return Gone();
  if (writing_) co_return Status::Internal("a second Write while one is under way");
  Gather gather{pieces};
  const Transport::Io state = connection_->transport_.Send(gather);
  if (state == Transport::Io::kOk) co_return Status();
  const std::shared_ptr<Connection> connection = connection_->shared_from_this();
  if (state == Transport::Io::kWouldBlock) {
    writing_ = true;
    const bool sent = co_await connection->transport_.FinishSend(&gather, connection->context_->limits.write_stall);
    writing_ = false;
    if (sent) co_return Status();
  }
  broken_ = true;
  connection->transport_.Close();
  NotifyClosed();
  co_return Gone();
}

Task<Result<ResponseStream*>> ExchangeImpl::StartStream(Response head) {
  if (connection_ == nullptr) co_return Gone();
  if (mode_ != Mode::kWhole) co_return Status::Internal("the exchange has been answered already");
  response_.reset();
  int64_t framing = Connection::kChunked;
  mode_ = Mode::kChunked;
  if (request_.http_minor() == 0) {
    framing = Connection::kUntilClose;
    mode_ = Mode::kUntilClose;
  }
  if (request_.method() == "HEAD") mode_ = Mode::kHeadOnly;
  const bool keep_alive = request_.keep_alive() && framing == Connection::kChunked && !connection_->stopping_;
  connection_->WriteHead(head, framing, keep_alive);
  const std::string_view head_text = connection_->out_;
  const std::span<const std::string_view> pieces(&head_text, 1);
  Status status = co_await SendPieces(pieces);
  if (!status.ok()) co_return status;
  if (head.body_size() > 0) {
    std::vector<SharedBuffer> first;
    if (!head.body.empty()) first.emplace_back(std::move(head.body));
    for (SharedBuffer& buffer : head.buffers) first.push_back(std::move(buffer));
    status = co_await Write(std::move(first));
    if (!status.ok()) co_return status;
  }
  if (connection_ != nullptr) connection_->Watch();
  co_return static_cast<ResponseStream*>(this);
}

Task<Result<ByteStream*>> ExchangeImpl::Upgrade(Response head) {
  if (connection_ == nullptr) co_return Gone();
  if (mode_ != Mode::kWhole) co_return Status::Internal("the exchange has been answered already");
  response_.reset();
  mode_ = Mode::kRaw;
  if (connection_->watching_) {
    connection_->watching_ = false;
    connection_->transport_.CancelNotify();
  }
  head.content_type = {};
  connection_->WriteHead(head, Connection::kNone, true);
  const std::string_view head_text = connection_->out_;
  const std::span<const std::string_view> pieces(&head_text, 1);
  Status status = co_await SendPieces(pieces);
  if (!status.ok()) co_return status;
  co_return static_cast<ByteStream*>(this);
}

Task<Status> ExchangeImpl::Write(std::vector<SharedBuffer> buffers) {
  if (mode_ == Mode::kHeadOnly) co_return closed() ? Gone() : Status();
  // One event is the common case: no vector for that.
  std::array<std::string_view, 8> few;
  std::vector<std::string_view> many;
  std::string_view* pieces = few.data();
  if (buffers.size() + 2 > few.size()) {
    many.resize(buffers.size() + 2);
    pieces = many.data();
  }
  size_t count = mode_ == Mode::kChunked ? 1 : 0;
  size_t size = 0;
  for (const SharedBuffer& buffer : buffers) {
    size += buffer.data.size();
    pieces[count++] = buffer.data;
  }
  // An empty chunk would be the end of the stream.
  if (size == 0) co_return closed() ? Gone() : Status();
  if (mode_ == Mode::kChunked) {
    if (writing_) co_return Status::Internal("a second Write while one is under way");
    char* end = std::to_chars(chunk_head_, chunk_head_ + 16, size, 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    pieces[0] = std::string_view(chunk_head_, static_cast<size_t>(end - chunk_head_));
    pieces[count++] = "\r\n";
  }
  const std::span<const std::string_view> all(pieces, count);
  Status status = co_await SendPieces(all);
  co_return status;
}

Task<Result<size_t>> ExchangeImpl::Read(char* buffer, size_t size) {
  if (connection_ == nullptr) co_return Gone();
  const std::shared_ptr<Connection> connection = connection_->shared_from_this();
  if (!connection->unread_.empty()) {
    const size_t got = std::min(size, connection->unread_.size());
    std::memcpy(buffer, connection->unread_.data(), got);
    connection->unread_.erase(0, got);
    co_return got;
  }
  for (;;) {
    size_t got = 0;
    const Transport::Io state = connection->transport_.TryRead(buffer, size, &got);
    if (state == Transport::Io::kOk) co_return got;
    if (state == Transport::Io::kEof) co_return size_t{0};
    if (state == Transport::Io::kError) co_return Gone();
    const Transport::Io waited = co_await connection->transport_.WaitReadable();
    if (waited != Transport::Io::kOk) co_return Gone();
  }
}

void ExchangeImpl::Close() {
  if (connection_ != nullptr) connection_->transport_.Close();
}

}  // namespace wherry::http
