#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/status.h"

namespace wherry::http {

// Header fields in order; a name may come more than once. Names compare without regard to case.
using HeaderList = std::vector<std::pair<std::string, std::string>>;

bool EqualsIgnoreCase(std::string_view a, std::string_view b);
// True when the comma-separated list `value` holds `token` (any case), as in `Connection: keep-alive, Upgrade`.
bool HasToken(std::string_view value, std::string_view token);

// Who the client certificate says the peer is: CN and the O's of a certificate that our CA signed.
struct PeerIdentity {
  std::string user;
  std::vector<std::string> groups;
};

// One request, whole: head parsed and body read. Owned by its Exchange; every view it hands out lives as long as it
// does. The pieces of the head live in two buffers that the next request on the connection uses again.
class Request {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
  };

  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  // Fills the request from parts, as the connection does from the wire (tests, in-process callers). BadRequest when the
  // target cannot be decoded.
  Status Assign(std::string_view method, std::string_view target, const HeaderList& headers = {},
                std::string body = {});

  std::string_view method() const { return method_; }  // "GET" …
  std::string_view target() const { return target_; }  // as sent, without scheme and host
  std::string_view raw_path() const { return raw_path_; }
  std::string_view raw_query() const { return raw_query_; }  // without the '?'
  // The decoded path, "/api/v1/pods". A %2F is a plain '/' here; segments() keeps it apart.
  std::string_view path() const { return path_; }
  // The decoded pieces between slashes; a leading and a trailing slash add none, an inner empty piece is kept.
  const std::vector<std::string_view>& segments() const { return segments_; }

  // Decoded query parameters in order; "a" without '=' has the value "".
  const std::vector<Field>& query() const { return query_; }
  std::optional<std::string_view> query(std::string_view name) const;  // the first of that name

  const std::vector<Field>& headers() const { return headers_; }
  // The first value of that name, "" when absent (has_header tells).
  std::string_view header(std::string_view name) const;
  bool has_header(std::string_view name) const;
  std::vector<std::string_view> header_values(std::string_view name) const;
  // True when any header `name` holds `token` in its comma-separated list.
  bool header_has_token(std::string_view name, std::string_view token) const;

  const std::string& body() const { return body_; }
  std::string TakeBody() { return std::move(body_); }

  int http_minor() const { return http_minor_; }  // 1 for HTTP/1.1, 0 for HTTP/1.0
  bool keep_alive() const { return keep_alive_; }
  // The client asks for another protocol (`Connection: Upgrade`); the token is header("Upgrade").
  bool wants_upgrade() const { return wants_upgrade_; }

  // Null when the peer showed no valid client certificate.
  const std::shared_ptr<const PeerIdentity>& peer() const { return peer_; }
  // Why a certificate that the peer did show was not accepted; "" otherwise.
  const std::string& peer_error() const { return peer_error_; }
  const std::string& peer_address() const { return peer_address_; }  // "127.0.0.1:40212"
  void set_peer(std::shared_ptr<const PeerIdentity> peer) { peer_ = std::move(peer); }
  void set_peer_error(std::string error) { peer_error_ = std::move(error); }
  void set_peer_address(std::string address) { peer_address_ = std::move(address); }

 private:
  friend class RequestParser;
  friend class Connection;

  // A field's place in head_ while the head still grows.
  struct Span {
    uint32_t name = 0, name_size = 0, value = 0, value_size = 0;
  };

  void Clear();
  // Gives back large buffers; called when the connection goes idle.
  void Shrink();
  // Cuts target and fields out of head_ and decodes path and query.
  Status Finish();
  Status DecodeTarget();

  std::string_view method_;
  std::string head_;  // target, then names and values of the fields
  uint32_t target_size_ = 0;
  std::vector<Span> spans_;
  std::string decoded_;  // path, segments, query parameters
  std::string_view target_, raw_path_, raw_query_, path_;
  std::vector<std::string_view> segments_;
  std::vector<Field> query_;
  std::vector<Field> headers_;
  std::string body_;
  int http_minor_ = 1;
  bool keep_alive_ = true;
  bool wants_upgrade_ = false;
  std::shared_ptr<const PeerIdentity> peer_;
  std::string peer_error_;
  std::string peer_address_;
};

// Bytes that somebody keeps alive: how stored objects reach the wire without a copy of their own.
struct SharedBuffer {
  std::string_view data;
  std::shared_ptr<const void> owner;  // null: static storage

  SharedBuffer() = default;
  SharedBuffer(std::string_view bytes, std::shared_ptr<const void> keep) : data(bytes), owner(std::move(keep)) {}
  SharedBuffer(std::shared_ptr<const std::string> text)  // NOLINT(google-explicit-constructor)
      : data(*text), owner(std::move(text)) {}
  explicit SharedBuffer(std::string text) : SharedBuffer(std::make_shared<const std::string>(std::move(text))) {}
  // Text that lives for ever, such as a literal.
  static SharedBuffer Static(std::string_view text) { return SharedBuffer(text, nullptr); }
};

// A whole answer. Its body is `body` followed by `buffers`. Content-Length, Date and Connection are written by the
// connection; do not set them.
struct Response {
  int status = 200;
  std::string_view content_type = "application/json";  // REQUIRES: static storage; "" = none. Others: `headers`.
  HeaderList headers;
  std::string body;
  std::vector<SharedBuffer> buffers;

  size_t body_size() const;
  static Response Text(int status, std::string body);
  // A Kubernetes Status object as the body, for refusals that the API layer never sees.
  static Response Failure(int status, std::string_view reason, std::string_view message);
  static Response Failure(const Status& status);
};

// Percent-decodes `text` onto `out`; '+' is a space when `plus_is_space`. False on a broken escape or a NUL.
bool PercentDecode(std::string_view text, bool plus_is_space, std::string& out);
// Escapes everything but unreserved characters (RFC 3986); with `keep_slash` also '/'.
std::string PercentEncode(std::string_view text, bool keep_slash = false);

}  // namespace wherry::http
