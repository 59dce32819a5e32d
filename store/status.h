#pragma once

#include <cassert>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wherry {

// Why a request was refused. The names are the `reason` strings of a Kubernetes Status (API conventions, "Response
// Status Kind"); http_code() gives the code that goes with each.
enum class Reason {
  kOk,
  kBadRequest,             // 400
  kUnauthorized,           // 401
  kForbidden,              // 403
  kNotFound,               // 404
  kMethodNotAllowed,       // 405
  kNotAcceptable,          // 406
  kAlreadyExists,          // 409
  kConflict,               // 409
  kExpired,                // 410, also "Gone"
  kRequestEntityTooLarge,  // 413
  kUnsupportedMediaType,   // 415
  kInvalid,                // 422
  kTooManyRequests,        // 429
  kInternalError,          // 500
  kServiceUnavailable,     // 503
  kTimeout,                // 504
};

// One entry of status.details.causes. `reason` is e.g. "FieldValueInvalid"; `field` a path such as "spec.selector".
struct StatusCause {
  std::string reason;
  std::string message;
  std::string field;
};

// status.details. `kind` is the resource plural for NotFound/AlreadyExists/Conflict and the Kind for Invalid.
struct StatusDetails {
  std::string name;
  std::string group;
  std::string kind;
  std::string uid;
  std::vector<StatusCause> causes;
  int retry_after_seconds = 0;
};

// The outcome of an operation that may be expected to fail. A value; any thread. Cheap when ok.
// Exceptions are kept for bugs and broken machines.
class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(Reason reason, std::string message, StatusDetails details = {});

  bool ok() const { return rep_ == nullptr; }
  Reason reason() const { return rep_ ? rep_->reason : Reason::kOk; }
  const std::string& message() const;      // "" when ok
  const StatusDetails& details() const;    // empty when ok
  int http_code() const;                   // 200 when ok
  std::string_view reason_string() const;  // "NotFound" …; "" when ok

  // `NotFound("pods", "", "web-0")`: pods "web-0" not found. `group` may be empty (core).
  static Status NotFound(std::string_view plural, std::string_view group, std::string_view name);
  static Status AlreadyExists(std::string_view plural, std::string_view group, std::string_view name);
  static Status Conflict(std::string_view plural, std::string_view group, std::string_view name, std::string_view why);
  static Status BadRequest(std::string message) { return Status(Reason::kBadRequest, std::move(message)); }
  static Status Internal(std::string message) { return Status(Reason::kInternalError, std::move(message)); }
  static Status Unavailable(std::string message) { return Status(Reason::kServiceUnavailable, std::move(message)); }

 private:
  struct Rep {
    Reason reason;
    std::string message;
    StatusDetails details;
  };
  std::shared_ptr<const Rep> rep_;
};

// The code/`reason` pair of a Reason: {404, "NotFound"}.
int HttpCode(Reason reason);
std::string_view ReasonString(Reason reason);

// A value or the Status that explains its absence. REQUIRES: check ok() before value().
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}                                  // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) { assert(!status_.ok()); }  // NOLINT(google-explicit-constructor)

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& value() & {
    assert(ok());
    return *value_;
  }
  const T& value() const& {
    assert(ok());
    return *value_;
  }
  T&& value() && {
    assert(ok());
    return std::move(*value_);
  }
  T* operator->() {
    assert(ok());
    return &*value_;
  }
  const T* operator->() const {
    assert(ok());
    return &*value_;
  }
  T& operator*() & {
    assert(ok());
    return *value_;
  }
  const T& operator*() const& {
    assert(ok());
    return *value_;
  }
  T&& operator*() && {
    assert(ok());
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace wherry
