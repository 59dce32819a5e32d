#include "store/status.h"

namespace wherry {
namespace {

struct ReasonRow {
  Reason reason;
  int code;
  std::string_view name;
};

constexpr ReasonRow kReasons[] = {
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

// Every Reason has its row at its own index.
const ReasonRow& RowOf(Reason reason) { return kReasons[static_cast<size_t>(reason)]; }

std::string Qualified(std::string_view plural, std::string_view group) {
  std::string out(plural);
  if (!group.empty()) out.append(".").append(group);
  return out;
}

StatusDetails DetailsOf(std::string_view plural, std::string_view group, std::string_view name) {
  StatusDetails d;
  d.name = name;
  d.group = group;
  d.kind = plural;
  return d;
}

}  // namespace

int HttpCode(Reason reason) { return RowOf(reason).code; }
std::string_view ReasonString(Reason reason) { return RowOf(reason).name; }

Status::Status(Reason reason, std::string message, StatusDetails details)
    : rep_(std::make_shared<const Rep>(Rep{reason, std::move(message), std::move(details)})) {}

const std::string& Status::message() const {
  static const std::string kEmpty;
  return rep_ ? rep_->message : kEmpty;
}

const StatusDetails& Status::details() const {
  static const StatusDetails kEmpty;
  return rep_ ? rep_->details : kEmpty;
}

int Status::http_code() const { return HttpCode(reason()); }
std::string_view Status::reason_string() const { return ReasonString(reason()); }

Status Status::NotFound(std::string_view plural, std::string_view group, std::string_view name) {
  return Status(Reason::kNotFound, Qualified(plural, group) + " \"" + std::string(name) + "\" not found",
                DetailsOf(plural, group, name));
}

Status Status::AlreadyExists(std::string_view plural, std::string_view group, std::string_view name) {
  return Status(Reason::kAlreadyExists, Qualified(plural, group) + " \"" + std::string(name) + "\" already exists",
                DetailsOf(plural, group, name));
}

Status Status::Conflict(std::string_view plural, std::string_view group, std::string_view name, std::string_view why) {
  return Status(Reason::kConflict,
                "Operation cannot be fulfilled on " + Qualified(plural, group) + " \"" + std::string(name) +
                    "\": " + std::string(why),
                DetailsOf(plural, group, name));
}

}  // namespace wherry
