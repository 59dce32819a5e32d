#include "api/streams/web_socket_channels.h"

#include <openssl/evp.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "store/json.h"

namespace wherry::streams {
namespace {

constexpr ChannelProtocol kProtocols[] = {
    {"v5.channel.k8s.io", false, true, true},        {"v4.channel.k8s.io", false, true, false},
    {"v4.base64.channel.k8s.io", true, true, false}, {"v3.channel.k8s.io", false, false, false},
    {"v2.channel.k8s.io", false, false, false},      {"channel.k8s.io", false, false, false},
    {"base64.channel.k8s.io", true, false, false},   {"", false, false, false},  // none was asked for
};
constexpr int kHalfClose = 255;
constexpr size_t kMaxGathered = 64 << 10;
constexpr uint16_t kNormal = 1000, kTooBig = 1009;
constexpr size_t kReadBytes = 32 << 10;

std::string Base64Encode(std::string_view data) {
  std::string out(4 * ((data.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(data.data()), static_cast<int>(data.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

// Nothing when it is no base64.
std::string Base64Decode(std::string_view text) {
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string out(text.size(), '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.resize(size < static_cast<int>(padding) ? 0 : static_cast<size_t>(size) - padding);
  return out;
}

}  // namespace

const ChannelProtocol* FindChannelProtocol(std::string_view name) {
  for (const ChannelProtocol& protocol : kProtocols) {
    if (protocol.name == name) return &protocol;
  }
  return nullptr;
}

bool ParseResize(const std::string& message, int* width, int* height) {
  const Json size = Json::parse(message, nullptr, false);
  const auto read = [&](const char* name, int* out) {
    const auto at = size.find(name);
    if (at == size.end() || !at->is_number_integer()) return false;
    const int64_t value = at->get<int64_t>();
    if (value < 0 || value > 0xFFFF) return false;
    *out = static_cast<int>(value);
    return true;
  };
  return size.is_object() && read("Width", width) && read("Height", height);
}

Task<Channels::Input> WebSocketChannels::Next() {
  std::string buffer;
  for (;;) {
    while (std::optional<WebSocketParser::Piece> piece = parser_.Next()) {
      if (piece->op == WebSocketOp::kPing) {
        std::string pong = EncodeWebSocketFrame(WebSocketOp::kPong, piece->payload);
        const Status sent = co_await writer_.Write(std::move(pong));
        if (!sent.ok()) co_return Input{};
      } else if (piece->op == WebSocketOp::kClose) {
        co_await Farewell(kNormal, "");
        co_return Input{};
      } else if (piece->op != WebSocketOp::kPong) {
        std::optional<Input> input = Take(std::move(*piece));
        if (input) co_return std::move(*input);
        if (text_message_.size() > kMaxGathered) {
          co_await Farewell(kTooBig, "the message is too long");
          co_return Input{};
        }
      }
    }
    if (parser_.error_code() != 0) {
      co_await Farewell(parser_.error_code(), parser_.error());
      co_return Input{};
    }
    buffer.resize(kReadBytes);
    const Result<size_t> got = co_await stream_.Read(buffer.data(), buffer.size());
    if (!got.ok() || *got == 0) co_return Input{};
    parser_.Feed(std::string_view(buffer).substr(0, *got));
  }
}

std::optional<Channels::Input> WebSocketChannels::Take(WebSocketParser::Piece piece) {
  if (piece.first) {
    channel_ = -1;
    text_message_.clear();
    resize_.clear();
  }
  std::string data = std::move(piece.payload);
  if (protocol_.base64) {
    text_message_ += data;
    if (!piece.last || text_message_.empty()) return std::nullopt;
    channel_ = text_message_[0] - '0';
    data = Base64Decode(std::string_view(text_message_).substr(1));
    text_message_.clear();
  } else if (channel_ < 0) {
    if (data.empty()) return std::nullopt;
    channel_ = static_cast<uint8_t>(data[0]);
    data.erase(0, 1);
  }
  if (channel_ == static_cast<int>(Channel::kStdin)) {
    if (data.empty()) return std::nullopt;
    Input input;
    input.kind = Input::Kind::kStdin;
    input.data = std::move(data);
    return input;
  }
  if (channel_ == static_cast<int>(Channel::kResize)) return TakeResize(data, piece.last);
  if (channel_ == kHalfClose && protocol_.half_close && data.size() == 1 && data[0] == 0) {
    Input input;
    input.kind = Input::Kind::kStdinEnd;
    return input;
  }
  return std::nullopt;
}

std::optional<Channels::Input> WebSocketChannels::TakeResize(const std::string& data, bool last) {
  if (resize_.size() < kMaxGathered) resize_ += data;
  Input input;
  input.kind = Input::Kind::kResize;
  if (!last || !ParseResize(resize_, &input.width, &input.height)) return std::nullopt;
  return input;
}

Task<Status> WebSocketChannels::Write(Channel channel, std::string data) {
  std::vector<http::SharedBuffer> buffers;
  if (protocol_.base64) {
    std::string text(1, static_cast<char>('0' + static_cast<int>(channel)));
    text += Base64Encode(data);
    buffers.emplace_back(EncodeWebSocketFrame(WebSocketOp::kText, text));
  } else {
    std::string head = EncodeWebSocketHead(WebSocketOp::kBinary, data.size() + 1);
    head.push_back(static_cast<char>(channel));
    buffers.emplace_back(std::move(head));
    buffers.emplace_back(std::move(data));
  }
  Status status = co_await writer_.Write(std::move(buffers));
  co_return status;
}

Task<> WebSocketChannels::Finish(std::string status, std::string text) {
  std::string outcome = protocol_.json_status ? std::move(status) : std::move(text);
  if (!outcome.empty()) {
    const Status sent = co_await Write(Channel::kError, std::move(outcome));
    if (!sent.ok()) co_return;
  }
  co_await Farewell(kNormal, "");
}

Task<> WebSocketChannels::Farewell(uint16_t code, std::string reason) {
  if (std::exchange(closing_, true)) co_return;
  std::string frame = EncodeWebSocketClose(code, reason);
  const Status ignored = co_await writer_.Write(std::move(frame));
  (void)ignored;
}

}  // namespace wherry::streams
