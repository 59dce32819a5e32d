#include "core/network/proxy.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <random>

#include "core/network/socket.h"
#include "tests/core/network/proxy_fixture.h"
#include "tests/core/network/sockets.h"

using namespace wherry;
using std::chrono::seconds;

namespace {

constexpr uint32_t kFront = 0x7f0a0064;  // 127.10.0.100

// A port that was free a moment ago.
uint16_t FreePort(uint32_t address = kFront) { return TestSocket::ListenTcp(address).port(); }

PortRule Rule(uint16_t port, std::vector<Backend> backends, bool udp = false) {
  PortRule rule;
  rule.udp = udp;
  rule.listens.push_back({kFront, port, "", false});
  rule.backends = std::move(backends);
  return rule;
}

Backend Ready(uint16_t port, uint32_t address = kTestAddress) { return {address, port, "", true, true}; }
Backend Going(uint16_t port) { return {kTestAddress, port, "", false, true}; }

// Answers every line with its own name, until the client ends.
std::function<void(TestSocket&)> Named(std::string name) {
  return [name](TestSocket& client) {
    while (!client.Receive().empty()) client.Send(name);
  };
}

std::string Ask(uint16_t port) {
  const TestSocket client = TestSocket::ConnectTcp(kFront, port);
  client.Send("?");
  return client.Receive();
}

// One after another: the operands of + would come in any order.
std::string Asks(uint16_t port, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += Ask(port);
  return out;
}

std::string Noise(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string out(size, '\0');
  for (size_t i = 0; i + 8 <= size; i += 8) {
    const uint64_t value = random();
    memcpy(out.data() + i, &value, 8);
  }
  return out;
}

// Waits for what happens on other threads, without a fixed time.
bool Eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 20000; ++i) {
    if (holds()) return true;
    ::poll(nullptr, 0, 1);
  }
  return false;
}

}  // namespace

TEST_CASE("Connections take turns among ready backends and skip one that refuses") {
  ProxyThreadFixture fixture;
  TestServer a(kTestAddress, Named("a")), b(kTestAddress, Named("b"));
  const uint16_t nobody = FreePort(kTestAddress), port = FreePort();
  fixture.Set(Rule(port, {Ready(a.port()), Ready(b.port())}));
  CHECK(Asks(port, 4) == "abab");
  fixture.Set(Rule(port, {Ready(nobody), Ready(b.port())}));
  CHECK(Asks(port, 3) == "bbb");
}

TEST_CASE("Nobody to serve: refused, as by a port that is closed; served again when somebody comes") {
  ProxyThreadFixture fixture;
  TestServer a(kTestAddress, Named("a"));
  const uint16_t port = FreePort();
  int error = 0;
  fixture.Set(Rule(port, {}));
  TestSocket::ConnectTcp(kFront, port, &error);
  CHECK(error == ECONNREFUSED);
  for (int i = 0; i < 3; ++i) {
    fixture.Set(Rule(port, {Ready(a.port())}));
    CHECK(Ask(port) == "a");
    fixture.Set(Rule(port, {}));
    TestSocket::ConnectTcp(kFront, port, &error);
    CHECK(error == ECONNREFUSED);
  }
  // All refuse, and none has only just begun: the client is reset.
  fixture.Set(Rule(port, {Ready(FreePort(kTestAddress))}));
  fixture.Advance(seconds(2));
  CHECK(TestSocket::ConnectTcp(kFront, port).Receive() == "reset");
  fixture.Remove();
  TestSocket::ConnectTcp(kFront, port, &error);
  CHECK(error == ECONNREFUSED);
  CHECK(fixture.reports().empty());
}

