#pragma once

#include <array>
#include <deque>
#include <set>

#include "api/streams/channels.h"
#include "api/streams/spdy_session.h"

namespace wherry::streams {

// Channels over SPDY streams, one for each, told apart by the header `streamtype`.
class SpdyChannels : public Channels {
 public:
  SpdyChannels(http::ByteStream& stream, asio::any_io_executor executor, bool json_status)
      : session_(stream, std::move(executor)), json_status_(json_status) {}

  // Waits until the peer has opened a stream for each of `wanted`; false when it went away or opened something else.
  Task<bool> Open(std::set<Channel> wanted);

  Task<Input> Next() override;
  Task<Status> Write(Channel channel, std::string data) override;
  Task<> Finish(std::string status, std::string text) override;
  void Close() override { session_.Close(); }

 private:
  std::optional<Input> Take(SpdySession::Event event);
  uint32_t& StreamOf(Channel channel) { return streams_[static_cast<size_t>(channel)]; }

  SpdySession session_;
  const bool json_status_;
  std::array<uint32_t, 5> streams_{};  // by channel; 0 = none
  std::deque<Input> early_;            // came while others were still being opened
  std::string resize_;
};

}  // namespace wherry::streams
