#include "api/http/request_parser.h"

#include <http_parser.h>

#include <algorithm>
#include <string>

namespace wherry::http {
namespace {

// The parser may have been built to be lenient, and a blank in a name is how requests are smuggled (RFC 9112, 5.1).
bool IsToken(std::string_view name) {
  static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && kMarks.find(c) == std::string_view::npos) return false;
  }
  return !name.empty();
}

bool IsFieldValue(std::string_view value) {
  for (const char c : value) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) return false;
  }
  return true;
}

}  // namespace

// The parser's callbacks, which it hands the RequestParser in `data`. A non-zero result stops it.
struct RequestParser::Callbacks {
  static RequestParser& Self(http_parser* parser) { return *static_cast<RequestParser*>(parser->data); }

  static int OnUrl(http_parser* parser, const char* at, size_t size) {
    RequestParser& self = Self(parser);
    Request& request = *self.request_;
    if (request.target_size_ + size > self.limits_.target_bytes) {
      return self.Refuse(414, "RequestURITooLong", "the request target is too long");
    }
    request.head_.append(at, size);
    request.target_size_ += static_cast<uint32_t>(size);
    return self.Count(size);
  }

  static int OnField(http_parser* parser, const char* at, size_t size) {
    RequestParser& self = Self(parser);
    if (self.head_done_) return self.Count(size);  // trailers are read and dropped
    Request& request = *self.request_;
    if (request.spans_.empty() || self.in_value_) {
      if (request.spans_.size() >= self.limits_.header_count) {
        return self.Refuse(431, "RequestHeaderFieldsTooLarge", "too many header fields");
      }
      self.in_value_ = false;
      Request::Span span;
      span.name = static_cast<uint32_t>(request.head_.size());
      span.value = span.name;
      request.spans_.push_back(span);
    }
    request.head_.append(at, size);
    request.spans_.back().name_size += static_cast<uint32_t>(size);
    return self.Count(size);
  }

  static int OnValue(http_parser* parser, const char* at, size_t size) {
    RequestParser& self = Self(parser);
    if (self.head_done_) return self.Count(size);
    Request& request = *self.request_;
    Request::Span& span = request.spans_.back();
    if (!self.in_value_) {
      self.in_value_ = true;
      span.value = static_cast<uint32_t>(request.head_.size());
    }
    request.head_.append(at, size);
    span.value_size += static_cast<uint32_t>(size);
    return self.Count(size);
  }

  static int OnHeadersComplete(http_parser* parser) { return Self(parser).OnHeadComplete(); }

  static int OnBody(http_parser* parser, const char* at, size_t size) {
    RequestParser& self = Self(parser);
    std::string& body = self.request_->body_;
    if (body.size() + size > self.limits_.body_bytes) {
      return self.Refuse(413, "RequestEntityTooLarge",
                         "Request entity too large: limit is " + std::to_string(self.limits_.body_bytes));
    }
    body.append(at, size);
    return 0;
  }

  static int OnMessageComplete(http_parser* parser) {
    Self(parser).progress_ = Progress::kComplete;
    http_parser_pause(parser, 1);
    return 0;
  }