TEST_CASE("A client waits a moment for a backend that runs but does not listen yet") {
  ProxyThreadFixture fixture;
  const uint16_t behind = FreePort(kTestAddress), port = FreePort();
  fixture.Set(Rule(port, {Ready(behind)}));
  const TestSocket client = TestSocket::ConnectTcp(kFront, port);
  client.Send("?");
  REQUIRE(Eventually([&] { return fixture.connections() == 1; }));
  fixture.Advance(seconds(1));
  CHECK(fixture.connections() == 1);
  {
    TestServer late(kTestAddress, Named("late"), behind);
    fixture.Advance(std::chrono::milliseconds(100));
    CHECK(client.Receive() == "late");
  }
  // It never listens: the wait ends.
  fixture.Set(Rule(port, {Ready(FreePort(kTestAddress))}));
  const TestSocket lost = TestSocket::ConnectTcp(kFront, port);
  REQUIRE(Eventually([&] { return fixture.connections() >= 1; }));
  fixture.Advance(seconds(3));
  CHECK(lost.Receive() == "reset");
  // It is taken out of the Service while somebody waits for it: another serves.
  TestServer other(kTestAddress, Named("other"));
  fixture.Set(Rule(port, {Ready(behind)}));
  const TestSocket moved = TestSocket::ConnectTcp(kFront, port);
  moved.Send("?");
  REQUIRE(Eventually([&] { return fixture.connections() >= 1; }));
  fixture.Set(Rule(port, {Ready(other.port())}));
  fixture.Advance(std::chrono::milliseconds(100));
  CHECK(moved.Receive() == "other");
}

TEST_CASE("Much goes through whole, both ways at once, and ends are passed on by halves") {
  const std::string up = Noise(24 << 20, 1), down = Noise(16 << 20, 2);
  std::string seen;
  std::promise<void> all_seen;
  TestServer server(kTestAddress, [&](TestSocket& client) {
    std::thread sends([&] {
      client.Send(down);
      client.EndSending();
    });
    seen = client.ReceiveAll();
    sends.join();
    all_seen.set_value();
  });
  ProxyThreadFixture fixture;
  const uint16_t port = FreePort();
  fixture.Set(Rule(port, {Ready(server.port())}));
  {
    const TestSocket client = TestSocket::ConnectTcp(kFront, port);
    std::string got;
    std::thread reads([&] { got = client.ReceiveAll(); });
    client.Send(up);
    client.EndSending();
    reads.join();
    CHECK((got == down));
  }
  CHECK(Eventually([&] { return fixture.connections() == 0; }));
  all_seen.get_future().wait();
  CHECK((seen == up));
}

TEST_CASE("A client that has said everything still hears the answer, and the other way round") {
  ProxyThreadFixture fixture;
  // Answers only when the client has ended.
  TestServer after(kTestAddress, [](TestSocket& client) {
    const std::string all = client.ReceiveAll();
    client.Send("got " + all);
  });
  // Ends first, and listens on.
  TestServer before(kTestAddress, [](TestSocket& client) {
    client.Send("bye");
    client.EndSending();
    const std::string all = client.ReceiveAll();
    if (all == "late") client.Reset();
  });
  const uint16_t port = FreePort();
  fixture.Set(Rule(port, {Ready(after.port())}));
  TestSocket client = TestSocket::ConnectTcp(kFront, port);
  client.Send("abc");
  client.EndSending();
  CHECK(client.ReceiveAll() == "got abc");

  fixture.Set(Rule(port, {Ready(before.port())}));
  client = TestSocket::ConnectTcp(kFront, port);
  CHECK(client.ReceiveAll() == "bye");
  client.Send("late");
  client.EndSending();
  CHECK(Eventually([&] { return fixture.connections() == 0; }));
}

TEST_CASE("A reset is passed on as a reset, either way") {
  ProxyThreadFixture fixture;
  std::promise<std::string> heard;
  TestServer resets(kTestAddress, [](TestSocket& client) {
    client.Receive();
    client.Reset();
  });
  TestServer listens(kTestAddress, [&](TestSocket& client) {
    client.Send("x");
    heard.set_value(client.ReceiveAll());
  });
  const uint16_t port = FreePort();
  fixture.Set(Rule(port, {Ready(resets.port())}));
  CHECK(Ask(port) == "reset");
  fixture.Set(Rule(port, {Ready(listens.port())}));
  TestSocket client = TestSocket::ConnectTcp(kFront, port);
  CHECK(client.Receive() == "x");
  client.Reset();
  CHECK(heard.get_future().get() == "reset");
  CHECK(Eventually([&] { return fixture.connections() == 0; }));
}

