#pragma once

#include <optional>
#include <string>

#include "api/streams/channels.h"
#include "api/streams/serial_writer.h"
#include "api/streams/web_socket.h"

namespace wherry::streams {

// What a channel.k8s.io subprotocol of remote commands means.
struct ChannelProtocol {
  std::string_view name;
  bool base64 = false;       // text frames: the channel as a digit, then base64
  bool json_status = false;  // v4 and later
  bool half_close = false;   // v5: frame {255, channel}
};
// Null when it is none of them.
const ChannelProtocol* FindChannelProtocol(std::string_view name);

// Channels over WebSocket messages whose first byte names the channel.
class WebSocketChannels : public Channels {
 public:
  WebSocketChannels(http::ByteStream& stream, asio::any_io_executor executor, const ChannelProtocol& protocol)
      : stream_(stream), writer_(stream, std::move(executor)), protocol_(protocol) {}

  Task<Input> Next() override;
  Task<Status> Write(Channel channel, std::string data) override;
  Task<> Finish(std::string status, std::string text) override;
  void Close() override { stream_.Close(); }

 private:
  // What a piece of a message means; nullopt when nothing.
  std::optional<Input> Take(WebSocketParser::Piece piece);
  std::optional<Input> TakeResize(const std::string& data, bool last);
  Task<> Farewell(uint16_t code, std::string reason);

  http::ByteStream& stream_;
  SerialWriter writer_;
  const ChannelProtocol& protocol_;
  WebSocketParser parser_;
  int channel_ = -1;          // of the message under way; -1 before its first byte
  std::string text_message_;  // of base64 protocols: gathered, because parts do not decode
  std::string resize_;        // gathered likewise
  bool closing_ = false;      // our close frame is out
};

}  // namespace wherry::streams
