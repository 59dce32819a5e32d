#include "api/http/message.h"

#include <catch2/catch.hpp>

namespace wherry::http {
namespace {

std::string Joined(const std::vector<std::string_view>& pieces) {
  std::string out;
  for (const std::string_view piece : pieces) out.append("[").append(piece).append("]");
  return out;
}

std::string Joined(const std::vector<Request::Field>& fields) {
  std::string out;
  for (const Request::Field& field : fields)
    out.append("[").append(field.name).append("=").append(field.value).append("]");
  return out;
}

}  // namespace

TEST_CASE("a target is cut and decoded") {
  struct Row {
    const char* target;
    const char* path;
    const char* segments;
    const char* query;
  };
  const Row row = GENERATE(values<Row>({
      {"/", "/", "", ""},
      {"*", "*", "[*]", ""},
      {"/api/v1/pods", "/api/v1/pods", "[api][v1][pods]", ""},
      {"/api/v1/pods/", "/api/v1/pods/", "[api][v1][pods]", ""},
      {"/a//b", "/a//b", "[a][][b]", ""},
      {"/a%2Fb/c%20d", "/a/b/c d", "[a/b][c d]", ""},
      {"/a+b?x+y=1+2", "/a+b", "[a+b]", "[x y=1 2]"},
      {"/?a=1&b=2&a=3", "/", "", "[a=1][b=2][a=3]"},
      {"/?a&b=&=c&&d==e", "/", "", "[a=][b=][=c][d==e]"},
      {"/?labelSelector=app%3Dweb%2Ctier%21%3Dx", "/", "", "[labelSelector=app=web,tier!=x]"},
      {"/?q=a?b", "/", "", "[q=a?b]"},
      {"/?", "/", "", ""},
      {"http://host:1/p/q?x=1", "/p/q", "[p][q]", "[x=1]"},
      {"https://host", "/", "", ""},
      {"https://host?x=1", "/", "", "[x=1]"},
      {"/\xc3\xa4/%C3%A4", "/\xc3\xa4/\xc3\xa4", "[\xc3\xa4][\xc3\xa4]", ""},
  }));
  CAPTURE(row.target);
  Request request;
  REQUIRE(request.Assign("GET", row.target).ok());
  CHECK(request.path() == row.path);
  CHECK(Joined(request.segments()) == row.segments);
  CHECK(Joined(request.query()) == row.query);
  CHECK(request.method() == "GET");
}

TEST_CASE("a target that cannot be decoded is a bad request") {
  const char* target = GENERATE("", "pods", "/%", "/%2", "/%zz", "/%00", "/a?b=%", "/a?%g1=b", "/a?b=%00", "/a#b");
  CAPTURE(target);
  Request request;
  CHECK(request.Assign("GET", target).reason() == Reason::kBadRequest);
}

TEST_CASE("headers are found whatever their case") {
  Request request;
  REQUIRE(request
              .Assign("POST", "/",
                      {{"Accept", "a"}, {"X-Group", "1"}, {"x-group", "2"}, {"Connection", "Upgrade, close"}}, "body")
              .ok());
  CHECK(request.header("ACCEPT") == "a");
  CHECK(request.header("none").empty());
  CHECK_FALSE(request.has_header("none"));
  CHECK(Joined(request.header_values("X-GROUP")) == "[1][2]");
  CHECK(request.header_has_token("connection", "upgrade"));
  CHECK_FALSE(request.header_has_token("connection", "upgrad"));
  CHECK(request.query("x") == std::nullopt);
  CHECK(request.TakeBody() == "body");
}

TEST_CASE("a refusal is a Kubernetes Status") {
  const Response response = Response::Failure(413, "RequestEntityTooLarge", "too \"big\"\n");
  CHECK(response.status == 413);
  CHECK(response.body ==
        "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
        "\"message\":\"too \\\"big\\\"?\",\"reason\":\"RequestEntityTooLarge\",\"code\":413}\n");
}

TEST_CASE("percent encoding keeps what is unreserved") {
  CHECK(PercentEncode("a b/c~d=\xc3\xa4") == "a%20b%2Fc~d%3D%C3%A4");
  CHECK(PercentEncode("/a b", true) == "/a%20b");
}

}  // namespace wherry::http