TEST_CASE("A slow reader slows the sender, and nothing piles up in between") {
  ProxyThreadFixture fixture;
  std::promise<void> go;
  auto wait = go.get_future().share();
  std::atomic<size_t> total{0};
  TestServer slow(kTestAddress, [&](TestSocket& client) {
    wait.wait();
    for (std::string piece; !(piece = client.Receive(1 << 20)).empty();) total += piece.size();
  });
  const uint16_t port = FreePort();
  fixture.Set(Rule(port, {Ready(slow.port())}));
  TestSocket client = TestSocket::ConnectTcp(kFront, port);
  const std::string block(1 << 20, 'x');
  size_t sent = 0;
  // Until nothing moved for a while: the kernel's buffers on both sides and one pipe are full.
  ::fcntl(client.fd(), F_SETFL, O_NONBLOCK);
  for (pollfd wants{client.fd(), POLLOUT, 0}; ::poll(&wants, 1, 200) == 1;) {
    const ssize_t n = ::send(client.fd(), block.data(), block.size(), MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<size_t>(n);
    REQUIRE(sent < 256u << 20);
  }
  CHECK(sent > 0);
  go.set_value();
  client.Close();
  CHECK(Eventually([&] { return fixture.connections() == 0; }));
  CHECK(Eventually([&] { return total == sent; }));
}

TEST_CASE("A backend on its way out keeps its connections and gets no new ones, unless it is the last") {
  ProxyThreadFixture fixture;
  TestServer a(kTestAddress, Named("a")), b(kTestAddress, Named("b"));
  const uint16_t port = FreePort();
  fixture.Set(Rule(port, {Ready(a.port())}));
  const TestSocket old = TestSocket::ConnectTcp(kFront, port);
  old.Send("?");
  CHECK(old.Receive() == "a");
  fixture.Set(Rule(port, {Going(a.port()), Ready(b.port())}));
  CHECK(Asks(port, 2) == "bb");
  old.Send("?");
  CHECK(old.Receive() == "a");
  fixture.Set(Rule(port, {Going(a.port())}));
  CHECK(Ask(port) == "a");
  // Even the Service's own end leaves it alone.
  fixture.Remove();
  old.Send("?");
  CHECK(old.Receive() == "a");
}

TEST_CASE("What a backend on its way out never took in goes to another") {
  ProxyThreadFixture fixture;
  TestServer b(kTestAddress, [](TestSocket& client) { client.Send("b:" + client.ReceiveAll()); });
  TestSocket deaf = TestSocket::ListenTcp(kTestAddress);  // connects, and never accepts
  const uint16_t port = FreePort();
  const auto connect = [&] {
    fixture.Set(Rule(port, {Ready(deaf.port())}));
    TestSocket client = TestSocket::ConnectTcp(kFront, port);
    client.Send("hello");
    CHECK(Eventually([&] { return fixture.connections() == 1; }));
    return client;
  };
  SECTION("with all that was said, and what is said later") {
    const TestSocket client = connect();
    fixture.Set(Rule(port, {Going(deaf.port()), Ready(b.port())}));
    deaf.Close();
    client.Send(" again");
    client.EndSending();
    CHECK(client.ReceiveAll() == "b:hello again");
  }
  SECTION("also when everything had been said") {
    const TestSocket client = connect();
    client.EndSending();
    fixture.Set(Rule(port, {Ready(b.port())}));
    deaf.Close();
    CHECK(client.ReceiveAll() == "b:hello");
  }
  SECTION("but not while it is ready: then the reset is its answer") {
    const TestSocket client = connect();
    fixture.Set(Rule(port, {Ready(deaf.port()), Ready(b.port())}));
    deaf.Close();
    CHECK(client.ReceiveAll() == "reset");
  }
  SECTION("nor when nobody else is there") {
    const TestSocket client = connect();
    fixture.Set(Rule(port, {Going(deaf.port())}));
    deaf.Close();
    CHECK(client.ReceiveAll() == "reset");
  }
  SECTION("nor after an answer") {
    TestServer half(kTestAddress, [](TestSocket& served) {
      served.Receive();
      served.Send("some");
      served.Receive();
      served.Reset();
    });
    fixture.Set(Rule(port, {Ready(half.port())}));
    const TestSocket client = TestSocket::ConnectTcp(kFront, port);
    client.Send("one");
    CHECK(client.Receive() == "some");
    fixture.Set(Rule(port, {Going(half.port()), Ready(b.port())}));
    client.Send("two");
    CHECK(client.ReceiveAll() == "reset");
  }
}

TEST_CASE("Beyond the limit clients wait until another leaves") {
  ProxyOptions options;
  options.max_connections = 2;
  ProxyThreadFixture fixture(options);
  TestServer a(kTestAddress, Named("a"));
  const uint16_t port = FreePort();
  fixture.Set(Rule(port, {Ready(a.port())}));
  std::vector<TestSocket> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(TestSocket::ConnectTcp(kFront, port));
    clients.back().Send("?");
  }
  CHECK(clients[0].Receive() == "a");
  CHECK(clients[1].Receive() == "a");
  CHECK(fixture.connections() == 2);
  clients.erase(clients.begin());
  CHECK(clients.back().Receive() == "a");
}

