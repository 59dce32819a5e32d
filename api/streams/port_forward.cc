#include "api/streams/port_forward.h"

#include <charconv>
#include <map>
#include <memory>
#include <utility>

#include "api/http/wakeup.h"
#include "api/streams/pod_connection.h"
#include "api/streams/port_channels.h"
#include "api/streams/spdy_session.h"
#include "api/streams/upgrade.h"
#include "api/streams/web_socket_stream.h"

namespace wherry::streams {
namespace {

constexpr std::string_view kTunnel = "SPDY/3.1+portforward.k8s.io";
const std::vector<std::string_view> kWebSocketProtocols = {kTunnel, "v4.channel.k8s.io", ""};
const std::vector<std::string_view> kSpdyProtocols = {"portforward.k8s.io"};

// One connection of the client: two streams with the same request id.
struct Pair {
  uint32_t data = 0, error = 0;  // streams; 0 = not opened yet
  uint16_t port = 0;
  std::string early;  // what came before the pod had answered
  bool early_end = false;
  std::shared_ptr<PodConnection> pod;
  bool client_done = false;  // it sends no more
  bool closed = false;       // given up
};

// A SPDY connection of kubectl's. Its coroutines hold it.
class Forwarder : public std::enable_shared_from_this<Forwarder> {
 public:
  Forwarder(http::ByteStream& stream, asio::any_io_executor executor, Clock& clock, PortTarget target)
      : executor_(std::move(executor)),
        clock_(clock),
        target_(std::move(target)),
        session_(stream, executor_),
        changed_(executor_) {}

  Task<> Run();

 private:
  Task<> Opened(SpdySession::Event event);
  Task<> Connect(std::shared_ptr<Pair> pair);
  Task<> FromPod(std::shared_ptr<Pair> pair);
  Task<> ToPod(std::shared_ptr<Pair> pair);
  void Launch(Task<> task);
  Task<> Counted(Task<> task);
  void Drop(Pair& pair);

  static constexpr size_t kMaxEarly = 256 << 10;

