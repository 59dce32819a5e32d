#include "api/streams/upgrade.h"

#include <algorithm>

#include "api/streams/web_socket.h"

namespace wherry::streams {
namespace {

// The items of all headers of that name, which may be repeated, comma-separated or both.
std::vector<std::string> Items(const http::Request& request, std::string_view name) {
  std::vector<std::string> items;
  for (std::string_view value : request.header_values(name)) {
    while (!value.empty()) {
      const size_t comma = std::min(value.find(','), value.size());
      std::string_view item = value.substr(0, comma);
      value.remove_prefix(std::min(comma + 1, value.size()));
      while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
      while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
      if (!item.empty()) items.emplace_back(item);
    }
  }
  return items;
}

bool Has(const std::vector<std::string>& items, std::string_view item) {
  return std::find(items.begin(), items.end(), item) != items.end();
}

Status Forbidden(const std::vector<std::string>& offered) {
  std::string list;
  for (const std::string& item : offered) list += (list.empty() ? "" : " ") + item;
  return Status(Reason::kForbidden, "unable to upgrade: none of the offered protocols is supported: [" + list + "]");
}

}  // namespace

Result<Upgrade> NegotiateUpgrade(const http::Request& request, const std::vector<std::string_view>& web_socket,
                                 const std::vector<std::string_view>& spdy, http::Response* refusal) {
  Upgrade upgrade;
  upgrade.head.status = 101;
  const auto refuse = [&](const Status& status) {
    *refusal = http::Response::Failure(status);
    return status;
  };
  if (!request.header_has_token("Connection", "Upgrade")) {
    return refuse(Status::BadRequest("unable to upgrade: missing upgrade headers in request: Connection: Upgrade"));
  }
  if (request.header_has_token("Upgrade", "websocket")) {
    const std::string_view key = request.header("Sec-WebSocket-Key");
    if (request.method() != "GET" || key.empty() || request.header("Sec-WebSocket-Version") != "13") {
      return refuse(Status::BadRequest("unable to upgrade: a WebSocket begins with GET, a key and version 13"));
    }
    const std::vector<std::string> offered = Items(request, "Sec-WebSocket-Protocol");
    bool found = false;
    for (const std::string_view protocol : web_socket) {
      if (protocol.empty() ? !offered.empty() : !Has(offered, protocol)) continue;
      upgrade.protocol = protocol;
      found = true;
      break;
    }
    if (!found) return refuse(Forbidden(offered));
    upgrade.head.headers = {
        {"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-WebSocket-Accept", WebSocketAccept(key)}};
    if (!upgrade.protocol.empty()) upgrade.head.headers.emplace_back("Sec-WebSocket-Protocol", upgrade.protocol);
    return upgrade;
  }
  if (request.header_has_token("Upgrade", "SPDY/3.1")) {
    upgrade.carrier = Carrier::kSpdy;
    const std::vector<std::string> offered = Items(request, "X-Stream-Protocol-Version");
    for (const std::string_view protocol : spdy) {
      if (!Has(offered, protocol)) continue;
      upgrade.protocol = protocol;
      upgrade.head.headers = {
          {"Upgrade", "SPDY/3.1"}, {"Connection", "Upgrade"}, {"X-Stream-Protocol-Version", upgrade.protocol}};
      return upgrade;
    }
    const Status status = refuse(Forbidden(offered));
    for (const std::string_view protocol : spdy) {
      refusal->headers.emplace_back("X-Accepted-Stream-Protocol-Versions", protocol);
    }
    return status;
  }
  return refuse(Status::BadRequest("unable to upgrade: unknown protocol \"" + std::string(request.header("Upgrade")) +
                                   "\": WebSocket and SPDY/3.1 are spoken here"));
}

}  // namespace wherry::streams
