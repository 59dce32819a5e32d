#include "api/streams/upgrade.h"

#include <catch2/catch.hpp>

#include "api/streams/port_channels.h"

namespace wherry::streams {
namespace {

const std::vector<std::string_view> kWebSocket = {"v5.channel.k8s.io", "v4.channel.k8s.io", ""};
const std::vector<std::string_view> kSpdy = {"v4.channel.k8s.io", "v3.channel.k8s.io"};

struct Outcome {
  Result<Upgrade> upgrade;
  http::Response refusal;
};

Outcome Negotiate(std::string_view method, const http::HeaderList& headers) {
  http::Request request;
  REQUIRE(request.Assign(method, "/x", headers).ok());
  http::Response refusal;
  Result<Upgrade> upgrade = NegotiateUpgrade(request, kWebSocket, kSpdy, &refusal);
  return {std::move(upgrade), std::move(refusal)};
}

std::string Field(const http::HeaderList& headers, std::string_view name) {
  for (const auto& [each, value] : headers) {
    if (each == name) return value;
  }
  return {};
}

http::HeaderList WebSocket(const http::HeaderList& more) {
  http::HeaderList all = {{"Connection", "keep-alive, Upgrade"},
                          {"Upgrade", "websocket"},
                          {"Sec-WebSocket-Version", "13"},
                          {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

TEST_CASE("our liking decides among what a WebSocket client offers") {
  const Outcome both =
      Negotiate("GET", WebSocket({{"Sec-WebSocket-Protocol", "base64.channel.k8s.io, v4.channel.k8s.io"},
                                  {"Sec-WebSocket-Protocol", "v5.channel.k8s.io"}}));
  REQUIRE(both.upgrade.ok());
  CHECK(both.upgrade->protocol == "v5.channel.k8s.io");
  CHECK(both.upgrade->head.status == 101);
  CHECK(Field(both.upgrade->head.headers, "Sec-WebSocket-Protocol") == "v5.channel.k8s.io");
  CHECK(Field(both.upgrade->head.headers, "Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

  const Outcome none = Negotiate("GET", WebSocket({}));
  REQUIRE(none.upgrade.ok());
  CHECK(none.upgrade->protocol.empty());
  CHECK(Field(none.upgrade->head.headers, "Sec-WebSocket-Protocol").empty());

  const Outcome foreign = Negotiate("GET", WebSocket({{"Sec-WebSocket-Protocol", "mqtt"}}));
  CHECK_FALSE(foreign.upgrade.ok());
  CHECK(foreign.refusal.status == 403);
  CHECK(Negotiate("POST", WebSocket({})).refusal.status == 400);
}

TEST_CASE("SPDY names the protocol it takes, or those it would") {
  const http::HeaderList offer = {{"Connection", "Upgrade"},
                                  {"Upgrade", "SPDY/3.1"},
                                  {"X-Stream-Protocol-Version", "v3.channel.k8s.io"},
                                  {"X-Stream-Protocol-Version", "v4.channel.k8s.io"}};
  const Outcome good = Negotiate("POST", offer);
  REQUIRE(good.upgrade.ok());
  CHECK(good.upgrade->carrier == Carrier::kSpdy);
  CHECK(Field(good.upgrade->head.headers, "X-Stream-Protocol-Version") == "v4.channel.k8s.io");
  const Outcome bad = Negotiate("POST", {{"Connection", "Upgrade"}, {"Upgrade", "SPDY/3.1"}});
  CHECK(bad.refusal.status == 403);
  CHECK(Field(bad.refusal.headers, "X-Accepted-Stream-Protocol-Versions") == "v4.channel.k8s.io");
}

TEST_CASE("what is no upgrade is a bad request") {
  CHECK(Negotiate("GET", {}).refusal.status == 400);
  CHECK(Negotiate("GET", {{"Connection", "Upgrade"}, {"Upgrade", "h2c"}}).refusal.status == 400);
}

TEST_CASE("the ports of a query") {
  const auto read = [](std::string_view target) {
    http::Request request;
    REQUIRE(request.Assign("GET", target).ok());
    return ReadPorts(request);
  };
  CHECK(*read("/x?ports=80&ports=8080,443") == std::vector<uint16_t>{80, 8080, 443});
  for (const char* bad : {"/x", "/x?ports=", "/x?ports=0", "/x?ports=65536", "/x?ports=http", "/x?ports=80x"}) {
    CHECK_FALSE(read(bad).ok());
  }
}

}  // namespace wherry::streams