  static const http_parser_settings& Settings() {
    static const http_parser_settings settings = [] {
      // Its own limit is for the whole process; ours, per server, must be the one that strikes.
      http_parser_set_max_header_size(16 * 1024 * 1024);
      http_parser_settings s;
      http_parser_settings_init(&s);
      s.on_url = OnUrl;
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

RequestParser::RequestParser(const Limits& limits) : limits_(limits), parser_(std::make_unique<http_parser>()) {}
RequestParser::~RequestParser() = default;

void RequestParser::Begin(Request* request) {
  http_parser_init(parser_.get(), HTTP_REQUEST);
  parser_->data = this;
  request_ = request;
  request_->Clear();
  progress_ = Progress::kIdle;
  head_bytes_ = raw_head_bytes_ = 0;
  in_value_ = head_done_ = expects_continue_ = false;
}

int RequestParser::Refuse(int status, std::string_view reason, std::string message) {
  progress_ = Progress::kRefused;
  failure_status_ = status;
  failure_reason_ = reason;
  failure_message_ = std::move(message);
  return -1;
}

int RequestParser::Count(size_t bytes) {
  head_bytes_ += bytes;
  if (head_bytes_ <= limits_.head_bytes) return 0;
  return Refuse(431, "RequestHeaderFieldsTooLarge", "the request head is too large");
}

RequestParser::Progress RequestParser::Feed(std::string_view bytes, size_t* consumed) {
  const http_parser_settings& settings = Callbacks::Settings();
  *consumed = 0;
  // Blank lines before a request are legal and are not yet a request (RFC 9112, 2.2).
  while (progress_ == Progress::kIdle && *consumed < bytes.size()) {
    if (bytes[*consumed] != '\r' && bytes[*consumed] != '\n') {
      progress_ = Progress::kHead;
    } else {
      ++*consumed;
      if (Count(1) != 0) return progress_;
    }
  }
  bytes.remove_prefix(*consumed);
  if (bytes.empty()) return progress_;

  const size_t parsed = http_parser_execute(parser_.get(), &settings, bytes.data(), bytes.size());
  *consumed += parsed;
  if (progress_ == Progress::kComplete || progress_ == Progress::kRefused) return progress_;
  const auto error = static_cast<http_errno>(parser_->http_errno);
  if (error != HPE_OK) {
    Refuse(400, "BadRequest", std::string("malformed HTTP request: ") + http_errno_description(error));
    return progress_;
  }
  // Blanks between name and value cost nothing to hold, but must not go on for ever either.
  if (!head_done_ && (raw_head_bytes_ += bytes.size()) > 2 * limits_.head_bytes) Count(limits_.head_bytes + 1);
  return progress_;
}

int RequestParser::OnHeadComplete() {
  Request& request = *request_;
  head_done_ = true;
  progress_ = Progress::kBody;
  request.method_ = http_method_str(static_cast<http_method>(parser_->method));
  if (parser_->http_major != 1 || parser_->http_minor > 1) {
    return Refuse(505, "HTTPVersionNotSupported", "only HTTP/1.1 and HTTP/1.0 are spoken here");
  }
  request.http_minor_ = parser_->http_minor;
  if (parser_->method == HTTP_CONNECT) return Refuse(405, "MethodNotAllowed", "CONNECT is not supported");
  const Status status = request.Finish();
  if (!status.ok()) return Refuse(400, "BadRequest", status.message());

  size_t hosts = 0;
  for (const Request::Field& field : request.headers_) {
    if (!IsToken(field.name) || !IsFieldValue(field.value)) {
      return Refuse(400, "BadRequest", "malformed HTTP request: invalid character in header");
    }
    hosts += EqualsIgnoreCase(field.name, "Host") ? 1 : 0;
  }
  if (hosts > 1 || (hosts == 0 && request.http_minor_ == 1)) {
    return Refuse(400, "BadRequest", hosts > 1 ? "more than one Host header" : "missing required Host header");
  }
  request.keep_alive_ = http_should_keep_alive(parser_.get()) != 0;
  request.wants_upgrade_ = parser_->upgrade != 0;

  const bool has_length = (parser_->flags & F_CONTENTLENGTH) != 0;
  const bool has_body = (parser_->flags & F_CHUNKED) != 0 || (has_length && parser_->content_length > 0);
  if (has_length && parser_->content_length > limits_.body_bytes) {
    return Refuse(413, "RequestEntityTooLarge",
                  "Request entity too large: limit is " + std::to_string(limits_.body_bytes));
  }
  const std::string_view expect = request.header("Expect");
  if (!expect.empty()) {
    if (!EqualsIgnoreCase(expect, "100-continue")) {
      return Refuse(417, "ExpectationFailed", "the expectation cannot be met");
    }
    expects_continue_ = has_body && request.http_minor_ == 1;
  }
  if (has_length) request.body_.reserve(std::min<uint64_t>(parser_->content_length, 64 * 1024));
  return 0;
}

Response RequestParser::failure() const {
  return Response::Failure(failure_status_, failure_reason_, failure_message_);
}

}  // namespace wherry::http
