#include "api/http/http_client.h"

#include <http_parser.h>

#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

#include "api/http/transport.h"

namespace wherry::http {
namespace {

using asio::ip::tcp;
constexpr auto kAwait = asio::use_awaitable_t<asio::any_io_executor>();
constexpr size_t kMaxHead = 256 * 1024;
constexpr size_t kReadBytes = 64 * 1024;

}  // namespace

std::string_view ClientResponse::header(std::string_view name) const {
  for (const auto& [field, value] : headers) {
    if (EqualsIgnoreCase(field, name)) return value;
  }
  return {};
}

// One connection to the server, and the answer being read from it.
class HttpClient::Link : public ClientStream, public std::enable_shared_from_this<Link> {
 public:
  Link(tcp::socket socket, Clock& clock, ClientOptions options)
      : options_(std::move(options)), transport_(std::move(socket), clock, options_.tls) {}

  Task<Status> Handshake() {
    const std::shared_ptr<Link> self = shared_from_this();
    std::string host = options_.host;
    Status status = co_await transport_.Handshake(options_.connect, std::move(host));
    co_return status;
  }

  // Sends the request and reads the head of the answer into head().
  Task<Status> Start(ClientRequest request);
  // Reads the rest of the answer into `body_`.
  Task<Status> ReadWhole();

  const ClientResponse& head() const override { return response_; }
  Task<Result<std::string>> ReadSome() override;
  Task<Result<std::optional<std::string>>> ReadLine() override;
  Task<Status> Write(std::vector<SharedBuffer> buffers) override;
  void Close() override { transport_.Close(); }

  ClientResponse TakeResponse() {
    response_.body = std::move(body_);
    body_ = {};
    return std::move(response_);
  }
  // The connection can carry another request.
  bool reusable() const { return complete_ && keep_alive_ && transport_.open(); }
  // False when the server has hung up meanwhile.
  bool StillThere() {
    char byte = 0;
    size_t got = 0;
    transport_.AssumeReadable();
    return transport_.TryRead(&byte, 1, &got) == Transport::Io::kWouldBlock;
  }
  // Nothing of an answer has come: the request may not have been seen.
  bool untouched() const { return !touched_; }

 private:
  struct Callbacks;
  Task<Status> Fill(Duration limit);

