#pragma once

#include <functional>
#include <optional>
#include <span>

#include "api/http/connection.h"

namespace wherry::http {

// The connection's side of an Exchange, and of the stream it may become. Used again by the next request of the
// connection when nobody else holds it.
class ExchangeImpl : public Exchange, public ResponseStream, public ByteStream {
 public:
  explicit ExchangeImpl(Connection* connection) : connection_(connection) {}

  const Request& request() const override { return request_; }
  Request& mutable_request() override { return request_; }
  void Respond(Response response) override { response_ = std::move(response); }
  Task<Result<ResponseStream*>> StartStream(Response head) override;
  Task<Result<ByteStream*>> Upgrade(Response head) override;
  bool closed() const override;
  void set_on_close(std::function<void()> on_close) override;

  Task<Status> Write(std::vector<SharedBuffer> buffers) override;
  Task<Result<size_t>> Read(char* buffer, size_t size) override;
  void Close() override;

 private:
  friend class Connection;
  enum class Mode { kWhole, kChunked, kUntilClose, kHeadOnly, kRaw };

  void Reset();
  // The connection is over or needs this exchange no more: everything fails from here on.
  void Detach() { connection_ = nullptr; }
  void NotifyClosed();
  // `pieces` and what they show live until the end.
  Task<Status> SendPieces(std::span<const std::string_view> pieces);

  Connection* connection_;  // null once detached
  Request request_;
  std::optional<Response> response_;
  std::function<void()> on_close_;
  Mode mode_ = Mode::kWhole;
  bool writing_ = false;
  bool broken_ = false;
  char chunk_head_[24];
};

}  // namespace wherry::http
