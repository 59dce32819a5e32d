#include "api/server/log_handler.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/resources.h"

namespace wherry {
namespace {

Status InvalidOption(std::string field, std::string message) {
  return InvalidStatus({"", "v1", "PodLogOptions"}, "", {{std::move(field), "FieldValueInvalid", std::move(message)}});
}

// 422 for what PodLogOptions forbids.
Result<LogOptions> ReadLogOptions(const http::Request& request) {
  LogOptions options;
  options.follow = QueryBool(request, "follow");
  options.previous = QueryBool(request, "previous");
  options.timestamps = QueryBool(request, "timestamps");
  struct Row {
    const char* name;
    std::optional<int64_t>* value;
    int64_t minimum;
    const char* why;
  };
  const Row rows[] = {{"tailLines", &options.tail_lines, 0, "must be greater than or equal to 0"},
                      {"sinceSeconds", &options.since_seconds, 1, "must be greater than 0"},
                      {"limitBytes", &options.limit_bytes, 1, "must be greater than 0"}};
  for (const Row& row : rows) {
    Result<std::optional<int64_t>> number = QueryInt(request, row.name);
    if (!number.ok()) return number.status();
    *row.value = *number;
    if (*number && **number < row.minimum) {
      return InvalidOption(row.name, "Invalid value: " + std::to_string(**number) + ": " + row.why);
    }
  }
  if (const std::string since = QueryString(request, "sinceTime"); !since.empty()) {
    Time time;
    if (!ParseTime(since, &time))
      return Status::BadRequest("sinceTime: parsing time \"" + since + "\": it is no RFC 3339 time");
    options.since_time = time;
    if (options.since_seconds) {
      return Status(
          Reason::kInvalid,
          "PodLogOptions \"\" is invalid: : Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified");
    }
  }
  if (const std::string stream = QueryString(request, "stream"); !stream.empty()) {
    if (stream != "All" && stream != "Stdout" && stream != "Stderr") {
      return InvalidOption("stream",
                           "Unsupported value: \"" + stream + "\": supported values: \"All\", \"Stderr\", \"Stdout\"");
    }
    options.stream = stream;
  }
  return options;
}

Task<> ServeLog(std::shared_ptr<Call> call, ControlPlane& plane) {
  http::Exchange& exchange = *call->exchange;
  const ObjectPtr pod = plane.cache().Get(resources::kPods, call->ns, call->name);
  if (!pod) co_return RespondStatus(exchange, Status::NotFound("pods", "", call->name));
  Result<LogOptions> options = ReadLogOptions(call->request());
  if (!options.ok()) co_return RespondStatus(exchange, options.status());
  const bool follow = options->follow;
  Result<std::unique_ptr<LogStream>> log =
      plane.agents().OpenLog(pod, QueryString(call->request(), "container"), std::move(*options));
  if (!log.ok()) co_return RespondStatus(exchange, log.status());

  http::Response head;
  head.content_type = "text/plain";
  Result<http::ResponseStream*> started = co_await exchange.StartStream(std::move(head));
  if (!started.ok()) co_return;
  http::ResponseStream& stream = **started;
  if (follow) {
    // A reader that waits for the next line must learn that nobody listens any more.
    LogStream* reader = log->get();
    exchange.set_on_close([reader] { reader->Cancel(); });
  }
  while (!stream.closed()) {
    std::string piece = co_await (*log)->Next();
    if (piece.empty()) break;
    std::vector<http::SharedBuffer> buffers;
    buffers.emplace_back(std::move(piece));
    Status sent = co_await stream.Write(std::move(buffers));
    if (!sent.ok()) break;
  }
  exchange.set_on_close(nullptr);
}

}  // namespace

void AddLogHandler(Api& api, ControlPlane& plane) {
  api.AddSubresource(std::string(resources::kPods), "log", "GET",
                     [&plane](std::shared_ptr<Call> call) { return ServeLog(std::move(call), plane); });
}

}  // namespace wherry