  const ClientOptions options_;
  Transport transport_;
  http_parser parser_{};
  ClientResponse response_;
  size_t head_bytes_ = 0;
  std::string body_;
  size_t body_read_ = 0;  // of body_, already given by ReadLine
  bool in_value_ = false;
  bool head_request_ = false;
  bool head_done_ = false;
  bool complete_ = false;
  bool keep_alive_ = false;
  bool touched_ = false;
  bool raw_ = false;  // after a 101
};

struct HttpClient::Link::Callbacks {
  static Link& Self(http_parser* parser) { return *static_cast<Link*>(parser->data); }
  static int OnField(http_parser* parser, const char* at, size_t size) {
    Link& self = Self(parser);
    if (self.head_done_) return 0;
    if (self.in_value_ || self.response_.headers.empty()) self.response_.headers.emplace_back();
    self.in_value_ = false;
    self.response_.headers.back().first.append(at, size);
    return (self.head_bytes_ += size) > kMaxHead ? -1 : 0;
  }
  static int OnValue(http_parser* parser, const char* at, size_t size) {
    Link& self = Self(parser);
    if (self.head_done_) return 0;
    self.in_value_ = true;
    self.response_.headers.back().second.append(at, size);
    return (self.head_bytes_ += size) > kMaxHead ? -1 : 0;
  }
  static int OnHeadersComplete(http_parser* parser) {
    Link& self = Self(parser);
    self.response_.status = static_cast<int>(parser->status_code);
    self.keep_alive_ = http_should_keep_alive(parser) != 0;
    if (self.response_.status >= 100 && self.response_.status < 200 && self.response_.status != 101) {
      return 0;  // an interim answer; the real one follows
    }
    self.head_done_ = true;
    return self.head_request_ ? 1 : 0;
  }
  static int OnBody(http_parser* parser, const char* at, size_t size) {
    Link& self = Self(parser);
    self.body_.append(at, size);
    return self.body_.size() - self.body_read_ > self.options_.max_body ? -1 : 0;
  }
  static int OnMessageComplete(http_parser* parser) {
    Link& self = Self(parser);
    if (!self.head_done_) {
      self.response_.headers.clear();
      self.in_value_ = false;
      return 0;
    }
    self.complete_ = true;
    http_parser_pause(parser, 1);
    return 0;
  }
  static const http_parser_settings& Settings() {
    static const http_parser_settings settings = [] {
      http_parser_settings s;
      http_parser_settings_init(&s);
      s.on_header_field = OnField;
      s.on_header_value = OnValue;
      s.on_headers_complete = OnHeadersComplete;
      s.on_body = OnBody;
      s.on_message_complete = OnMessageComplete;
      return s;
    }();
    return settings;
  }
};

// Reads once and parses what came.
Task<Status> HttpClient::Link::Fill(Duration limit) {
  thread_local std::unique_ptr<char[]> scratch = std::make_unique_for_overwrite<char[]>(kReadBytes);
  for (;;) {
    size_t got = 0;
    const Transport::Io state = transport_.TryRead(scratch.get(), kReadBytes, &got);
    if (state == Transport::Io::kWouldBlock) {
      if (limit > Duration::zero()) transport_.SetReadDeadline(limit);
      const Transport::Io waited = co_await transport_.WaitReadable();
      transport_.ClearReadDeadline();
      if (waited == Transport::Io::kOk) continue;
      co_return Status::Unavailable(transport_.timed_out() ? "the server does not answer"
                                                           : "the connection was closed");
    }
    if (state == Transport::Io::kError) co_return Status::Unavailable("the connection broke");
    if (got > 0) touched_ = true;
    if (raw_) {
      complete_ = state == Transport::Io::kEof;
      body_.append(scratch.get(), got);
      co_return Status();
    }
    // At the end of the connection an answer without a length is complete: parsing nothing says so.
    const size_t parsed = http_parser_execute(&parser_, &Callbacks::Settings(), scratch.get(), got);
    if (state == Transport::Io::kEof && !complete_) co_return Status::Unavailable("the connection was closed early");
    if (!complete_ && !parser_.upgrade && parser_.http_errno != HPE_OK) {
      transport_.Close();
      co_return Status::Unavailable(std::string("malformed answer: ") +
                                    http_errno_description(static_cast<http_errno>(parser_.http_errno)));
    }
    if (head_done_ && response_.status == 101) {
      raw_ = true;
      complete_ = false;
      body_.append(scratch.get() + parsed, got - parsed);
    }
    co_return Status();
  }
}

Task<Status> HttpClient::Link::Start(ClientRequest request) {
  const std::shared_ptr<Link> self = shared_from_this();
  http_parser_init(&parser_, HTTP_RESPONSE);
  parser_.data = this;
  response_ = {};
  body_.clear();
  body_read_ = head_bytes_ = 0;
  in_value_ = head_done_ = complete_ = keep_alive_ = touched_ = raw_ = false;
  head_request_ = request.method == "HEAD";

  std::string head = request.method + " " + request.target + " HTTP/1.1\r\nHost: ";
  head += options_.host.find(':') == std::string::npos ? options_.host : "[" + options_.host + "]";
  head += ":" + std::to_string(options_.port) + "\r\nUser-Agent: " + options_.user_agent + "\r\n";
  if (!options_.bearer_token.empty()) head += "Authorization: Bearer " + options_.bearer_token + "\r\n";
  for (const auto& [name, value] : request.headers) head += name + ": " + value + "\r\n";
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
    head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  head += "\r\n";
  std::vector<std::string_view> pieces{head, request.body};
  const bool sent = co_await transport_.Write(std::move(pieces), options_.answer);
  // A server that refuses a large body early answers and closes: its answer may still be there.
  if (!sent && !transport_.open()) co_return Status::Unavailable("the request could not be sent");
  while (!head_done_) {
    Status status = co_await Fill(options_.answer);
    if (!status.ok()) co_return status;
  }
  co_return Status();
}

Task<Status> HttpClient::Link::ReadWhole() {
  while (!complete_ && !raw_) {
    Status status = co_await Fill(options_.answer);
    if (!status.ok()) co_return status;
  }
  co_return Status();
}

Task<Result<std::string>> HttpClient::Link::ReadSome() {
  const std::shared_ptr<Link> self = shared_from_this();
  while (body_.size() == body_read_ && !complete_) {
    Status status = co_await Fill(Duration::zero());
    if (!status.ok()) co_return status;
  }
  std::string out = body_read_ == 0 ? std::move(body_) : body_.substr(body_read_);
  body_ = {};
  body_read_ = 0;
  co_return out;
}

Task<Result<std::optional<std::string>>> HttpClient::Link::ReadLine() {
  const std::shared_ptr<Link> self = shared_from_this();
  size_t searched = body_read_;
  for (;;) {
    const size_t end = body_.find('\n', searched);
    if (end != std::string::npos) {
      std::optional<std::string> line = body_.substr(body_read_, end - body_read_);
      body_read_ = end + 1;
      if (body_read_ == body_.size()) {
        body_.clear();
        body_read_ = 0;
      }
      co_return line;
    }
    if (complete_) {
      std::optional<std::string> last;
      if (body_.size() > body_read_) last = body_.substr(body_read_);
      body_.clear();
      body_read_ = 0;
      co_return last;
    }
    body_.erase(0, body_read_);
    body_read_ = 0;
    searched = body_.size();
    Status status = co_await Fill(Duration::zero());
    if (!status.ok()) co_return status;
  }
}

Task<Status> HttpClient::Link::Write(std::vector<SharedBuffer> buffers) {
  const std::shared_ptr<Link> self = shared_from_this();
  std::vector<std::string_view> pieces;
  for (const SharedBuffer& buffer : buffers) pieces.push_back(buffer.data);
  const bool sent = co_await transport_.Write(std::move(pieces), options_.answer);
  co_return sent ? Status() : Status::Unavailable("the connection was closed");
}

HttpClient::HttpClient(asio::any_io_executor executor, Clock& clock, ClientOptions options)
    : executor_(std::move(executor)), clock_(clock), options_(std::move(options)) {}

HttpClient::~HttpClient() { Close(); }

void HttpClient::Close() {
  if (kept_) kept_->Close();
  kept_.reset();
}

Task<Result<std::shared_ptr<HttpClient::Link>>> HttpClient::Connect() {
  const ClientOptions options = options_;
  Clock& clock = clock_;
  asio::error_code error;
  tcp::endpoint endpoint(asio::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, error),
                         options.port);
  const std::string where = options.host + ":" + std::to_string(options.port);
  if (error) {
    tcp::resolver resolver(executor_);
    const tcp::resolver::results_type found = co_await resolver.async_resolve(
        options.host, std::to_string(options.port), asio::redirect_error(kAwait, error));
    if (error || found.empty())
      co_return Status::Unavailable("cannot resolve " + options.host + ": " + error.message());
    endpoint = found.begin()->endpoint();
  }
  auto socket = std::make_shared<tcp::socket>(executor_);
  Deadline deadline(clock, [socket] {
    asio::error_code ignored;
    socket->close(ignored);
  });
  deadline.Set(options.connect);
  co_await socket->async_connect(endpoint, asio::redirect_error(kAwait, error));
  deadline.Clear();
  if (error) co_return Status::Unavailable("cannot connect to " + where + ": " + error.message());
  auto link = std::make_shared<Link>(std::move(*socket), clock, options);
  const Status shaken = co_await link->Handshake();
  if (!shaken.ok()) co_return Status::Unavailable("cannot connect to " + where + ": " + shaken.message());
  co_return link;
}

