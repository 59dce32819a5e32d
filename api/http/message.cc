#include "api/http/message.h"

#include <array>
#include <cstdio>

namespace wherry::http {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = Lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

void AppendJsonString(std::string_view text, std::string& out) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      default:
        // Bytes from the wire may not be UTF-8: anything unusual is shown as a question mark.
        out += static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f ? '?' : c;
    }
  }
  out += '"';
}

constexpr size_t kKeptBytes = 16 * 1024;

}  // namespace

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

bool HasToken(std::string_view value, std::string_view token) {
  while (!value.empty()) {
    const size_t comma = value.find(',');
    if (EqualsIgnoreCase(Trim(value.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) break;
    value.remove_prefix(comma + 1);
  }
  return false;
}

bool PercentDecode(std::string_view text, bool plus_is_space, std::string& out) {
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3) return false;
      const int high = HexValue(text[i + 1]);
      const int low = HexValue(text[i + 2]);
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (c == '\0') return false;
    out += c;
  }
  return true;
}

std::string PercentEncode(std::string_view text, bool keep_slash) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                            c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash);
    if (unreserved) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

void Request::Clear() {
  method_ = {};
  head_.clear();
  target_size_ = 0;
  spans_.clear();
  decoded_.clear();
  target_ = raw_path_ = raw_query_ = path_ = {};
  segments_.clear();
  query_.clear();
  headers_.clear();
  body_.clear();
  http_minor_ = 1;
  keep_alive_ = true;
  wants_upgrade_ = false;
}

void Request::Shrink() {
  if (head_.capacity() > kKeptBytes) std::string().swap(head_);
  if (decoded_.capacity() > kKeptBytes) std::string().swap(decoded_);
  if (body_.capacity() > kKeptBytes) std::string().swap(body_);
}

Status Request::Assign(std::string_view method, std::string_view target, const HeaderList& headers, std::string body) {
  Clear();
  head_ = method;
  const size_t method_size = method.size();
  head_ += target;
  target_size_ = static_cast<uint32_t>(target.size());
  for (const auto& [name, value] : headers) {
    Span span;
    span.name = static_cast<uint32_t>(head_.size() - method_size);
    span.name_size = static_cast<uint32_t>(name.size());
    head_ += name;
    span.value = static_cast<uint32_t>(head_.size() - method_size);
    span.value_size = static_cast<uint32_t>(value.size());
    head_ += value;
    spans_.push_back(span);
  }
  // The wire's methods are static strings; these bytes are kept at the end of the buffer instead.
  head_.erase(0, method_size);
  head_ += method;
  method_ = std::string_view(head_).substr(head_.size() - method_size);
  body_ = std::move(body);
  return Finish();
}

Status Request::Finish() {
  const std::string_view head(head_);
  headers_.reserve(spans_.size());
  for (const Span& span : spans_) {
    // The parser leaves blanks that come before the end of the line.
    headers_.push_back({head.substr(span.name, span.name_size), Trim(head.substr(span.value, span.value_size))});
  }
  target_ = head.substr(0, target_size_);
  return DecodeTarget();
}

Status Request::DecodeTarget() {
  if (!target_.empty() && target_.front() != '/' && target_ != "*") {
    const size_t scheme = target_.find("://");
    if (scheme == std::string_view::npos) return Status::BadRequest("invalid request target");
    const size_t path = target_.find_first_of("/?", scheme + 3);
    if (path == std::string_view::npos) {
      target_ = "/";
    } else {
      target_.remove_prefix(path);
    }
  }
  if (target_.empty()) return Status::BadRequest("invalid request target");
  if (target_.find('#') != std::string_view::npos) return Status::BadRequest("invalid request target: has a fragment");
  const size_t mark = target_.find('?');
  raw_path_ = target_.substr(0, mark);
  if (mark != std::string_view::npos) raw_query_ = target_.substr(mark + 1);
  if (raw_path_.empty()) raw_path_ = "/";  // an absolute form without a path

  // Decoding never lengthens, so this is all the room it takes and views into decoded_ stay valid.
  decoded_.reserve(2 * raw_path_.size() + raw_query_.size());
  if (!PercentDecode(raw_path_, false, decoded_)) return Status::BadRequest("invalid URL escape in the path");
  path_ = decoded_;
  std::string_view rest = raw_path_;
  if (rest.front() == '/') rest.remove_prefix(1);
  if (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
  while (!rest.empty()) {
    const size_t slash = rest.find('/');
    const std::string_view piece = rest.substr(0, slash);
    if (piece.find('%') == std::string_view::npos) {
      segments_.push_back(piece);
    } else {
      const size_t from = decoded_.size();
      PercentDecode(piece, false, decoded_);
      segments_.push_back(std::string_view(decoded_).substr(from));
    }
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
    if (rest.empty()) segments_.push_back({});
  }

  std::string_view query = raw_query_;
  while (!query.empty()) {
    const size_t amp = query.find('&');
    const std::string_view pair = query.substr(0, amp);
    if (!pair.empty()) {
      const size_t equals = pair.find('=');
      const size_t name_at = decoded_.size();
      if (!PercentDecode(pair.substr(0, equals), true, decoded_)) {
        return Status::BadRequest("invalid URL escape in the query");
      }
      const size_t value_at = decoded_.size();
      if (equals != std::string_view::npos && !PercentDecode(pair.substr(equals + 1), true, decoded_)) {
        return Status::BadRequest("invalid URL escape in the query");
      }
      const std::string_view all(decoded_);
      query_.push_back({all.substr(name_at, value_at - name_at), all.substr(value_at)});
    }
    if (amp == std::string_view::npos) break;
    query.remove_prefix(amp + 1);
  }
  return Status();
}

std::optional<std::string_view> Request::query(std::string_view name) const {
  for (const Field& field : query_) {
    if (field.name == name) return field.value;
  }
  return std::nullopt;
}

std::string_view Request::header(std::string_view name) const {
  for (const Field& field : headers_) {
    if (EqualsIgnoreCase(field.name, name)) return field.value;
  }
  return {};
}

bool Request::has_header(std::string_view name) const {
  for (const Field& field : headers_) {
    if (EqualsIgnoreCase(field.name, name)) return true;
  }
  return false;
}

std::vector<std::string_view> Request::header_values(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const Field& field : headers_) {
    if (EqualsIgnoreCase(field.name, name)) values.push_back(field.value);
  }
  return values;
}

bool Request::header_has_token(std::string_view name, std::string_view token) const {
  for (const Field& field : headers_) {
    if (EqualsIgnoreCase(field.name, name) && HasToken(field.value, token)) return true;
  }
  return false;
}

size_t Response::body_size() const {
  size_t size = body.size();
  for (const SharedBuffer& buffer : buffers) size += buffer.data.size();
  return size;
}

Response Response::Text(int status, std::string body) {
  Response response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(body);
  return response;
}

Response Response::Failure(int status, std::string_view reason, std::string_view message) {
  Response response;
  response.status = status;
  response.body = R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":)";
  AppendJsonString(message, response.body);
  response.body += ",\"reason\":";
  AppendJsonString(reason, response.body);
  response.body += ",\"code\":" + std::to_string(status) + "}\n";
  return response;
}

Response Response::Failure(const Status& status) {
  return Failure(status.http_code(), status.reason_string(), status.message());
}

}  // namespace wherry::http