  const asio::any_io_executor executor_;
  Clock& clock_;
  const PortTarget target_;
  SpdySession session_;
  http::Wakeup changed_;
  size_t running_ = 0;                                     // coroutines that use the session
  std::map<std::string, std::shared_ptr<Pair>> unpaired_;  // by request id
  std::map<uint32_t, std::shared_ptr<Pair>> by_stream_;
};

Task<> Forwarder::Run() {
  const auto self = shared_from_this();
  using Kind = SpdySession::Event::Kind;
  for (;;) {
    SpdySession::Event event = co_await session_.Next();
    if (event.kind == Kind::kGone) break;
    if (event.kind == Kind::kOpened) {
      co_await Opened(std::move(event));
      continue;
    }
    const auto found = by_stream_.find(event.stream);
    if (found == by_stream_.end()) continue;
    const std::shared_ptr<Pair> pair = found->second;
    if (event.kind == Kind::kReset) {
      by_stream_.erase(found);
      if (event.stream == pair->data) Drop(*pair);
      continue;
    }
    if (event.stream != pair->data || pair->closed || pair->client_done) continue;
    if (!event.data.empty()) {
      if (pair->pod) {
        co_await pair->pod->writer.Push(std::move(event.data));
      } else {
        pair->early += event.data;
        if (pair->early.size() > kMaxEarly) Drop(*pair);
      }
    }
    if (event.fin) {
      pair->client_done = true;
      if (pair->pod) pair->pod->writer.End();
    }
  }
  session_.Close();
  std::vector<std::shared_ptr<Pair>> all;
  for (const auto& [stream, pair] : by_stream_) all.push_back(pair);
  for (const auto& pair : all) Drop(*pair);
  while (running_ > 0) co_await changed_.Wait();
}

void Forwarder::Drop(Pair& pair) {
  pair.closed = true;
  if (pair.pod) pair.pod->Close();
}

void Forwarder::Launch(Task<> task) {
  ++running_;
  Spawn(executor_, "port-forward", Counted(std::move(task)));
}

Task<> Forwarder::Counted(Task<> task) {
  const auto self = shared_from_this();
  co_await std::move(task);
  --running_;
  changed_.Notify();
}

Task<> Forwarder::Opened(SpdySession::Event event) {
  const std::string type = SpdyHeader(event.headers, "streamtype");
  const std::string port_text = SpdyHeader(event.headers, "port");
  std::string id = SpdyHeader(event.headers, "requestid");
  unsigned port = 0;
  const auto [end, bad] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  const bool valid = bad == std::errc() && end == port_text.data() + port_text.size() && port > 0 && port <= 65535;
  if (!valid || (type != "data" && type != "error")) {
    const Status ignored = co_await session_.Reset(event.stream, SpdyReset::kProtocolError);
    (void)ignored;
    co_return;
  }
  // Clients that send no request id open the error stream, then the data stream.
  if (id.empty()) id = std::to_string(type == "error" ? event.stream : event.stream - 2);
  std::shared_ptr<Pair>& slot = unpaired_[id];
  if (!slot) slot = std::make_shared<Pair>();
  const std::shared_ptr<Pair> pair = slot;
  uint32_t& mine = type == "data" ? pair->data : pair->error;
  if (mine != 0) {
    const Status ignored = co_await session_.Reset(event.stream, SpdyReset::kProtocolError);
    (void)ignored;
    co_return;
  }
  mine = event.stream;
  pair->port = static_cast<uint16_t>(port);
  by_stream_[event.stream] = pair;
  if (pair->data == 0 || pair->error == 0) co_return;
  unpaired_.erase(id);
  Launch(Connect(pair));
}

Task<> Forwarder::Connect(std::shared_ptr<Pair> pair) {
  Result<std::shared_ptr<PodConnection>> pod = co_await ConnectToPod(executor_, clock_, target_, pair->port);
  if (pod.ok() && !pair->closed) {
    pair->pod = std::move(*pod);
    Launch(ToPod(pair));
    std::string early = std::exchange(pair->early, std::string());
    if (!early.empty()) co_await pair->pod->writer.Push(std::move(early));
    if (pair->client_done) pair->pod->writer.End();
    co_await FromPod(pair);
  } else if (!pair->closed) {
    const Status told = co_await session_.Write(pair->error, pod.status().message(), true);
    if (told.ok()) {
      const Status reset = co_await session_.Reset(pair->data, SpdyReset::kCancel);
      (void)reset;
    }
  }
  pair->closed = true;
  if (pair->pod) pair->pod->reader.Close();
  for (const uint32_t stream : {pair->data, pair->error}) {
    by_stream_.erase(stream);
    session_.Forget(stream);
  }
  if (pair->pod) pair->pod->writer.End();
}

// The pod's end ends the connection: kubectl waits for the error stream's.
Task<> Forwarder::FromPod(std::shared_ptr<Pair> pair) {
  for (;;) {
    std::string data = co_await pair->pod->reader.Read();
    if (data.empty()) break;
    const Status sent = co_await session_.Write(pair->data, std::move(data), false);
    if (!sent.ok()) co_return;
  }
  if (pair->closed) co_return;
  for (const uint32_t stream : {pair->data, pair->error}) {
    std::string nothing;
    const Status sent = co_await session_.Write(stream, std::move(nothing), true);
    if (!sent.ok()) co_return;
  }
}

Task<> Forwarder::ToPod(std::shared_ptr<Pair> pair) {
  const std::shared_ptr<PodConnection> pod = pair->pod;
  co_await pod->writer.Run();
}

}  // namespace

Task<> ServePortForward(http::ExchangePtr exchange, asio::any_io_executor executor, Clock& clock, PortTarget target) {
  http::Response refusal;
  Result<Upgrade> upgrade = NegotiateUpgrade(exchange->request(), kWebSocketProtocols, kSpdyProtocols, &refusal);
  if (!upgrade.ok()) co_return exchange->Respond(std::move(refusal));
  const bool channels = upgrade->carrier == Carrier::kWebSocket && upgrade->protocol != kTunnel;
  std::vector<uint16_t> ports;
  if (channels) {
    Result<std::vector<uint16_t>> read = ReadPorts(exchange->request());
    if (!read.ok()) co_return exchange->Respond(http::Response::Failure(read.status()));
    ports = std::move(*read);
  }
  http::Response head = std::move(upgrade->head);
  const Result<http::ByteStream*> upgraded = co_await exchange->Upgrade(std::move(head));
  if (!upgraded.ok()) co_return;
  http::ByteStream& stream = **upgraded;
  exchange->set_on_close([&stream] { stream.Close(); });
  if (channels) {
    co_await ServePortChannels(stream, executor, clock, std::move(target), std::move(ports));
  } else if (upgrade->carrier == Carrier::kWebSocket) {
    WebSocketStream tunnel(stream, executor);
    const auto forwarder = std::make_shared<Forwarder>(tunnel, executor, clock, std::move(target));
    co_await forwarder->Run();
  } else {
    const auto forwarder = std::make_shared<Forwarder>(stream, executor, clock, std::move(target));
    co_await forwarder->Run();
  }
  exchange->set_on_close(nullptr);
}

}  // namespace wherry::streams