Task<Result<ClientResponse>> HttpClient::Do(ClientRequest request) {
  std::shared_ptr<Link> link = std::exchange(kept_, nullptr);
  bool fresh = false;
  if (link && !link->StillThere()) link.reset();
  for (;;) {
    if (!link) {
      Result<std::shared_ptr<Link>> made = co_await Connect();
      if (!made.ok()) co_return made.status();
      link = std::move(*made);
      fresh = true;
    }
    ClientRequest copy = request;
    Status status = co_await link->Start(std::move(copy));
    if (status.ok()) status = co_await link->ReadWhole();
    if (!status.ok()) {
      link->Close();
      // The kept connection may have been closed just now; what changes nothing may be asked again.
      const bool again = !fresh && link->untouched() && (request.method == "GET" || request.method == "HEAD");
      if (!again) co_return status;
      link.reset();
      continue;
    }
    if (link->reusable()) kept_ = link;
    co_return link->TakeResponse();
  }
}

Task<Result<std::shared_ptr<ClientStream>>> HttpClient::Open(ClientRequest request) {
  Result<std::shared_ptr<Link>> link = co_await Connect();
  if (!link.ok()) co_return link.status();
  Status status = co_await (*link)->Start(std::move(request));
  if (!status.ok()) co_return status;
  co_return std::shared_ptr<ClientStream>(std::move(*link));
}

}  // namespace wherry::http
