#include "api/http/connection.h"

#include <spdlog/spdlog.h>

#include <array>
#include <charconv>
#include <ctime>
#include <utility>

#include "api/http/exchange_impl.h"

namespace wherry::http {
namespace {

// Input passes through here on its way to the parser: no connection needs a buffer of its own for it.
constexpr size_t kReadBytes = 64 * 1024;
thread_local std::unique_ptr<char[]> read_scratch;

char* ReadScratch() {
  if (!read_scratch) read_scratch = std::make_unique_for_overwrite<char[]>(kReadBytes);
  return read_scratch.get();
}

// How much a client may send ahead while its answer streams, before we stop looking for its end.
constexpr size_t kMaxAhead = 64 * 1024;
// What is read and dropped after the last answer of a connection.
constexpr size_t kMaxLinger = 1024 * 1024;

struct StatusText {
  int code;
  std::string_view text;
};
constexpr StatusText kStatusTexts[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Request Entity Too Large"},
    {414, "Request-URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Entity"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

std::string_view TextOf(int code) {
  for (const StatusText& row : kStatusTexts) {
    if (row.code == code) return row.text;
  }
  return "Status";
}

void AppendNumber(int64_t number, std::string& out) {
  char digits[24];
  const char* end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, static_cast<size_t>(end - digits));
}

// A field value cannot end its line: what came from elsewhere must not write headers of its own.
void AppendField(std::string_view name, std::string_view value, std::string& out) {
  out.append(name).append(": ");
  const size_t from = out.size();
  out += value;
  for (size_t i = from; i < out.size(); ++i) {
    if (out[i] == '\r' || out[i] == '\n' || out[i] == '\0') out[i] = ' ';
  }
  out += "\r\n";
}

}  // namespace

std::string_view ConnectionContext::Date() {
  const int64_t second = std::chrono::floor<std::chrono::seconds>(clock.Now().time_since_epoch()).count();
  if (second == date_second_) return date_;
  date_second_ = second;
  const time_t time = static_cast<time_t>(second);
  tm parts{};
  gmtime_r(&time, &parts);
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  char text[64];
  std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[parts.tm_wday], parts.tm_mday,
                kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
  date_ = text;
  return date_;
}

Connection::Connection(std::shared_ptr<ConnectionContext> context, asio::ip::tcp::socket socket, TlsContextPtr tls)
    : context_(std::move(context)),
      transport_(std::move(socket), context_->clock, std::move(tls)),
      parser_(context_->limits) {
  asio::error_code error;
  const asio::ip::tcp::endpoint peer = transport_.socket().remote_endpoint(error);
  if (!error) {
    const std::string address = peer.address().to_string();
    peer_address_ = (peer.address().is_v6() ? "[" + address + "]" : address) + ":" + std::to_string(peer.port());
  }
}

Connection::~Connection() {
  if (exchange_) exchange_->Detach();
}

void Connection::Stop() {
  stopping_ = true;
  if (idle_) return Abort();
  if (exchange_) exchange_->NotifyClosed();
}

void Connection::Abort() {
  stopping_ = true;
  transport_.Close();
  if (exchange_) exchange_->NotifyClosed();
}

Task<> Connection::Run() {
  const std::shared_ptr<Connection> self = shared_from_this();
  try {
    co_await Serve();
  } catch (const std::exception& error) {
    spdlog::error("connection ended by an exception peer={} error=\"{}\"", peer_address_, error.what());
  }
  if (exchange_) exchange_->Detach();
  transport_.Close();
}

Task<> Connection::Serve() {
  std::string no_host;
  const Status shaken = co_await transport_.Handshake(context_->limits.handshake, std::move(no_host));
  if (!shaken.ok()) {
    spdlog::debug("handshake failed peer={} reason=\"{}\"", peer_address_, shaken.message());
    co_return;
  }
  peer_ = transport_.ReadPeer(&peer_error_);
  for (;;) {
    const Next read = co_await ReadRequest();
    if (read == Next::kEnd) co_return;
    const Next handled = co_await Handle();
    if (handled == Next::kEnd) co_return;
  }
}

Task<Connection::Next> Connection::ReadRequest() {
  using Progress = RequestParser::Progress;
  if (!exchange_ || exchange_.use_count() > 1) {
    if (exchange_) exchange_->Detach();
    exchange_ = std::make_shared<ExchangeImpl>(this);
    exchange_->request_.set_peer(peer_);
    exchange_->request_.set_peer_error(peer_error_);
    exchange_->request_.set_peer_address(peer_address_);
  }
  exchange_->Reset();
  parser_.Begin(&exchange_->request_);
  bool continued = false;
  bool head_timed = false;
  for (;;) {
    if (!unread_.empty()) {
      size_t consumed = 0;
      parser_.Feed(unread_, &consumed);
      unread_.erase(0, consumed);
      if (unread_.empty()) std::string().swap(unread_);
    } else {
      size_t got = 0;
      const Transport::Io state = transport_.TryRead(ReadScratch(), kReadBytes, &got);
      if (state == Transport::Io::kOk) {
        size_t consumed = 0;
        const std::string_view bytes(ReadScratch(), got);
        const Progress progress = parser_.Feed(bytes, &consumed);
        if (progress == Progress::kComplete) unread_ = bytes.substr(consumed);
      } else if (state != Transport::Io::kWouldBlock) {
        // Cut off in the middle there is nobody to tell, but a half-closing peer may still listen.
        if (state == Transport::Io::kEof && parser_.progress() != Progress::kIdle) {
          Response truncated = Response::Failure(400, "BadRequest", "the request is truncated");
          co_await SendResponse(std::move(truncated), false);
          co_await CloseGently();
        }
        co_return Next::kEnd;
      } else {
        const Progress progress = parser_.progress();
        if (progress == Progress::kIdle) {
          if (stopping_) co_return Next::kEnd;
          idle_ = true;
          exchange_->request_.Shrink();
          transport_.SetReadDeadline(context_->limits.keep_alive);
        } else if (progress == Progress::kHead) {
          if (!std::exchange(head_timed, true)) transport_.SetReadDeadline(context_->limits.head);
        } else {
          transport_.SetReadDeadline(context_->limits.body_idle);
        }
        const Transport::Io waited = co_await transport_.WaitReadable();
        if (waited != Transport::Io::kOk) co_return Next::kEnd;
        idle_ = false;
        continue;
      }
    }
    idle_ = false;
    switch (parser_.progress()) {
      case Progress::kComplete:
        transport_.ClearReadDeadline();
        co_return Next::kGo;
      case Progress::kRefused: {
        transport_.ClearReadDeadline();
        Response refusal = parser_.failure();
        co_await SendResponse(std::move(refusal), false);
        co_await CloseGently();
        co_return Next::kEnd;
      }
      case Progress::kBody:
        if (parser_.expects_continue() && !continued && unread_.empty()) {
          continued = true;
          std::vector<std::string_view> pieces{"HTTP/1.1 100 Continue\r\n\r\n"};
          const bool sent = co_await transport_.Write(std::move(pieces), context_->limits.write_stall);
          if (!sent) co_return Next::kEnd;
        }
        break;
      default:
        break;
    }
  }
}

Task<Connection::Next> Connection::Handle() {
  ++context_->requests;
  // Held here so that a handler that keeps its ExchangePtr makes the next request take a new one.
  const std::shared_ptr<ExchangeImpl> exchange = exchange_;
  bool failed = false;
  try {
    ExchangePtr argument = exchange;
    Task<> task = context_->handler(std::move(argument));
    co_await std::move(task);
  } catch (const std::exception& error) {
    failed = true;
    spdlog::error("handler ended by an exception method={} path={} error=\"{}\"", exchange->request_.method(),
                  exchange->request_.path(), error.what());
  }
  if (watching_) {
    watching_ = false;
    transport_.CancelNotify();
  }
  exchange->on_close_ = nullptr;
  using Mode = ExchangeImpl::Mode;
  const bool keep_alive = exchange->request_.keep_alive() && !stopping_ && !context_->stopping;
  if (exchange->mode_ == Mode::kWhole) {
    Response response;
    if (failed) {
      response = Response::Failure(500, "InternalError", "Internal error occurred: see the server's log");
    } else if (exchange->response_) {
      response = std::move(*exchange->response_);
    } else {
      spdlog::error("handler gave no answer method={} path={}", exchange->request_.method(), exchange->request_.path());
      response = Response::Failure(500, "InternalError", "Internal error occurred: no answer");
    }
    const bool sent = co_await SendResponse(std::move(response), keep_alive);
    if (!sent) co_return Next::kEnd;
    if (keep_alive) co_return Next::kGo;
    co_await CloseGently();
    co_return Next::kEnd;
  }
  // A stream. Without its end the peer can tell that it was broken off.
  if (failed || exchange->broken_ || peer_gone_ || !transport_.open()) co_return Next::kEnd;
  if (exchange->mode_ == Mode::kChunked) {
    std::vector<std::string_view> pieces{"0\r\n\r\n"};
    const bool sent = co_await transport_.Write(std::move(pieces), context_->limits.write_stall);
    if (!sent) co_return Next::kEnd;
  }
  if (keep_alive && (exchange->mode_ == Mode::kChunked || exchange->mode_ == Mode::kHeadOnly)) co_return Next::kGo;
  co_await CloseGently();
  co_return Next::kEnd;
}

void Connection::WriteHead(const Response& response, int64_t framing, bool keep_alive) {
  const Request& request = exchange_->request_;
  out_.clear();
  out_ += "HTTP/1.1 ";
  AppendNumber(response.status, out_);
  out_ += ' ';
  out_.append(TextOf(response.status)).append("\r\n");
  if (response.status != 101) out_.append("Date: ").append(context_->Date()).append("\r\n");
  if (!response.content_type.empty()) AppendField("Content-Type", response.content_type, out_);
  for (const auto& [name, value] : response.headers) AppendField(name, value, out_);
  if (framing >= 0) {
    out_ += "Content-Length: ";
    AppendNumber(framing, out_);
    out_ += "\r\n";
  } else if (framing == kChunked) {
    out_ += "Transfer-Encoding: chunked\r\n";
  }
  if (response.status != 101) {
    if (!keep_alive) {
      out_ += "Connection: close\r\n";
    } else if (request.http_minor() == 0) {
      out_ += "Connection: keep-alive\r\n";
    }
  }
  out_ += "\r\n";
}

Task<bool> Connection::SendResponse(Response response, bool keep_alive) {
  const bool bodiless = response.status == 204 || response.status == 304 || response.status < 200;
  if (bodiless) response.content_type = {};
  WriteHead(response, bodiless ? kNone : static_cast<int64_t>(response.body_size()), keep_alive);
  std::array<std::string_view, 4> few;
  std::vector<std::string_view> many;
  std::string_view* pieces = few.data();
  if (response.buffers.size() + 2 > few.size()) {
    many.resize(response.buffers.size() + 2);
    pieces = many.data();
  }
  size_t count = 0;
  pieces[count++] = out_;
  if (!bodiless && exchange_->request_.method() != "HEAD") {
    pieces[count++] = response.body;
    for (const SharedBuffer& buffer : response.buffers) pieces[count++] = buffer.data;
  }
  Gather gather{std::span<const std::string_view>(pieces, count)};
  const Transport::Io state = transport_.Send(gather);
  if (state != Transport::Io::kWouldBlock) co_return state == Transport::Io::kOk;
  const bool sent = co_await transport_.FinishSend(&gather, context_->limits.write_stall);
  co_return sent;
}

Task<> Connection::CloseGently() {
  transport_.ShutdownSend();
  transport_.SetReadDeadline(context_->limits.linger);
  size_t dropped = 0;
  while (dropped < kMaxLinger) {
    size_t got = 0;
    const Transport::Io state = transport_.TryRead(ReadScratch(), kReadBytes, &got);
    dropped += got;
    if (state == Transport::Io::kOk) continue;
    if (state != Transport::Io::kWouldBlock) break;
    const Transport::Io waited = co_await transport_.WaitReadable();
    if (waited != Transport::Io::kOk) break;
  }
}

void Connection::Watch() {
  if (watching_ || peer_gone_ || !transport_.open()) return;
  watching_ = true;
  transport_.NotifyReadable([this] { OnReadable(); });
}

void Connection::OnReadable() {
  watching_ = false;
  for (;;) {
    // A client that sends this far ahead is not looked at any more: its end shows when we write.
    if (unread_.size() > kMaxAhead) return;
    size_t got = 0;
    const Transport::Io state = transport_.TryRead(ReadScratch(), kReadBytes, &got);
    if (state == Transport::Io::kOk) {
      unread_.append(ReadScratch(), got);
    } else if (state == Transport::Io::kWouldBlock) {
      return Watch();
    } else {
      peer_gone_ = true;
      exchange_->NotifyClosed();
      return;
    }
  }
}

}  // namespace wherry::http