TEST_CASE("A port of somebody else's is told of once, and served when it comes free") {
  ProxyThreadFixture fixture;
  TestServer a(kTestAddress, Named("a"));
  TestSocket other = TestSocket::ListenTcp(kFront);
  const uint16_t port = other.port();
  fixture.Set(Rule(port, {Ready(a.port())}));
  fixture.Advance(seconds(8));
  REQUIRE(fixture.reports().size() == 1);
  CHECK(fixture.reports()[0].what == ListenReport::What::kTaken);
  CHECK(fixture.reports()[0].service == "default/web");
  CHECK(fixture.reports()[0].port == port);
  CHECK(fixture.reports()[0].why == "Address already in use");
  other.Close();
  fixture.Advance(seconds(60));
  CHECK(Ask(port) == "a");
}

TEST_CASE("A port that this user may not bind is served higher, and told of") {
  ProxyOptions options;
  options.privileged_port_offset = 8000;
  ProxyThreadFixture fixture(options);
  fixture.Call([] {  // capabilities are a thread's own
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    ::syscall(SYS_capget, &header, data);
    data[0].effective &= ~(1u << CAP_NET_BIND_SERVICE);
    ::syscall(SYS_capset, &header, data);
  });
  bool may = true;
  fixture.Call([&] { may = MayBindPrivilegedPorts(); });
  if (may) return;  // a machine where everybody may
  TestServer a(kTestAddress, Named("a"));
  fixture.Set(Rule(81, {Ready(a.port())}));
  REQUIRE(fixture.reports().size() == 1);
  CHECK(fixture.reports()[0].what == ListenReport::What::kShifted);
  CHECK(fixture.reports()[0].served_at == 8081);
  CHECK(Ask(8081) == "a");
  // Where the Service serves that port itself, there is no room to move to.
  PortRule both = Rule(81, {Ready(a.port())});
  both.listens.push_back({kFront, 8081, "", false});
  fixture.Remove();
  fixture.Set(both);
  CHECK(Ask(8081) == "a");
  REQUIRE(fixture.reports().size() == 2);
  CHECK(fixture.reports()[1].what == ListenReport::What::kTaken);
  CHECK(fixture.reports()[1].port == 81);
}

