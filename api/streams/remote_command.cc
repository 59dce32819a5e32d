#include "api/streams/remote_command.h"

#include <sys/ioctl.h>

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "api/http/wakeup.h"
#include "api/streams/fd_pump.h"
#include "api/streams/spdy_channels.h"
#include "api/streams/upgrade.h"
#include "api/streams/web_socket_channels.h"
#include "store/json.h"

namespace wherry::streams {
namespace {

// The protocols of exec and attach, in our order of liking.
const std::vector<std::string_view> kWebSocketProtocols = {
    "v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "v3.channel.k8s.io",
    "v2.channel.k8s.io", "channel.k8s.io",    "base64.channel.k8s.io",    ""};
const std::vector<std::string_view> kSpdyProtocols = {"v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io",
                                                      "channel.k8s.io"};
constexpr Duration kOpenLimit = std::chrono::seconds(30);
constexpr Duration kCloseLimit = std::chrono::seconds(5);

// One command under way. Its coroutines hold it.
struct Session : std::enable_shared_from_this<Session> {
  Session(std::shared_ptr<Channels> c, asio::any_io_executor e, RemoteProgram p)
      : channels(std::move(c)), executor(std::move(e)), program(std::move(p)), changed(executor) {}

  Task<> ReadInput();
  Task<> FeedProgram();
  Task<> PumpOutput(std::shared_ptr<FdReader> reader, Channel channel);
  Task<> RunProgram();
  void Begin();

