#pragma once

#include <memory>
#include <string_view>

#include "api/http/message.h"
#include "api/http/server.h"

struct http_parser;

namespace wherry::http {

// Turns bytes of a connection into Requests, one after the other, within the limits. The established HTTP/1.1 parser
// does the grammar; this class owns what it does not: limits, the rules on Host, Expect and versions, and the assembly.
class RequestParser {
 public:
  enum class Progress {
    kIdle,      // nothing of the next request has come
    kHead,      // in the middle of a head
    kBody,      // the head is whole, the body is not
    kComplete,  // the request is whole; bytes after it are not consumed
    kRefused,   // failure() says why; the connection must close
  };

  explicit RequestParser(const Limits& limits);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // Begins the next request, which is assembled in `*request`.
  void Begin(Request* request);
  // Consumes bytes up to the end of the request. `*consumed` is how many.
  Progress Feed(std::string_view bytes, size_t* consumed);
  Progress progress() const { return progress_; }

  // The client waits for `100 Continue` before it sends the body.
  bool expects_continue() const { return expects_continue_; }
  // What to answer. REQUIRES: kRefused.
  Response failure() const;

 private:
  struct Callbacks;
  int Refuse(int status, std::string_view reason, std::string message);
  // Adds to the bytes of the head (and of trailers), refusing too many.
  int Count(size_t bytes);
  int OnHeadComplete();

  const Limits& limits_;
  std::unique_ptr<http_parser> parser_;
  Request* request_ = nullptr;
  Progress progress_ = Progress::kIdle;
  size_t head_bytes_ = 0;
  size_t raw_head_bytes_ = 0;  // with the blanks that head_bytes_ does not count
  bool in_value_ = false;
  bool head_done_ = false;
  bool expects_continue_ = false;
  int failure_status_ = 0;
  std::string_view failure_reason_;
  std::string failure_message_;
};

}  // namespace wherry::http
