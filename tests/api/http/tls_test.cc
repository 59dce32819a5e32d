#include "api/http/tls.h"

#include <optional>
#include <string>

#include "api/http/http_client.h"
#include "api/http/pki.h"
#include "tests/api/http/http_fixture.h"

namespace wherry::http {
namespace {

using namespace std::chrono_literals;

// A TLS server that says whom it sees, and clients of it.
class TlsFixture : public HttpFixture {
 public:
  TlsFixture() : authority(*MakeAuthority("test-ca", clock.Now())) {
    CertificateSpec spec;
    spec.common_name = "server";
    spec.names = {"127.0.0.1", "localhost"};
    spec.server = true;
    const Result<KeyPair> pair = IssueCertificate(authority, spec, clock.Now());
    REQUIRE(pair.ok());
    Result<TlsContextPtr> context = TlsContext::Server({pair->certificate, pair->key, authority.certificate});
    REQUIRE(context.ok());
    Start(
        [](ExchangePtr exchange) -> Task<> {
          const Request& request = exchange->request();
          if (request.path() == "/lines") {
            Response head;
            head.body = "one\ntwo\n";
            Result<ResponseStream*> stream = co_await exchange->StartStream(std::move(head));
            std::vector<SharedBuffer> more;
            more.push_back(SharedBuffer::Static("thr"));
            const Status status = co_await (*stream)->Write(std::move(more));
            CHECK(status.ok());
            co_return;
          }
          if (request.path() == "/big") {
            Response big;
            for (int i = 0; i < 3000; ++i) big.buffers.emplace_back(std::string(1000, static_cast<char>('a' + i % 26)));
            big.buffers.emplace_back(std::string(300'000, 'z'));
            exchange->Respond(std::move(big));
            co_return;
          }
          if (request.path() == "/echo") {
            Response head;
            head.status = 101;
            head.headers = {{"Connection", "Upgrade"}, {"Upgrade", "raw"}};
            Result<ByteStream*> stream = co_await exchange->Upgrade(std::move(head));
            char buffer[64];
            const Result<size_t> got = co_await (*stream)->Read(buffer, sizeof buffer);
            std::vector<SharedBuffer> answer;
            answer.emplace_back("echo " + std::string(buffer, *got));
            const Status status = co_await (*stream)->Write(std::move(answer));
            CHECK(status.ok());
            co_return;
          }
          std::string who = "nobody";
          if (request.peer()) {
            who = request.peer()->user;
            for (const std::string& group : request.peer()->groups) who += " " + group;
          }
          exchange->Respond(Response::Text(200, who + "|" + request.peer_error() + "|" + request.body()));
        },
        {}, *context);
  }

  KeyPair Client(const KeyPair& by, Duration lifetime = 24h) {
    CertificateSpec spec;
    spec.common_name = "jane";
    spec.organizations = {"crew", "system:masters"};
    spec.lifetime = lifetime;
    return *IssueCertificate(by, spec, clock.Now());
  }

  ClientOptions OptionsFor(ClientTls tls) {
    Result<TlsContextPtr> context = TlsContext::Client(tls);
    REQUIRE(context.ok());
    ClientOptions options;
    options.port = server->port();
    options.tls = *context;
    return options;
  }

  Result<ClientResponse> Do(HttpClient& client, std::string method = "GET", std::string target = "/",
                            std::string body = {}) {
    std::optional<Result<ClientResponse>> out;
    Spawn(io.get_executor(), "client",
          [](HttpClient* c, ClientRequest request, std::optional<Result<ClientResponse>>* result) -> Task<> {
            Result<ClientResponse> response = co_await c->Do(std::move(request));
            result->emplace(std::move(response));
          }(&client, ClientRequest{std::move(method), std::move(target), {}, std::move(body)}, &out));
    RunUntil([&] { return out.has_value(); });
    return *out;
  }

  KeyPair authority;
};

}  // namespace

TEST_CASE_METHOD(TlsFixture, "a client certificate tells user and groups") {
  const KeyPair jane = Client(authority);
  HttpClient client(io.get_executor(), clock, OptionsFor({authority.certificate, jane.certificate, jane.key}));
  const Result<ClientResponse> first = Do(client);
  REQUIRE(first.ok());
  CHECK(first->status == 200);
  CHECK(first->body == "jane crew system:masters||");
  CHECK(Do(client, "POST", "/", std::string(100'000, 'b'))->body ==
        "jane crew system:masters||" + std::string(100'000, 'b'));
  CHECK(server->stats().accepted == 1);  // kept
}

TEST_CASE_METHOD(TlsFixture, "without a valid certificate the peer is nobody, with the reason") {
  HttpClient none(io.get_executor(), clock, OptionsFor({authority.certificate, "", ""}));
  CHECK(Do(none)->body == "nobody||");

  const KeyPair strangers = *MakeAuthority("test-ca", clock.Now());  // the same name, another key
  const KeyPair forged = Client(strangers);
  HttpClient stranger(io.get_executor(), clock, OptionsFor({authority.certificate, forged.certificate, forged.key}));
  CHECK(Do(stranger)->body.starts_with("nobody|"));
  CHECK(Do(stranger)->body != "nobody||");

  const KeyPair shortly = Client(authority, 1h);
  clock.MoveTo(clock.Now() + 2h);
  HttpClient late(io.get_executor(), clock, OptionsFor({authority.certificate, shortly.certificate, shortly.key}));
  CHECK(Do(late)->body == "nobody|certificate has expired|");
}

TEST_CASE_METHOD(TlsFixture, "a server certificate does not speak for a client") {
  CertificateSpec spec;
  spec.common_name = "server";
  spec.server = true;
  const KeyPair pair = *IssueCertificate(authority, spec, clock.Now());
  HttpClient client(io.get_executor(), clock, OptionsFor({authority.certificate, pair.certificate, pair.key}));
  CHECK(Do(client)->body.starts_with("nobody|"));
}

TEST_CASE_METHOD(TlsFixture, "the client believes only its authority and the right name") {
  const KeyPair strangers = *MakeAuthority("other", clock.Now());
  HttpClient wrong_ca(io.get_executor(), clock, OptionsFor({strangers.certificate, "", ""}));
  CHECK(Do(wrong_ca).status().reason() == Reason::kServiceUnavailable);
  HttpClient wrong_name(io.get_executor(), clock, OptionsFor({authority.certificate, "", "", "example.org"}));
  CHECK(Do(wrong_name).status().reason() == Reason::kServiceUnavailable);
  HttpClient named(io.get_executor(), clock, OptionsFor({authority.certificate, "", "", "localhost"}));
  CHECK(Do(named).ok());
  ClientTls careless;
  careless.insecure = true;
  HttpClient insecure(io.get_executor(), clock, OptionsFor(careless));
  CHECK(Do(insecure).ok());
}

TEST_CASE_METHOD(TlsFixture, "many pieces arrive as one body") {
  HttpClient client(io.get_executor(), clock, OptionsFor({authority.certificate, "", ""}));
  const Result<ClientResponse> big = Do(client, "GET", "/big");
  REQUIRE(big.ok());
  std::string expected;
  for (int i = 0; i < 3000; ++i) expected += std::string(1000, static_cast<char>('a' + i % 26));
  expected += std::string(300'000, 'z');
  CHECK(big->body == expected);
  CHECK(Do(client, "HEAD", "/big")->header("content-length") == "3300000");
  CHECK(Do(client)->body == "nobody||");
}

TEST_CASE_METHOD(TlsFixture, "a stream is read line by line") {
  HttpClient client(io.get_executor(), clock, OptionsFor({authority.certificate, "", ""}));
  std::vector<std::string> lines;
  bool ended = false;
  Spawn(io.get_executor(), "reader", [](HttpClient* c, std::vector<std::string>* out, bool* done) -> Task<> {
    ClientRequest request;
    request.target = "/lines";
    Result<std::shared_ptr<ClientStream>> opened = co_await c->Open(std::move(request));
    REQUIRE(opened.ok());
    std::shared_ptr<ClientStream> stream = *opened;
    CHECK(stream->head().status == 200);
    for (;;) {
      Result<std::optional<std::string>> line = co_await stream->ReadLine();
      REQUIRE(line.ok());
      if (!line->has_value()) break;
      out->push_back(**line);
    }
    *done = true;
  }(&client, &lines, &ended));
  RunUntil([&] { return ended; });
  CHECK(lines == std::vector<std::string>{"one", "two", "thr"});
}

TEST_CASE_METHOD(TlsFixture, "an upgrade works through TLS") {
  HttpClient client(io.get_executor(), clock, OptionsFor({authority.certificate, "", ""}));
  std::string got;
  bool ended = false;
  Spawn(io.get_executor(), "upgrader", [](HttpClient* c, std::string* out, bool* done) -> Task<> {
    ClientRequest request;
    request.target = "/echo";
    request.headers = {{"Connection", "Upgrade"}, {"Upgrade", "raw"}};
    Result<std::shared_ptr<ClientStream>> opened = co_await c->Open(std::move(request));
    REQUIRE(opened.ok());
    std::shared_ptr<ClientStream> stream = *opened;
    CHECK(stream->head().status == 101);
    std::vector<SharedBuffer> hello;
    hello.emplace_back(std::string("hello"));
    const Status sent = co_await stream->Write(std::move(hello));
    CHECK(sent.ok());
    for (;;) {
      const Result<std::string> some = co_await stream->ReadSome();
      if (!some.ok() || some->empty()) break;
      *out += *some;
    }
    *done = true;
  }(&client, &got, &ended));
  RunUntil([&] { return ended; });
  CHECK(got == "echo hello");
}

TEST_CASE_METHOD(TlsFixture, "a kept connection that the server closed is replaced") {
  HttpClient client(io.get_executor(), clock, OptionsFor({authority.certificate, "", ""}));
  REQUIRE(Do(client).ok());
  Advance(181s);
  CHECK(server->stats().connections == 0);
  CHECK(Do(client, "POST", "/", "x")->body == "nobody||x");
  CHECK(server->stats().accepted == 2);
}

TEST_CASE_METHOD(TlsFixture, "a handshake that does not go on is broken off") {
  const char* sent = GENERATE("", "\x16\x03\x01", "GET / HTTP/1.1\r\n\r\n");
  RawClient client(server->port());
  client.Send(sent);
  RunUntil([&] { return server->stats().accepted == 1; });
  if (*sent != 'G') {
    Advance(9s);
    CHECK(server->stats().connections == 1);
    Advance(2s);
  }
  RunUntil([&] { return server->stats().connections == 0; });
  CHECK(server->stats().requests == 0);
}

TEST_CASE("TLS material that does not fit is refused") {
  const Time now{1'700'000'000s};
  const KeyPair ca = *MakeAuthority("ca", now);
  const KeyPair one = *IssueCertificate(ca, {.common_name = "one"}, now);
  const KeyPair two = *IssueCertificate(ca, {.common_name = "two"}, now);
  CHECK(TlsContext::Server({one.certificate, one.key, ""}).ok());
  CHECK_FALSE(TlsContext::Server({one.certificate, two.key, ""}).ok());
  CHECK_FALSE(TlsContext::Server({"", one.key, ""}).ok());
  CHECK_FALSE(TlsContext::Server({one.certificate, one.key, "no pem"}).ok());
  CHECK_FALSE(TlsContext::Client({"no pem", "", ""}).ok());
}

}  // namespace wherry::http
