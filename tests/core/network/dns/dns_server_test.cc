#include "core/network/dns/dns_server.h"

#include <sys/socket.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "core/network/socket.h"
#include "tests/core/network/dns/dns_text.h"
#include "tests/core/network/loop_thread.h"
#include "tests/core/network/sockets.h"

using namespace wherry;

namespace {

constexpr uint32_t kOwn = 0x7f0a000a;  // 127.10.0.10

// A resolver that answers every question for an A record with 192.0.2.7, over UDP, or says nothing.
class FakeResolver {
 public:
  explicit FakeResolver(bool answers) : socket_(TestSocket::BindUdp(0x7f0a000b)), port_(socket_.port()) {
    thread_ = std::thread([this, answers] {
      for (;;) {
        char buffer[1024];
        sockaddr_in from{};
        socklen_t size = sizeof from;
        const ssize_t got =
            ::recvfrom(socket_.fd(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size);
        if (got <= 1) return;
        ++asked_;
        if (!answers) continue;
        std::string reply(buffer, static_cast<size_t>(got));
        reply[2] = static_cast<char>(0x81);
        reply[3] = static_cast<char>(0x80);
        reply[7] = 1;
        reply.resize(reply.size() - (reply[11] != 0 ? 11 : 0));  // without its OPT
        reply[11] = 0;
        reply.append(std::string("\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7", 16));
        ::sendto(socket_.fd(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
      }
    });
  }
  ~FakeResolver() {
    TestSocket::ConnectUdp(0x7f0a000b, port_).Send("x");
    thread_.join();
  }
  Resolver where() const { return {0x7f0a000b, port_}; }
  int asked() const { return asked_; }

 private:
  TestSocket socket_;
  uint16_t port_;
  std::atomic<int> asked_{0};
  std::thread thread_;
};

// The responder on a thread of its own and a manual clock.
class Responder {
 public:
  explicit Responder(DnsOptions options = {}) {
    options.address = kOwn;
    options.port = TestSocket::ListenTcp(kOwn).port();
    if (options.forwarder.resolvers.empty() && options.forwarder.resolv_conf == "/etc/resolv.conf")
      options.forwarder.resolv_conf = "/nonexistent";
    server_ = std::make_unique<DnsServer>(loop_.io(), loop_.clock(), options, [](ListenReport) {});
    DnsService web;
    web.ns = "default";
    web.name = "web";
    web.address = 0x7f800102;
    server_->zone().Set("default/web", std::make_shared<DnsService>(web));
    DnsService out;
    out.ns = "default";
    out.name = "out";
    out.external_name = "example.com";
    server_->zone().Set("default/out", std::make_shared<DnsService>(out));
    out.name = "inner";
    out.external_name = "web.default.svc.cluster.local";
    server_->zone().Set("default/inner", std::make_shared<DnsService>(out));
    DnsService many;
    many.ns = "default";
    many.name = "many";
    for (uint32_t i = 0; i < 100; ++i) many.endpoints.push_back({0x7f400100 + i, "", {}});
    server_->zone().Set("default/many", std::make_shared<DnsService>(many));
    server_->Start();
    port_ = server_->port();
    loop_.Start();
  }
  ~Responder() {
    Call([this] { server_->Close(); });
    loop_.Stop();
  }
  void Call(const std::function<void()>& fn) { loop_.Call(fn); }
  void Advance(Duration duration) { loop_.Advance(duration); }
  size_t streams() {
    size_t out = 0;
    Call([&] { out = server_->streams(); });
    return out;
  }
  uint16_t port() const { return port_; }

  std::string Ask(const std::string& name, DnsType type = DnsType::kA, int udp_size = 0) const {
    const TestSocket socket = TestSocket::ConnectUdp(kOwn, port_);
    socket.Send(DnsRequest(name, type, udp_size));
    return DnsText(socket.Receive());
  }
  std::string AskStream(const std::string& name, DnsType type = DnsType::kA) const {
    const TestSocket socket = TestSocket::ConnectTcp(kOwn, port_);
    return AskStream(socket, name, type);
  }
  static std::string AskStream(const TestSocket& socket, const std::string& name, DnsType type = DnsType::kA) {
    const std::string request = DnsRequest(name, type);
    std::string framed{static_cast<char>(request.size() >> 8), static_cast<char>(request.size())};
    socket.Send(framed + request);
    std::string answer;
    size_t wanted = 2;
    while (answer.size() < wanted) {
      const std::string piece = socket.Receive(wanted - answer.size());
      if (piece.empty()) return "closed";
      answer += piece;
      if (answer.size() >= 2)
        wanted =
            2 + static_cast<size_t>(static_cast<unsigned char>(answer[0]) << 8 | static_cast<unsigned char>(answer[1]));
    }
    return DnsText(answer.substr(2));
  }

 private:
  LoopThread loop_;
  std::unique_ptr<DnsServer> server_;
  uint16_t port_ = 0;
};

}  // namespace

TEST_CASE("DNS over UDP and TCP; what does not fit is marked, and whole over TCP or with a larger datagram") {
  const Responder responder;
  CHECK(responder.Ask("web.default.svc.cluster.local") == "ok A 127.128.1.2");
  CHECK(responder.Ask("web.default.svc.cluster.local", DnsType::kA, 1232) == "ok A 127.128.1.2 + OPT");
  CHECK(responder.AskStream("web.default.svc.cluster.local") == "ok A 127.128.1.2");
  const TestSocket socket = TestSocket::ConnectTcp(kOwn, responder.port());
  for (int i = 0; i < 3; ++i)
    CHECK(Responder::AskStream(socket, "web.default.svc.cluster.local") == "ok A 127.128.1.2");

  const std::string small = responder.Ask("many.default.svc.cluster.local");
  CHECK(small.starts_with("ok truncated A 127.64.1.0"));
  CHECK(std::count(small.begin(), small.end(), 'A') == (512 - 12 - 36) / 16);
  const std::string more = responder.Ask("many.default.svc.cluster.local", DnsType::kA, 4096);
  CHECK(std::count(more.begin(), more.end(), 'A') == 100);
  CHECK(more.find("truncated") == std::string::npos);
  const std::string whole = responder.AskStream("many.default.svc.cluster.local");
  CHECK(std::count(whole.begin(), whole.end(), 'A') == 100);
}

TEST_CASE("DNS: requests that are none") {
  const Responder responder;
  const auto send = [&](std::string bytes) {
    const TestSocket socket = TestSocket::ConnectUdp(kOwn, responder.port());
    socket.Send(bytes);
    return DnsText(socket.Receive());
  };
  std::string request = DnsRequest("web.default.svc.cluster.local", DnsType::kA);
  std::string update = request;
  update[2] = static_cast<char>(update[2] | 5 << 3);
  CHECK(send(update) == "not-implemented");
  std::string two = request;
  two[5] = 2;
  CHECK(send(two) == "format");
  CHECK(send(request.substr(0, 20)) == "format");
  std::string loop = request.substr(0, 12) + "\xc0\x0c" + std::string("\0\1\0\1", 4);
  CHECK(send(loop) == "format");
  std::string version = DnsRequest("web.default.svc.cluster.local", DnsType::kA, 1232);
  version[version.size() - 5] = 1;
  CHECK(send(version) == "ok none + OPT");  // BADVERS: its high bits are in the OPT record
  // Answers and scraps are not answered; the responder goes on.
  const TestSocket socket = TestSocket::ConnectUdp(kOwn, responder.port());
  std::string answer = request;
  answer[2] = static_cast<char>(0x81);
  socket.Send(answer);
  socket.Send("x");
  socket.Send(request);
  CHECK(DnsText(socket.Receive()) == "ok A 127.128.1.2");
}

TEST_CASE("DNS: the rest of the world is the host's resolvers', or refused") {
  const Responder alone;
  CHECK(alone.Ask("example.com") == "refused");
  CHECK(alone.Ask("out.default.svc.cluster.local") == "ok CNAME example.com");
  CHECK(alone.Ask("inner.default.svc.cluster.local") == "ok CNAME web.default.svc.cluster.local A 127.128.1.2");

  const FakeResolver silent(false), good(true);
  DnsOptions options;
  options.forwarder.resolvers = {good.where()};
  const Responder one(options);
  CHECK(one.Ask("example.com") == "ok A 192.0.2.7");
  CHECK(one.Ask("out.default.svc.cluster.local") == "ok CNAME example.com A 192.0.2.7");

  // The first says nothing: after its time the next is asked.
  options.forwarder.resolvers = {silent.where(), good.where()};
  Responder both(options);
  const TestSocket socket = TestSocket::ConnectUdp(kOwn, both.port());
  socket.Send(DnsRequest("example.com", DnsType::kA));
  while (silent.asked() == 0) std::this_thread::yield();
  both.Advance(std::chrono::seconds(2));
  CHECK(DnsText(socket.Receive()) == "ok A 192.0.2.7");

  options.forwarder.resolvers = {silent.where()};
  Responder never(options);
  const TestSocket waiting = TestSocket::ConnectUdp(kOwn, never.port());
  const int before = silent.asked();
  waiting.Send(DnsRequest("example.com", DnsType::kA));
  while (silent.asked() == before) std::this_thread::yield();
  never.Advance(std::chrono::seconds(10));
  CHECK(DnsText(waiting.Receive()) == "failure");
}

TEST_CASE("DNS: silent TCP clients are let go, and there are never too many") {
  DnsOptions options;
  options.max_streams = 2;
  Responder responder(options);
  std::vector<TestSocket> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(TestSocket::ConnectTcp(kOwn, responder.port()));
    CHECK(Responder::AskStream(clients.back(), "web.default.svc.cluster.local") == "ok A 127.128.1.2");
  }
  CHECK(responder.streams() == 2);
  CHECK(TestSocket::ConnectTcp(kOwn, responder.port()).Receive().empty());
  responder.Advance(std::chrono::seconds(11));
  CHECK(clients[0].Receive().empty());
  CHECK(responder.streams() == 0);
}

TEST_CASE("resolv.conf") {
  const auto resolvers = ParseResolvConf(
      "# a comment\nsearch example.com\nnameserver 10.0.0.2\nnameserver fd00::1\nnameserver 127.10.0.10\n nameserver  "
      "10.0.0.3 # more\nnameserver nonsense\n",
      kOwn);
  REQUIRE(resolvers.size() == 2);
  CHECK(resolvers[0].address == 0x0a000002);
  CHECK(resolvers[1].address == 0x0a000003);
}