TEST_CASE("Local places lead to their node") {
  ProxyThreadFixture fixture;
  TestServer a(kTestAddress, Named("a")), b(kTestAddress, Named("b"));
  const uint16_t port = FreePort(), own = FreePort();
  PortRule rule = Rule(port, {Ready(a.port()), Ready(b.port())});
  rule.backends[0].node = "n1";
  rule.backends[1].node = "n2";
  rule.listens[0].local_only = true;
  rule.listens.push_back({kFront, own, "n2", true});
  fixture.Set(rule);
  auto blocks = std::make_shared<std::vector<NodeBlock>>();
  blocks->push_back({0x7f0b0000, 0xffffff00, "n1"});
  fixture.Call([&] { fixture.proxy().SetNodeBlocks(blocks); });
  CHECK(Asks(own, 2) == "bb");
  // From an address of a node's block, its own backends; from anywhere else, any.
  for (int i = 0; i < 3; ++i) {
    const TestSocket client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in from = SocketAddress(0x7f0b0007, 0), to = SocketAddress(kFront, port);
    REQUIRE(::bind(client.fd(), reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0);
    REQUIRE(::connect(client.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
    client.Send("?");
    CHECK(client.Receive() == "a");
  }
  const std::string two = Asks(port, 2);
  CHECK((two == "ab" || two == "ba"));
}

namespace {

// Answers datagrams with its name until destroyed.
class UdpServer {
 public:
  explicit UdpServer(std::string name) : socket_(TestSocket::BindUdp(kTestAddress)), port_(socket_.port()) {
    thread_ = std::thread([this, name] {
      char buffer[2048];
      for (;;) {
        sockaddr_in from{};
        socklen_t size = sizeof from;
        const ssize_t got =
            ::recvfrom(socket_.fd(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size);
        if (got <= 0) return;
        ::sendto(socket_.fd(), name.data(), name.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
      }
    });
  }
  ~UdpServer() {
    ::shutdown(socket_.fd(), SHUT_RDWR);
    TestSocket::ConnectUdp(kTestAddress, port_).Send("");
    thread_.join();
  }
  uint16_t port() const { return port_; }

 private:
  TestSocket socket_;
  uint16_t port_;
  std::thread thread_;
};

std::string Ask(const TestSocket& client) {
  client.Send("?");
  return client.Receive();
}

}  // namespace

TEST_CASE("UDP: a client stays with its backend while it comes, and a flow that is idle ends") {
  ProxyThreadFixture fixture;
  const UdpServer a("a"), b("b");
  const uint16_t port = TestSocket::BindUdp(kFront).port();
  fixture.Set(Rule(port, {Ready(a.port()), Ready(b.port())}, true));
  const TestSocket one = TestSocket::ConnectUdp(kFront, port), two = TestSocket::ConnectUdp(kFront, port);
  std::string heard;
  for (const TestSocket* client : {&one, &one, &two, &two, &one}) heard += Ask(*client);
  CHECK(heard == "aabba");
  CHECK(fixture.flows() == 2);
  fixture.Advance(seconds(40));
  CHECK(Ask(one) == "a");
  fixture.Advance(seconds(40));
  CHECK(fixture.flows() == 1);
  fixture.Advance(seconds(21));
  CHECK(fixture.flows() == 0);
  CHECK(Ask(one) == "a");  // anew, with whoever's turn it is

  // A backend that is no longer used loses its clients.
  fixture.Set(Rule(port, {Going(a.port()), Ready(b.port())}, true));
  CHECK(fixture.flows() == 0);
  CHECK(Ask(one) == "b");
}

TEST_CASE("UDP: a backend that is not there is left for another") {
  ProxyThreadFixture fixture;
  const UdpServer b("b");
  const uint16_t nobody = TestSocket::BindUdp(kTestAddress).port(), port = TestSocket::BindUdp(kFront).port();
  fixture.Set(Rule(port, {Ready(nobody), Ready(b.port())}, true));
  const TestSocket client = TestSocket::ConnectUdp(kFront, port);
  client.Send("lost");
  CHECK(Eventually([&] { return fixture.flows() == 0; }));
  CHECK(Ask(client) == "b");
}

TEST_CASE("UDP: flows are bounded") {
  ProxyOptions options;
  options.udp.max_flows = 3;
  ProxyThreadFixture fixture(options);
  const UdpServer a("a");
  const uint16_t port = TestSocket::BindUdp(kFront).port();
  fixture.Set(Rule(port, {Ready(a.port())}, true));
  for (int i = 0; i < 10; ++i) CHECK(Ask(TestSocket::ConnectUdp(kFront, port)) == "a");
  CHECK(fixture.flows() == 3);
}

TEST_CASE("Everything is closed in the end") {
  const int before = CountDescriptors();
  {
    TestServer a(kTestAddress, Named("a"));
    const UdpServer u("u");
    std::vector<TestSocket> clients;
    {
      ProxyThreadFixture fixture;
      const uint16_t port = FreePort();
      PortRule rule = Rule(port, {Ready(a.port())});
      auto service = std::make_shared<ServiceRule>();
      service->ports = {rule, Rule(port, {Ready(u.port())}, true)};
      fixture.Call([&] { fixture.proxy().SetService("default/web", service); });
      for (int i = 0; i < 20; ++i) {
        clients.push_back(TestSocket::ConnectTcp(kFront, port));
        clients.back().Send(std::string(200000, 'x'));
        CHECK(Ask(TestSocket::ConnectUdp(kFront, port)) == "u");
      }
      CHECK(fixture.connections() == 20);
      fixture.Stop();
    }
    for (const TestSocket& client : clients) CHECK(client.ReceiveAll().ends_with("reset"));
  }
  CHECK(CountDescriptors() == before);
}
