#include "api/http/server.h"

#include <sys/resource.h>
#include <unistd.h>

#include <string>

#include "tests/api/http/http_fixture.h"

namespace wherry::http {
namespace {

using namespace std::chrono_literals;

// Answers with what it was asked: "METHOD path body".
Task<> Echo(ExchangePtr exchange) {
  const Request& request = exchange->request();
  exchange->Respond(Response::Text(
      200, std::string(request.method()) + " " + std::string(request.path()) + " " + request.body() + "\n"));
  co_return;
}

// The answer without its Date, which is checked once elsewhere.
std::string WithoutDate(std::string answer) {
  for (size_t at; (at = answer.find("Date: ")) != std::string::npos;)
    answer.erase(at, answer.find("\r\n", at) + 2 - at);
  return answer;
}

size_t Count(const std::string& text, std::string_view what) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) ++count;
  return count;
}

}  // namespace

TEST_CASE_METHOD(HttpFixture, "a request is answered and the connection kept") {
  Start(Echo);
  RawClient client(server->port());
  CHECK(Exchange(client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "\n") ==
        "HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: 8\r\n\r\nGET /a \n");
  CHECK(WithoutDate(Exchange(client, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "abc\n")) ==
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\n\r\nPOST /b abc\n");
  CHECK_FALSE(client.ended());
  CHECK(server->stats().requests == 2);
}

TEST_CASE_METHOD(HttpFixture, "a malformed request gets its refusal and the connection is closed") {
  struct Row {
    const char* request;
    const char* status;
  };
  const Row row = GENERATE(values<Row>({
      {"hello\r\n\r\n", "HTTP/1.1 400 "},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400 "},
      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTP/1.1 400 "},
      {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},                        // no Host
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "HTTP/1.1 400 "},  // two
      {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", "HTTP/1.1 505 "},
      {"GET / HTTP/1.2\r\nHost: x\r\n\r\n", "HTTP/1.1 505 "},
      {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 "},
      {"GET /?a=% HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 "},
      {"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 "},
      {"GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n", "HTTP/1.1 400 "},
      {"GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n", "HTTP/1.1 400 "},
      {"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 "},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400 "},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 400 "},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 400 "},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "HTTP/1.1 400 "},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 400 "},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 "},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "HTTP/1.1 400 "},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: magic\r\n\r\n", "HTTP/1.1 417 "},
  }));
  CAPTURE(row.request);
  Start(Echo);
  const std::string answer = Exchange(row.request);
  CHECK(answer.substr(0, 13) == row.status);
  CHECK(answer.find("\"kind\":\"Status\"") != std::string::npos);
  CHECK(answer.find("Connection: close\r\n") != std::string::npos);
  CHECK(server->stats().requests == 0);
}

TEST_CASE_METHOD(HttpFixture, "what passes a limit is refused") {
  Limits limits;
  limits.head_bytes = 1000;
  limits.header_count = 10;
  limits.target_bytes = 100;
  limits.body_bytes = 50;
  struct Row {
    std::string request;
    const char* status;
  };
  std::string many = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 9; ++i) many += "A: b\r\n";
  const std::string post = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
  const Row row = GENERATE_COPY(values<Row>({
      {"GET /" + std::string(99, 'a') + " HTTP/1.0\r\n\r\n", "HTTP/1.1 200 "},
      {"GET /" + std::string(100, 'a') + " HTTP/1.0\r\n\r\n", "HTTP/1.1 414 "},
      {"GET / HTTP/1.0\r\nA: " + std::string(998, 'a') + "\r\n\r\n", "HTTP/1.1 200 "},
      {"GET / HTTP/1.0\r\nA: " + std::string(999, 'a') + "\r\n\r\n", "HTTP/1.1 431 "},
      {"GET / HTTP/1.0\r\nA:" + std::string(3000, ' ') + std::string(3000, ' '), "HTTP/1.1 431 "},
      {std::string(1001, '\n') + "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 431 "},
      {many + "Connection: close\r\n\r\n", "HTTP/1.1 431 "},
      {post + "Content-Length: 50\r\n\r\n" + std::string(50, 'b'), "HTTP/1.1 200 "},
      {post + "Content-Length: 51\r\n\r\n", "HTTP/1.1 413 "},
      {post + "Transfer-Encoding: chunked\r\n\r\n19\r\n" + std::string(25, 'b') + "\r\n1a\r\n" + std::string(26, 'b') +
           "\r\n0\r\n\r\n",
       "HTTP/1.1 413 "},
      {post + "Transfer-Encoding: chunked\r\n\r\n0\r\nT: " + std::string(1000, 't') + "\r\n\r\n", "HTTP/1.1 431 "},
  }));
  CAPTURE(row.request);
  Start(Echo, limits);
  CHECK(Exchange(row.request).substr(0, 13) == row.status);
}

