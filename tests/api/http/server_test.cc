#include "api/http/server.h"

#include <string>

#include "tests/api/http/http_fixture.h"

namespace wherry::http {
namespace {

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
}

}  // namespace wherry::http