  const std::shared_ptr<Channels> channels;
  const asio::any_io_executor executor;
  RemoteProgram program;
  http::Wakeup changed;
  std::unique_ptr<FdWriter> input;
  std::vector<std::shared_ptr<FdReader>> outputs;
  size_t pumping = 0;      // outputs not at their end
  bool reading = true;     // the client's input
  bool gone = false;       // the client is
  bool finishing = false;  // input is dropped
  std::optional<Result<int>> end;
};

// Reads to the end of the connection whatever happens: pings and farewells are answered in there.
Task<> Session::ReadInput() {
  const auto self = shared_from_this();
  for (;;) {
    Channels::Input next = co_await channels->Next();
    if (next.kind == Channels::Input::Kind::kGone) break;
    if (finishing) continue;
    if (next.kind == Channels::Input::Kind::kResize && program.terminal.valid()) {
      winsize size{};
      size.ws_col = static_cast<unsigned short>(next.width);
      size.ws_row = static_cast<unsigned short>(next.height);
      ioctl(program.terminal.get(), TIOCSWINSZ, &size);
    } else if (next.kind == Channels::Input::Kind::kStdin && input) {
      co_await input->Push(std::move(next.data));
    } else if (next.kind == Channels::Input::Kind::kStdinEnd && input) {
      input->End();
    }
  }
  reading = false;
  gone = true;
  changed.Notify();
}

Task<> Session::FeedProgram() {
  const auto self = shared_from_this();
  co_await input->Run();
  if (program.input_ended && !gone) program.input_ended();
}

Task<> Session::PumpOutput(std::shared_ptr<FdReader> reader, Channel channel) {
  const auto self = shared_from_this();
  for (;;) {
    std::string data = co_await reader->Read();
    if (data.empty()) break;
    const Status sent = co_await channels->Write(channel, std::move(data));
    if (sent.ok()) continue;
    gone = true;
    break;
  }
  reader->Close();
  --pumping;
  changed.Notify();
}

Task<> Session::RunProgram() {
  const auto self = shared_from_this();
  Result<int> result = co_await program.run();
  end.emplace(std::move(result));
  // What it wrote is in the pipes by now; what it left running keeps nobody waiting.
  for (const auto& reader : outputs) reader->Drain();
  changed.Notify();
}

void Session::Begin() {
  const auto output = [&](warden::Fd& fd, Channel channel) {
    if (!fd.valid()) return;
    outputs.push_back(std::make_shared<FdReader>(executor, fd.release()));
    ++pumping;
    Spawn(executor, "remote output", PumpOutput(outputs.back(), channel));
  };
  if (program.in.valid()) {
    input = std::make_unique<FdWriter>(executor, program.in.release());
    Spawn(executor, "remote input", FeedProgram());
  }
  output(program.out, Channel::kStdout);
  output(program.err, Channel::kStderr);
  Spawn(executor, "remote channels", ReadInput());
  if (program.run) Spawn(executor, "remote program", RunProgram());
}

}  // namespace

RemoteOutcome OutcomeOf(const Result<int>& end) {
  Json status = {{"metadata", Json::object()}, {"status", "Success"}};
  RemoteOutcome outcome;
  if (!end.ok()) {
    const std::string message = "error executing command in container: " + end.status().message();
    status["status"] = "Failure";
    status["message"] = message;
    status["reason"] = "InternalError";
    status["details"] = {{"causes", Json::array({{{"message", message}}})}};
    status["code"] = 500;
    outcome.text = message;
  } else if (*end != 0) {
    const std::string code = std::to_string(*end);
    outcome.text = "command terminated with non-zero exit code: exit status " + code;
    status["status"] = "Failure";
    status["message"] = outcome.text;
    status["reason"] = "NonZeroExitCode";
    status["details"] = {{"causes", Json::array({{{"reason", "ExitCode"}, {"message", code}}})}};
  }
  outcome.status = status.dump();
  return outcome;
}

Task<std::unique_ptr<Channels>> OpenChannels(http::ExchangePtr exchange, asio::any_io_executor executor, Clock& clock,
                                             RemoteOptions options) {
  http::Response refusal;
  Result<Upgrade> upgrade = NegotiateUpgrade(exchange->request(), kWebSocketProtocols, kSpdyProtocols, &refusal);
  if (!upgrade.ok()) {
    exchange->Respond(std::move(refusal));
    co_return nullptr;
  }
  http::Response head = std::move(upgrade->head);
  const Result<http::ByteStream*> upgraded = co_await exchange->Upgrade(std::move(head));
  if (!upgraded.ok()) co_return nullptr;
  http::ByteStream& stream = **upgraded;
  if (upgrade->carrier == Carrier::kWebSocket) {
    co_return std::make_unique<WebSocketChannels>(stream, executor, *FindChannelProtocol(upgrade->protocol));
  }
  const std::string& protocol = upgrade->protocol;
  const bool version4 = protocol == "v4.channel.k8s.io";
  std::set<Channel> wanted = {Channel::kError};
  if (options.in) wanted.insert(Channel::kStdin);
  if (options.out) wanted.insert(Channel::kStdout);
  if (options.err && !options.tty) wanted.insert(Channel::kStderr);
  if (options.tty && (version4 || protocol == "v3.channel.k8s.io")) wanted.insert(Channel::kResize);
  auto channels = std::make_unique<SpdyChannels>(stream, executor, version4);
  http::ByteStream* const raw = &stream;
  const Clock::TimerId limit = clock.After(kOpenLimit, [raw] { raw->Close(); });
  const bool opened = co_await channels->Open(std::move(wanted));
  clock.Cancel(limit);
  if (!opened) co_return nullptr;
  co_return std::move(channels);
}

Task<> RunRemoteCommand(std::shared_ptr<Channels> channels, asio::any_io_executor executor, Clock& clock,
                        RemoteProgram program) {
  const auto session = std::make_shared<Session>(std::move(channels), std::move(executor), std::move(program));
  session->Begin();
  const bool runs = session->program.run != nullptr;
  while (!session->gone && !(session->pumping == 0 && (session->end || !runs))) co_await session->changed.Wait();

  session->finishing = true;
  if (session->input) session->input->Close();
  if (session->gone) {
    for (const auto& reader : session->outputs) reader->Close();
    if (session->program.abandon && !session->end) session->program.abandon();
    session->channels->Close();
  } else {
    const Result<int> end = runs ? std::move(*session->end) : Result<int>(0);
    const RemoteOutcome outcome = OutcomeOf(end);
    const Clock::TimerId limit = clock.After(kCloseLimit, [session] { session->channels->Close(); });
    co_await session->channels->Finish(outcome.status, outcome.text);
    while (session->reading) co_await session->changed.Wait();
    clock.Cancel(limit);
  }
  // The connection is used by these until they are done.
  while (session->reading || session->pumping > 0 || (runs && !session->end)) co_await session->changed.Wait();
}

}  // namespace wherry::streams