TEST_CASE_METHOD(HttpFixture, "a large body refused early still lets the client read why") {
  Start(Echo);
  const std::string answer =
      Exchange("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n" + std::string(300'000, 'x'));
  CHECK(answer.substr(0, 13) == "HTTP/1.1 413 ");
  CHECK(answer.ends_with("\"reason\":\"RequestEntityTooLarge\",\"code\":413}\n"));
}

TEST_CASE_METHOD(HttpFixture, "keep-alive follows version and Connection") {
  struct Row {
    const char* head;
    bool kept;
    const char* connection;  // of the answer
  };
  const Row row = GENERATE(values<Row>({
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true, ""},
      {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false, "Connection: close\r\n"},
      {"GET / HTTP/1.0\r\n\r\n", false, "Connection: close\r\n"},
      {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, "Connection: keep-alive\r\n"},
  }));
  CAPTURE(row.head);
  Start(Echo);
  RawClient client(server->port());
  const std::string answer = Exchange(client, row.head, "GET / \n");
  Settle();
  client.Poll();
  CHECK(client.ended() == !row.kept);
  CHECK(WithoutDate(answer) == "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 7\r\n" +
                                   std::string(row.connection) + "\r\nGET / \n");
}

TEST_CASE_METHOD(HttpFixture, "requests sent ahead are answered in order") {
  Start(Echo);
  RawClient client(server->port());
  const std::string answers =
      Exchange(client,
               "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
               "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"
               "\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
               "GET /4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
               "GET /4 \n");
  CHECK(Count(answers, "HTTP/1.1 200 OK") == 4);
  CHECK(answers.find("GET /1 ") < answers.find("POST /2 ok"));
  CHECK(answers.find("POST /2 ok") < answers.find("GET /3 "));
}

TEST_CASE_METHOD(HttpFixture, "a request may come byte by byte") {
  Start(Echo);
  RawClient client(server->port());
  const std::string request =
      "POST /a%20b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n1\r\nd\r\n0\r\nTrailer: "
      "t\r\n\r\n";
  for (const char c : request) {
    client.Poll();
    REQUIRE(client.received().empty());
    REQUIRE(client.Send(std::string_view(&c, 1)));
    Settle();
  }
  CHECK(Exchange(client, "", "abcd\n").ends_with("\r\n\r\nPOST /a b abcd\n"));
}

TEST_CASE_METHOD(HttpFixture, "100 Continue is sent when the body is waited for") {
  Start(Echo);
  RawClient client(server->port());
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  CHECK(Exchange(client, head, "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(Exchange(client, "ok", "ok\n").starts_with("HTTP/1.1 200 OK"));
  CHECK(Exchange(client, head + "ok", "ok\n").starts_with("HTTP/1.1 200 OK"));  // it was there already
}

TEST_CASE_METHOD(HttpFixture, "answers without a body say so rightly") {
  Start([](ExchangePtr exchange) -> Task<> {
    Response response = Response::Text(exchange->request().path() == "/204" ? 204 : 200, "");
    if (response.status == 200) response.buffers.push_back(SharedBuffer::Static("0123456789"));
    response.headers.emplace_back("Warning", "299 - \"a\r\nInjected: yes\"");
    exchange->Respond(std::move(response));
    co_return;
  });
  RawClient client(server->port());
  CHECK(WithoutDate(Exchange(client, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n")) ==
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nWarning: 299 - \"a  Injected: yes\"\r\n"
        "Content-Length: 10\r\n\r\n");
  CHECK(WithoutDate(Exchange(client, "GET /204 HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n")) ==
        "HTTP/1.1 204 No Content\r\nWarning: 299 - \"a  Injected: yes\"\r\n\r\n");
  CHECK(Exchange(client, "GET http://other/x HTTP/1.1\r\nHost: x\r\n\r\n", "9").ends_with("\r\n\r\n0123456789"));
}

TEST_CASE_METHOD(HttpFixture, "a handler that fails is answered for") {
  Start([](ExchangePtr exchange) -> Task<> {
    if (exchange->request().path() == "/throw") throw std::runtime_error("a bug");
    co_return;
  });
  RawClient client(server->port());
  CHECK(Exchange(client, "GET /throw HTTP/1.1\r\nHost: x\r\n\r\n", "}\n").starts_with("HTTP/1.1 500 "));
  CHECK(Exchange(client, "GET /silent HTTP/1.1\r\nHost: x\r\n\r\n", "}\n").starts_with("HTTP/1.1 500 "));
}

TEST_CASE_METHOD(HttpFixture, "a truncated request is not handled") {
  const char* request =
      GENERATE("", "GE", "GET / HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab",
               "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
  CAPTURE(request);
  Start(Echo);
  RawClient client(server->port());
  REQUIRE(client.Send(request));
  client.HalfClose();
  RunUntil([&] {
    client.Poll();
    return client.ended();
  });
  CHECK(client.received().substr(0, 13) == (*request == '\0' ? "" : "HTTP/1.1 400 "));
  CHECK(server->stats().requests == 0);
  RunUntil([&] { return server->stats().connections == 0; });
}

TEST_CASE_METHOD(HttpFixture, "a half-closed client still gets its answer") {
  Start(Echo);
  RawClient client(server->port());
  REQUIRE(client.Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
  client.HalfClose();
  RunUntil([&] {
    client.Poll();
    return client.ended();
  });
  CHECK(client.received().ends_with("GET /a \n"));
}

TEST_CASE_METHOD(HttpFixture, "waiting has its limits") {
  struct Row {
    const char* sent;
    Duration limit;
  };
  const Row row = GENERATE(values<Row>({
      {"", 180s},
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 180s},
      {"GET / HT", 30s},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na", 60s},
  }));
  CAPTURE(row.sent);
  Start(Echo);
  RawClient client(server->port());
  REQUIRE(client.Send(row.sent));
  RunUntil([&] { return server->stats().accepted == 1; });
  Settle();
  Advance(row.limit - 1s);
  client.Poll();
  CHECK_FALSE(client.ended());
  Advance(2s);
  client.Poll();
  CHECK(client.ended());
  CHECK(server->stats().connections == 0);
}

TEST_CASE_METHOD(HttpFixture, "a head's time is not stretched by trickling") {
  Start(Echo);
  RawClient client(server->port());
  REQUIRE(client.Send("GET / HTTP/1.1\r\nHost: x\r\n"));
  Settle();
  for (int i = 0; i < 15; ++i) {
    REQUIRE(client.Send("A: b\r\n"));
    Advance(2100ms);
  }
  client.Poll();
  CHECK(client.ended());
}

TEST_CASE_METHOD(HttpFixture, "connections beyond the limit are turned away") {
  Limits limits;
  limits.connections = 2;
  Start(Echo, limits);
  RawClient first(server->port());
  RawClient second(server->port());
  RunUntil([&] { return server->stats().connections == 2; });
  RawClient third(server->port());
  RunUntil([&] {
    third.Poll();
    return third.ended();
  });
  CHECK(third.received().starts_with("HTTP/1.1 503 "));
  first.Reset();
  RunUntil([&] { return server->stats().connections == 1; });
  RawClient fourth(server->port());
  CHECK(Exchange(fourth, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\n").starts_with("HTTP/1.1 200 "));
  CHECK(server->stats().refused == 1);
}

TEST_CASE_METHOD(HttpFixture, "without descriptors accepting waits instead of spinning") {
  Start(Echo);
  Settle();
  RawClient client(server->port());
  const int lowest_free = ::dup(0);
  ::close(lowest_free);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(lowest_free);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
  Settle();
  const Server::Stats starved = server->stats();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(starved.accept_errors == 1);
  CHECK(starved.accepted == 0);
  Settle();
  CHECK(server->stats().accepted == 0);
  Advance(100ms);
  CHECK(server->stats().accepted == 1);
  CHECK(Exchange(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\n").starts_with("HTTP/1.1 200 "));
}

TEST_CASE_METHOD(HttpFixture, "a reader that does not read is dropped") {
  const auto big = std::make_shared<const std::string>(64 * 1024 * 1024, 'x');
  Start([big](ExchangePtr exchange) -> Task<> {
    Response response;
    response.buffers.emplace_back(big);
    exchange->Respond(std::move(response));
    co_return;
  });
  RawClient client(server->port());
  REQUIRE(client.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  RunUntil([&] { return server->stats().requests == 1; });
  Settle();
  Advance(29s);
  CHECK(server->stats().connections == 1);
  client.Poll();  // progress
  RunUntil([&] {
    client.Poll();
    return client.received().size() > 16 * 1024 * 1024;
  });
  Settle();
  Advance(29s);
  CHECK(server->stats().connections == 1);
  Advance(2s);
  CHECK(server->stats().connections == 0);
}

TEST_CASE_METHOD(HttpFixture, "stopping lets answers end and closes the rest") {
  std::vector<ExchangePtr> held;
  auto go = std::make_shared<bool>(false);
  Start([&held, this, go](ExchangePtr exchange) -> Task<> {
    if (exchange->request().path() == "/slow") {
      held.push_back(exchange);
      while (!*go) co_await clock.Sleep(1s);
    }
    exchange->Respond(Response::Text(200, "done"));
  });
  RawClient idle(server->port());
  RawClient slow(server->port());
  REQUIRE(slow.Send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"));
  RunUntil([&] { return held.size() == 1 && server->stats().connections == 2; });
  CHECK_FALSE(held[0]->closed());
  bool over = false;
  Spawn(io.get_executor(), "shutdown", [](Server* s, bool* done) -> Task<> {
    co_await s->Shutdown(10s);
    *done = true;
  }(server.get(), &over));
  Settle();
  idle.Poll();
  CHECK(idle.ended());
  CHECK(held[0]->closed());
  CHECK_FALSE(over);
  *go = true;
  Advance(1s);
  slow.Poll();
  CHECK(slow.received().ends_with("Connection: close\r\n\r\ndone"));
  RunUntil([&] {
    slow.Poll();
    return slow.ended();
  });
  slow.HalfClose();
  RunUntil([&] { return over; });
  held.clear();
}

}  // namespace wherry::http
