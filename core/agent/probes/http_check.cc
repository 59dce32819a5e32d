#include <algorithm>
#include <asio/error.hpp>
#include <cctype>
#include <charconv>
#include <optional>

#include "core/agent/probes/network_checks.h"

namespace wherry {
namespace {

constexpr size_t kMaxHead = 64 << 10;
constexpr size_t kMaxBody = 10 << 10;  // as upstream
constexpr int kMaxRedirects = 10;

bool SameText(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// What is looked at of an answer. It comes in pieces; Take is called with all that has come so far.
struct Answer {
  int code = 0;
  std::string location;
  std::optional<size_t> length;
  bool chunked = false;
  size_t head_end = 0;  // where the body begins; 0 = the head is not complete

  // False when this is no HTTP.
  bool ReadHead(const std::string& text, size_t from) {
    const size_t end = text.find("\r\n\r\n", from);
    if (end == std::string::npos) return text.size() - from < kMaxHead;
    const std::string_view head = std::string_view(text).substr(from, end + 2 - from);
    if (!head.starts_with("HTTP/1.") || head.size() < 14) return false;
    if (std::from_chars(head.data() + 9, head.data() + 12, code).ec != std::errc()) return false;
    if (code / 100 == 1) return ReadHead(text, end + 4);  // "100 Continue": the answer follows
    head_end = end + 4;
    for (size_t at = head.find("\r\n") + 2; at < head.size();) {
      const size_t stop = head.find("\r\n", at);
      const std::string_view line = head.substr(at, stop - at);
      at = stop + 2;
      const size_t colon = line.find(':');
      if (colon == std::string_view::npos) continue;
      std::string_view value = line.substr(colon + 1);
      while (value.starts_with(' ')) value.remove_prefix(1);
      const std::string_view name = line.substr(0, colon);
      if (SameText(name, "location")) location = value;
      if (SameText(name, "transfer-encoding")) chunked = SameText(value, "chunked");
      if (size_t size = 0; SameText(name, "content-length") &&
                           std::from_chars(value.data(), value.data() + value.size(), size).ec == std::errc()) {
        length = size;
      }
    }
    return true;
  }

  bool Complete(const std::string& text) const {
    if (head_end == 0) return false;
    const size_t got = text.size() - head_end;
    if (got >= kMaxBody || code == 204 || code == 304 || (length && got >= *length)) return true;
    return chunked && text.ends_with("0\r\n\r\n");
  }
};

struct Url {
  bool https = false;
  std::string host;
  int port = 0;
  std::string path = "/";
};

// A Location, absolute or relative to `base`.
Url Follow(const Url& base, std::string location) {
  Url out = base;
  if (const size_t mark = location.find("://"); mark != std::string::npos && mark < location.find('/')) {
    out.https = location.starts_with("https");
    location.erase(0, mark + 3);
    const size_t slash = std::min(location.find_first_of("/?#"), location.size());
    const std::string authority = location.substr(0, slash);
    const size_t colon = authority.rfind(':');
    out.host = authority.substr(0, colon);
    out.port = out.https ? 443 : 80;
    if (colon != std::string::npos) out.port = std::atoi(authority.c_str() + colon + 1);
    location.erase(0, slash);
    if (!location.starts_with('/')) location.insert(0, "/");
  }
  if (location.starts_with('/')) {
    out.path = location;
  } else {
    out.path = base.path.substr(0, base.path.find('?'));
    out.path = out.path.substr(0, out.path.rfind('/') + 1) + location;
  }
  out.path = out.path.substr(0, out.path.find('#'));
  return out;
}

std::string Request(const Url& url, const Action& action) {
  std::string host = url.host + ":" + std::to_string(url.port), agent = action.user_agent, accept = "*/*", more;
  for (const auto& [name, value] : action.headers) {
    if (SameText(name, "host")) {
      host = value;
    } else if (SameText(name, "user-agent")) {
      agent = value;
    } else if (SameText(name, "accept")) {
      accept = value;
    } else {
      more += name + ": " + value + "\r\n";
    }
  }
  std::string out = "GET " + url.path + " HTTP/1.1\r\nHost: " + host + "\r\n";
  if (!agent.empty()) out += "User-Agent: " + agent + "\r\n";
  if (!accept.empty()) out += "Accept: " + accept + "\r\n";
  return out + more + "Connection: close\r\n\r\n";
}

struct Exchange {
  Answer answer;
  std::string body;
  std::string failure;  // "" = there is an answer
};

Task<Exchange> Get(asio::any_io_executor executor, Clock& clock, Url url, std::string request, CheckTarget target,
                   Duration timeout) {
  Exchange out;
  const std::string address = url.host + ":" + std::to_string(url.port);
  const std::string what = std::string("Get \"") + (url.https ? "https://" : "http://") + address + url.path + "\": ";
  constexpr const char* kLate = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
  ProbeSocket socket(executor, clock, timeout);
  std::error_code error = co_await socket.Connect(target, url.port);
  if (error) {
    out.failure = what + (socket.timed_out() ? kLate : "dial tcp " + address + ": connect: " + GoError(error));
    socket.Close();
    co_return out;
  }
  if (url.https) {
    error = co_await socket.StartTls(url.host);
    if (error) out.failure = what + (socket.timed_out() ? kLate : "tls: " + GoError(error));
  }
  if (!error) {
    error = co_await socket.Write(std::move(request));
    if (error) out.failure = what + (socket.timed_out() ? kLate : "write: " + GoError(error));
  }
  std::string text;
  while (!error && !out.answer.Complete(text)) {
    error = co_await socket.ReadSome(&text);
    if (out.answer.head_end == 0 && !out.answer.ReadHead(text, 0)) {
      out.failure = what + "net/http: HTTP/1.x transport connection broken: malformed HTTP response";
      break;
    }
  }
  if (out.failure.empty() && out.answer.head_end == 0) {
    out.failure = what + (socket.timed_out() ? kLate : error == asio::error::eof ? "EOF" : "read: " + GoError(error));
  } else if (out.failure.empty() && socket.timed_out()) {
    out.failure = "context deadline exceeded (Client.Timeout or context cancellation while reading body)";
  }
  socket.Close();
  if (out.failure.empty()) out.body = text.substr(out.answer.head_end, kMaxBody);
  co_return out;
}

}  // namespace

Task<CheckResult> CheckHttp(asio::any_io_executor executor, Clock& clock, Action action, CheckTarget target,
                            Duration timeout) {
  const Duration deadline = clock.Monotonic() + timeout;
  Url url{action.https, target.address, action.port, action.path};
  for (int hops = 0;; ++hops) {
    const Duration left = std::max(deadline - clock.Monotonic(), Duration(1));
    std::string request = Request(url, action);
    const Exchange exchange = co_await Get(executor, clock, url, std::move(request), target, left);
    CheckResult result;
    if (!exchange.failure.empty()) {
      result = CheckFailed(exchange.failure);
      co_return result;
    }
    const int code = exchange.answer.code;
    if (action.any_status) co_return result;
    if (code < 200 || code >= 400) {
      result = CheckFailed("HTTP probe failed with statuscode: " + std::to_string(code));
      co_return result;
    }
    if (code < 300 || code == 304 || exchange.answer.location.empty()) co_return result;
    const Url next = Follow(url, exchange.answer.location);
    if (next.host != url.host) {
      result.outcome = CheckResult::Outcome::kWarning;
      result.output = "Probe terminated redirects, Response body: " + exchange.body;
      co_return result;
    }
    if (hops == kMaxRedirects) {
      result = CheckFailed("Get \"" + next.path + "\": stopped after 10 redirects");
      co_return result;
    }
    url = next;
  }
}

}  // namespace wherry
