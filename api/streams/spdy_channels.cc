#include "api/streams/spdy_channels.h"

#include <utility>

namespace wherry::streams {
namespace {

struct Name {
  std::string_view name;
  Channel channel;
};
constexpr Name kNames[] = {{"error", Channel::kError},
                           {"stdin", Channel::kStdin},
                           {"stdout", Channel::kStdout},
                           {"stderr", Channel::kStderr},
                           {"resize", Channel::kResize}};
constexpr size_t kMaxEarly = 64;
constexpr size_t kMaxResize = 4096;

}  // namespace

Task<bool> SpdyChannels::Open(std::set<Channel> wanted) {
  while (!wanted.empty()) {
    SpdySession::Event event = co_await session_.Next();
    if (event.kind == SpdySession::Event::Kind::kGone) co_return false;
    if (event.kind != SpdySession::Event::Kind::kOpened) {
      std::optional<Input> input = Take(std::move(event));
      if (input) early_.push_back(std::move(*input));
      if (early_.size() > kMaxEarly) co_return false;
      continue;
    }
    const std::string type = SpdyHeader(event.headers, "streamtype");
    bool known = false;
    for (const Name& row : kNames) {
      if (row.name != type || wanted.erase(row.channel) == 0) continue;
      known = true;
      StreamOf(row.channel) = event.stream;
    }
    if (!known) co_return false;
  }
  co_return true;
}

Task<Channels::Input> SpdyChannels::Next() {
  for (;;) {
    if (!early_.empty()) {
      Input input = std::move(early_.front());
      early_.pop_front();
      co_return input;
    }
    SpdySession::Event event = co_await session_.Next();
    if (event.kind == SpdySession::Event::Kind::kGone) co_return Input{};
    if (event.kind == SpdySession::Event::Kind::kOpened) {
      const Status sent = co_await session_.Reset(event.stream, SpdyReset::kRefusedStream);
      if (!sent.ok()) co_return Input{};
      continue;
    }
    std::optional<Input> input = Take(std::move(event));
    if (input) co_return std::move(*input);
  }
}

std::optional<Channels::Input> SpdyChannels::Take(SpdySession::Event event) {
  Input input;
  if (event.stream == StreamOf(Channel::kStdin)) {
    const bool end = event.fin || event.kind == SpdySession::Event::Kind::kReset;
    if (!event.data.empty() && end) {
      Input rest;
      rest.kind = Input::Kind::kStdinEnd;
      early_.push_back(std::move(rest));
    }
    if (event.data.empty() && !end) return std::nullopt;
    input.kind = event.data.empty() ? Input::Kind::kStdinEnd : Input::Kind::kStdin;
    input.data = std::move(event.data);
    return input;
  }
  if (event.stream == StreamOf(Channel::kResize)) {
    resize_ += event.data;
    if (resize_.size() > kMaxResize) resize_.clear();
    // One object after the other, each ended by a newline; only the last counts.
    const size_t end = resize_.find_last_of('}');
    if (end == std::string::npos) return std::nullopt;
    const size_t begin = resize_.rfind('{', end);
    const std::string message = begin == std::string::npos ? "" : resize_.substr(begin, end + 1 - begin);
    resize_.erase(0, end + 1);
    input.kind = Input::Kind::kResize;
    if (ParseResize(message, &input.width, &input.height)) return input;
  }
  return std::nullopt;
}

Task<Status> SpdyChannels::Write(Channel channel, std::string data) {
  const uint32_t stream = StreamOf(channel);
  if (stream == 0) co_return Status();  // nobody asked for it
  Status status = co_await session_.Write(stream, std::move(data), false);
  co_return status;
}

Task<> SpdyChannels::Finish(std::string status, std::string text) {
  std::string outcome = json_status_ ? std::move(status) : std::move(text);
  for (const Channel channel : {Channel::kStdout, Channel::kStderr, Channel::kError}) {
    const uint32_t stream = StreamOf(channel);
    if (stream == 0) continue;
    std::string last = channel == Channel::kError ? std::move(outcome) : std::string();
    const Status sent = co_await session_.Write(stream, std::move(last), true);
    if (!sent.ok()) co_return;
  }
}

}  // namespace wherry::streams
