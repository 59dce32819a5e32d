#include "store/status.h"

#include <catch2/catch.hpp>

namespace wherry {
namespace {

TEST_CASE("every reason has the code and name of the API conventions") {
  struct Row {
    Reason reason;
    int code;
    const char* name;
  };
  const Row rows[] = {
      {Reason::kOk, 200, ""},
      {Reason::kBadRequest, 400, "BadRequest"},
      {Reason::kUnauthorized, 401, "Unauthorized"},
      {Reason::kForbidden, 403, "Forbidden"},
      {Reason::kNotFound, 404, "NotFound"},
      {Reason::kMethodNotAllowed, 405, "MethodNotAllowed"},
      {Reason::kNotAcceptable, 406, "NotAcceptable"},
      {Reason::kAlreadyExists, 409, "AlreadyExists"},
      {Reason::kConflict, 409, "Conflict"},
      {Reason::kExpired, 410, "Expired"},
      {Reason::kRequestEntityTooLarge, 413, "RequestEntityTooLarge"},
      {Reason::kUnsupportedMediaType, 415, "UnsupportedMediaType"},
      {Reason::kInvalid, 422, "Invalid"},
      {Reason::kTooManyRequests, 429, "TooManyRequests"},
      {Reason::kInternalError, 500, "InternalError"},
      {Reason::kServiceUnavailable, 503, "ServiceUnavailable"},
      {Reason::kTimeout, 504, "Timeout"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(HttpCode(row.reason) == row.code);
    CHECK(ReasonString(row.reason) == row.name);
  }
}

TEST_CASE("an ok status is empty") {
  const Status status;
  CHECK(status.ok());
  CHECK(status.http_code() == 200);
  CHECK(status.message().empty());
  CHECK(status.reason_string().empty());
  CHECK(status.details().name.empty());
}

TEST_CASE("the common refusals name the resource as Kubernetes does") {
  const Status core = Status::NotFound("pods", "", "web-0");
  CHECK(core.message() == "pods \"web-0\" not found");
  CHECK(core.http_code() == 404);
  CHECK(core.details().kind == "pods");
  CHECK(core.details().group.empty());

  const Status grouped = Status::AlreadyExists("daemonsets", "apps", "web");
  CHECK(grouped.message() == "daemonsets.apps \"web\" already exists");
  CHECK(grouped.details().group == "apps");
  CHECK(grouped.details().name == "web");

  CHECK(Status::Conflict("pods", "", "a", "why").message() == "Operation cannot be fulfilled on pods \"a\": why");
}

TEST_CASE("a result holds a value or says why not") {
  Result<std::string> value(std::string("x"));
  CHECK(value.ok());
  CHECK(*value == "x");
  CHECK(value->size() == 1);
  CHECK(std::move(value).value() == "x");

  const Result<std::string> refusal(Status::BadRequest("no"));
  CHECK_FALSE(refusal.ok());
  CHECK(refusal.status().message() == "no");
}

}  // namespace
}  // namespace wherry
