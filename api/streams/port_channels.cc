#include "api/streams/port_channels.h"

#include <charconv>
#include <memory>
#include <utility>

#include "api/http/wakeup.h"
#include "api/streams/pod_connection.h"
#include "api/streams/serial_writer.h"
#include "api/streams/web_socket.h"

namespace wherry::streams {
namespace {

constexpr size_t kMaxPorts = 100;  // a channel is a byte
constexpr size_t kReadBytes = 64 << 10;
constexpr Duration kCloseLimit = std::chrono::seconds(5);

struct PortStreams : std::enable_shared_from_this<PortStreams> {
  PortStreams(http::ByteStream& s, asio::any_io_executor e, Clock& c, PortTarget t, std::vector<uint16_t> p)
      : stream(s),
        executor(e),
        clock(c),
        target(std::move(t)),
        ports(std::move(p)),
        writer(s, e),
        changed(e),
        ready(e) {
    pods.resize(ports.size());
    connecting.assign(ports.size(), true);
  }

  Task<> Forward(size_t i);
  Task<> Feed(std::shared_ptr<PodConnection> pod);
  Task<> ReadClient();
  Task<Status> Send(size_t channel, std::string data);

  http::ByteStream& stream;
  const asio::any_io_executor executor;
  Clock& clock;
  const PortTarget target;
  const std::vector<uint16_t> ports;
  SerialWriter writer;
  http::Wakeup changed;
  http::Wakeup ready;  // for the reader: a connection was made, or could not be
  std::vector<std::shared_ptr<PodConnection>> pods;
  std::vector<bool> connecting;
  size_t forwarding = 0;
  bool reading = true;
  bool closing = false;
};

Task<Status> PortStreams::Send(size_t channel, std::string data) {
  std::string head = EncodeWebSocketHead(WebSocketOp::kBinary, data.size() + 1);
  head.push_back(static_cast<char>(channel));
  std::vector<http::SharedBuffer> buffers;
  buffers.emplace_back(std::move(head));
  buffers.emplace_back(std::move(data));
  Status status = co_await writer.Write(std::move(buffers));
  co_return status;
}

Task<> PortStreams::Forward(size_t i) {
  const auto self = shared_from_this();
  Result<std::shared_ptr<PodConnection>> pod = co_await ConnectToPod(executor, clock, target, ports[i]);
  connecting[i] = false;
  if (!pod.ok()) {
    const Status ignored = co_await Send(2 * i + 1, pod.status().message());
    (void)ignored;
  } else if (reading) {
    pods[i] = *pod;
    Spawn(executor, "port-forward to pod", Feed(*pod));
    ready.Notify();
    for (;;) {
      std::string data = co_await (*pod)->reader.Read();
      if (data.empty()) break;
      const Status sent = co_await Send(2 * i, std::move(data));
      if (!sent.ok()) break;
    }
    (*pod)->Close();
  }
  --forwarding;
  ready.Notify();
  changed.Notify();
}

Task<> PortStreams::Feed(std::shared_ptr<PodConnection> pod) { co_await pod->writer.Run(); }

Task<> PortStreams::ReadClient() {
  const auto self = shared_from_this();
  WebSocketParser parser;
  std::string buffer;
  int channel = -1;
  bool open = true;
  while (open) {
    while (std::optional<WebSocketParser::Piece> piece = parser.Next()) {
      if (piece->op == WebSocketOp::kPing) {
        std::string pong = EncodeWebSocketFrame(WebSocketOp::kPong, piece->payload);
        const Status sent = co_await writer.Write(std::move(pong));
        open = open && sent.ok();
      } else if (piece->op == WebSocketOp::kClose) {
        open = false;
      } else if (piece->op != WebSocketOp::kPong) {
        std::string data = std::move(piece->payload);
        if (piece->first) channel = -1;
        if (channel < 0 && !data.empty()) {
          channel = static_cast<uint8_t>(data[0]);
          data.erase(0, 1);
        }
        const size_t i = static_cast<size_t>(channel) / 2;
        if (channel < 0 || channel % 2 != 0 || i >= ports.size() || data.empty()) continue;
        while (connecting[i]) co_await ready.Wait();
        if (pods[i]) co_await pods[i]->writer.Push(std::move(data));
      }
    }
    if (!open || parser.error_code() != 0) break;
    buffer.resize(kReadBytes);
    const Result<size_t> got = co_await stream.Read(buffer.data(), buffer.size());
    if (!got.ok() || *got == 0) break;
    parser.Feed(std::string_view(buffer).substr(0, *got));
  }
  if (!std::exchange(closing, true)) {
    std::string close = EncodeWebSocketClose(parser.error_code() != 0 ? parser.error_code() : 1000, parser.error());
    const Status ignored = co_await writer.Write(std::move(close));
    (void)ignored;
  }
  reading = false;
  for (const auto& pod : pods) {
    if (pod) pod->Close();
  }
  changed.Notify();
}

}  // namespace

Result<std::vector<uint16_t>> ReadPorts(const http::Request& request) {
  std::vector<uint16_t> ports;
  for (const http::Request::Field& field : request.query()) {
    if (field.name != "ports") continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const std::string_view item = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(item.size() + 1, rest.size()));
      unsigned port = 0;
      const auto [end, bad] = std::from_chars(item.data(), item.data() + item.size(), port);
      if (bad != std::errc() || end != item.data() + item.size() || port == 0 || port > 65535) {
        return Status::BadRequest("query parameter `ports` has an invalid port: \"" + std::string(item) + "\"");
      }
      ports.push_back(static_cast<uint16_t>(port));
    }
  }
  if (ports.empty()) return Status::BadRequest("query parameter \"ports\" is required");
  if (ports.size() > kMaxPorts) return Status::BadRequest("too many ports");
  return ports;
}

Task<> ServePortChannels(http::ByteStream& stream, asio::any_io_executor executor, Clock& clock, PortTarget target,
                         std::vector<uint16_t> ports) {
  const auto streams = std::make_shared<PortStreams>(stream, executor, clock, std::move(target), std::move(ports));
  // Each channel begins with its port, low byte first.
  for (size_t channel = 0; channel < 2 * streams->ports.size(); ++channel) {
    const uint16_t port = streams->ports[channel / 2];
    std::string number = {static_cast<char>(port & 0xFF), static_cast<char>(port >> 8)};
    const Status sent = co_await streams->Send(channel, std::move(number));
    if (!sent.ok()) co_return;
  }
  streams->forwarding = streams->ports.size();
  for (size_t i = 0; i < streams->ports.size(); ++i) Spawn(executor, "port-forward from pod", streams->Forward(i));
  Spawn(executor, "port-forward client", streams->ReadClient());
  while (streams->reading && streams->forwarding > 0) co_await streams->changed.Wait();
  if (streams->reading && !std::exchange(streams->closing, true)) {
    std::string close = EncodeWebSocketClose(1000, "");
    const Status ignored = co_await streams->writer.Write(std::move(close));
    (void)ignored;
  }
  http::ByteStream* const raw = &stream;
  const Clock::TimerId limit = clock.After(kCloseLimit, [raw] { raw->Close(); });
  while (streams->reading || streams->forwarding > 0) co_await streams->changed.Wait();
  clock.Cancel(limit);
}

}  // namespace wherry::streams
