// Channels over both transports, on a connection made of strings.
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <cstring>
#include <nlohmann/json.hpp>

#include "api/streams/remote_command.h"
#include "api/streams/spdy_channels.h"
#include "api/streams/web_socket_channels.h"
#include "store/json.h"

namespace wherry::streams {
namespace {

// Gives `input` in pieces, then the end; keeps what is written.
class Wire : public http::ByteStream {
 public:
  explicit Wire(std::string bytes, size_t at_once) : input(std::move(bytes)), step(at_once) {}
  Task<Result<size_t>> Read(char* buffer, size_t size) override {
    const size_t got = std::min({size, step, input.size() - at});
    std::memcpy(buffer, input.data() + at, got);
    at += got;
    co_return got;
  }
  Task<Status> Write(std::vector<http::SharedBuffer> buffers) override {
    for (const http::SharedBuffer& buffer : buffers) output += buffer.data;
    co_return Status();
  }
  void Close() override { is_closed = true; }
  bool closed() const override { return is_closed; }

  std::string input, output;
  size_t at = 0, step;
  bool is_closed = false;
};

// "stdin:abc stdin-end resize:80x24 gone"
Task<> Describe(Channels* channels, std::string* out) {
  std::string text;
  for (;;) {
    Channels::Input input = co_await channels->Next();
    using Kind = Channels::Input::Kind;
    if (input.kind == Kind::kStdin) text += input.data;
    if (input.kind == Kind::kStdin) continue;
    if (!text.empty()) *out += "stdin:" + std::exchange(text, {}) + " ";
    if (input.kind == Kind::kStdinEnd) *out += "stdin-end ";
    if (input.kind == Kind::kResize) {
      *out += "resize:" + std::to_string(input.width) + "x" + std::to_string(input.height) + " ";
    }
    if (input.kind == Kind::kGone) break;
  }
  *out += "gone";
}

void RunAll(asio::io_context& io, Task<> task) {
  asio::co_spawn(io.get_executor(), std::move(task), asio::detached);
  io.run();
  io.restart();
}

std::string Client(int op, const std::string& payload) {
  std::string frame = {static_cast<char>(0x80 | op), static_cast<char>(0x80 | static_cast<int>(payload.size()))};
  return frame + std::string(4, '\0') + payload;  // a mask of zeros
}

std::string Channel_(int channel, const std::string& data) { return Client(2, static_cast<char>(channel) + data); }

Task<> WriteAndFinish(Channels* channels) {
  const Status out = co_await channels->Write(Channel::kStdout, "out");
  const Status err = co_await channels->Write(Channel::kStderr, "err");
  CHECK(out.ok());
  CHECK(err.ok());
  co_await channels->Finish("{json}", "text");
}

}  // namespace

TEST_CASE("WebSocket channels: input in, whatever the pieces") {
  const std::string stream = Channel_(0, "ab") + Channel_(4, R"({"Width":80,"Height":24})") + Channel_(0, "") +
                             Client(9, "are you there") + Channel_(0, "cd") + Channel_(7, "what is this") +
                             Channel_(4, "no size") + Channel_(255, std::string(1, '\0')) + Client(8, "\x03\xE8");
  for (const size_t step : {size_t{1}, size_t{5}, size_t{4096}}) {
    asio::io_context io;
    Wire wire(stream, step);
    WebSocketChannels channels(wire, io.get_executor(), *FindChannelProtocol("v5.channel.k8s.io"));
    std::string seen;
    RunAll(io, Describe(&channels, &seen));
    CHECK(seen == "stdin:ab resize:80x24 stdin:cd stdin-end gone");
    CHECK(wire.output == EncodeWebSocketFrame(WebSocketOp::kPong, "are you there") + EncodeWebSocketClose(1000, ""));
  }
}

TEST_CASE("WebSocket channels: only v5 knows the end of stdin; base64 is text") {
  asio::io_context io;
  Wire v4(Channel_(255, std::string(1, '\0')), 100);
  WebSocketChannels channels(v4, io.get_executor(), *FindChannelProtocol("v4.channel.k8s.io"));
  std::string seen;
  RunAll(io, Describe(&channels, &seen));
  CHECK(seen == "gone");

  Wire text(Client(1, "0aGVsbG8=") + Client(1, "0!!") + Client(1, "0IHRoZXJl"), 3);
  WebSocketChannels base64(text, io.get_executor(), *FindChannelProtocol("v4.base64.channel.k8s.io"));
  seen.clear();
  RunAll(io, Describe(&base64, &seen));
  CHECK(seen == "stdin:hello there gone");
  RunAll(io, WriteAndFinish(&base64));
  CHECK(text.output == EncodeWebSocketFrame(WebSocketOp::kText, "1b3V0") +
                           EncodeWebSocketFrame(WebSocketOp::kText, "2ZXJy") +
                           EncodeWebSocketFrame(WebSocketOp::kText, "3e2pzb259") + EncodeWebSocketClose(1000, ""));
}

TEST_CASE("WebSocket channels: output and the outcome") {
  for (const auto& [protocol, outcome] : {std::pair("v4.channel.k8s.io", "\3{json}"), std::pair("", "\3text")}) {
    asio::io_context io;
    Wire wire("", 1);
    WebSocketChannels channels(wire, io.get_executor(), *FindChannelProtocol(protocol));
    RunAll(io, WriteAndFinish(&channels));
    const auto frame = [](const std::string& payload) { return EncodeWebSocketFrame(WebSocketOp::kBinary, payload); };
    CHECK(wire.output == frame("\1out") + frame("\2err") + frame(outcome) + EncodeWebSocketClose(1000, ""));
  }
}

TEST_CASE("SPDY channels: streams are told apart by their type") {
  SpdyDeflater deflater;
  std::string stream;
  uint32_t id = 1;
  for (const char* type : {"error", "stdin", "stdout", "resize"}) {
    stream += EncodeSpdyHeaderFrame(SpdyType::kSynStream, id, false, deflater.Compress({{"Streamtype", type}}));
    id += 2;
    if (id == 7) stream += EncodeSpdyDataHead(3, false, 2) + "ea";  // stdin before all are open
  }
  const std::string size = "{\"Width\":1,\"Height\":2}\n{\"Width\":3,\"Height\":4}\n";
  stream += EncodeSpdyDataHead(3, false, 3) + "rly" + EncodeSpdyDataHead(7, false, size.size()) + size +
            EncodeSpdyDataHead(3, true, 4) + " end";
  asio::io_context io;
  Wire wire(stream, 4096);
  SpdyChannels channels(wire, io.get_executor(), true);
  bool opened = false;
  auto open = [](SpdyChannels* all, bool* done) -> Task<> {
    std::set<Channel> wanted = {Channel::kError, Channel::kStdin, Channel::kStdout, Channel::kResize};
    *done = co_await all->Open(std::move(wanted));
  };
  RunAll(io, open(&channels, &opened));
  REQUIRE(opened);
  std::string seen;
  RunAll(io, Describe(&channels, &seen));
  CHECK(seen == "stdin:early resize:3x4 stdin: end stdin-end gone");

  RunAll(io, WriteAndFinish(&channels));
  SpdyParser parser;
  parser.Feed(wire.output);
  std::string said;
  while (auto frame = parser.Next()) {
    if (frame->type == SpdyType::kSynReply) said += "reply " + std::to_string(frame->stream) + "; ";
    if (frame->type == SpdyType::kData) {
      said += std::to_string(frame->stream) + " " + frame->payload + (frame->fin ? " fin; " : "; ");
    }
  }
  CHECK(said == "reply 1; reply 3; reply 5; reply 7; 5 out; 5  fin; 1 {json} fin; ");
}

TEST_CASE("SPDY channels: a stream that nobody wants is the end") {
  SpdyDeflater deflater;
  asio::io_context io;
  Wire wire(EncodeSpdyHeaderFrame(SpdyType::kSynStream, 1, false, deflater.Compress({{"streamtype", "video"}})), 100);
  SpdyChannels channels(wire, io.get_executor(), true);
  bool opened = true;
  auto open = [](SpdyChannels* all, bool* done) -> Task<> {
    std::set<Channel> wanted = {Channel::kError};
    *done = co_await all->Open(std::move(wanted));
  };
  RunAll(io, open(&channels, &opened));
  CHECK_FALSE(opened);
}

TEST_CASE("the outcome of a remote command") {
  CHECK(Json::parse(OutcomeOf(0).status) == Json::parse(R"({"metadata":{},"status":"Success"})"));
  CHECK(OutcomeOf(0).text.empty());
  const Json failed = Json::parse(OutcomeOf(3).status);
  CHECK(failed["reason"] == "NonZeroExitCode");
  CHECK(failed["details"]["causes"] == Json::parse(R"([{"reason":"ExitCode","message":"3"}])"));
  const Json broken = Json::parse(OutcomeOf(Status::Internal("no such program")).status);
  CHECK(broken["reason"] == "InternalError");
  CHECK(broken["message"] == "error executing command in container: no such program");
}

TEST_CASE("sizes of a terminal") {
  int width = 0, height = 0;
  CHECK(ParseResize("{\"Width\":80,\"Height\":24}\n", &width, &height));
  CHECK(width == 80);
  CHECK(height == 24);
  for (const char* bad : {"", "[]", "{}", "{\"Width\":80}", "{\"Width\":-1,\"Height\":2}",
                          "{\"Width\":70000,\"Height\":2}", "{\"Width\":\"80\",\"Height\":24}"}) {
    CHECK_FALSE(ParseResize(bad, &width, &height));
  }
}

}  // namespace wherry::streams
