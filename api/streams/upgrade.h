#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/http/exchange.h"

namespace wherry::streams {

// What a client offers to turn its request into, and what we take of it.
enum class Carrier : uint8_t { kWebSocket, kSpdy };

struct Upgrade {
  Carrier carrier = Carrier::kWebSocket;
  std::string protocol;  // the subprotocol chosen; "" when a WebSocket client named none
  http::Response head;   // the 101
};

// Chooses the first of `web_socket` or `spdy` (in our order of liking) that the client offers; an empty name in
// `web_socket` stands for clients that name none. Errors are to be answered as they are: 400 when it is no upgrade, 403
// when nothing it offers is ours.
Result<Upgrade> NegotiateUpgrade(const http::Request& request, const std::vector<std::string_view>& web_socket,
                                 const std::vector<std::string_view>& spdy, http::Response* refusal);

}  // namespace wherry::streams
