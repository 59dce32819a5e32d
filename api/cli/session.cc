#include "api/cli/session.h"

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>

#include "api/http/http_client.h"
#include "api/http/pki.h"
#include "core/runtime/clock.h"

namespace wherry::cli {
namespace {

Reason ReasonOf(int code, const std::string& name) {
  static constexpr Reason kReasons[] = {Reason::kBadRequest,
                                        Reason::kUnauthorized,
                                        Reason::kForbidden,
                                        Reason::kNotFound,
                                        Reason::kMethodNotAllowed,
                                        Reason::kNotAcceptable,
                                        Reason::kAlreadyExists,
                                        Reason::kConflict,
                                        Reason::kExpired,
                                        Reason::kRequestEntityTooLarge,
                                        Reason::kUnsupportedMediaType,
                                        Reason::kInvalid,
                                        Reason::kTooManyRequests,
                                        Reason::kInternalError,
                                        Reason::kServiceUnavailable,
                                        Reason::kTimeout};
  for (Reason reason : kReasons) {
    if (ReasonString(reason) == name) return reason;
  }
  for (Reason reason : kReasons) {
    if (HttpCode(reason) == code) return reason;
  }
  return Reason::kInternalError;
}

Status Refusal(const Access& access, int code, const std::string& body) {
  const Json document = Json::parse(body, nullptr, false);
  std::string message, reason;
  if (document.is_object()) {
    message = document.value("message", "");
    reason = document.value("reason", "");
  }
  if (message.empty()) message = "the server answered " + std::to_string(code);
  if (code == 401) {
    message = access.url + " does not accept the credentials in " + access.source + " (" + message +
              "): use the kubeconfig of the cluster that runs there (`wherry kubeconfig` prints it)";
  }
  return Status(ReasonOf(code, reason), std::move(message));
}

// Why no answer came, and what to do about it.
Status Unreachable(const Access& access, const Status& failure) {
  std::string why = failure.message();
  const std::string where = "cannot connect to " + access.host + ":" + std::to_string(access.port) + ": ";
  if (why.starts_with(where)) why.erase(0, where.size());
  const auto has = [&why](std::string_view word) { return why.find(word) != std::string::npos; };
  if (has("onnection refused")) {
    return Status::Unavailable("cannot reach " + access.url + ": connection refused; start one with `wherry up`");
  }
  if (has("certificate")) {
    return Status::Unavailable("cannot trust " + access.url + ": " + why + "; is " + access.source +
                               " the kubeconfig of the cluster that runs there?");
  }
  return Status::Unavailable("cannot reach " + access.url + ": " + why);
}

}  // namespace

std::string Target(std::string path, const std::vector<std::pair<std::string, std::string>>& query) {
  char separator = '?';
  for (const auto& [name, value] : query) {
    if (value.empty()) continue;
    path += separator + name + "=" + http::PercentEncode(value);
    separator = '&';
  }
  return path;
}

struct Session::Impl {
  explicit Impl(Access to) : access(std::move(to)) {}

  // Runs the loop until the task is done; what it throws comes out here.
  template <typename T>
  T Await(Task<T> task) {
    std::optional<T> out;
    std::exception_ptr thrown;
    bool done = false;
    asio::co_spawn(io.get_executor(), Keep(std::move(task), &out), [&](std::exception_ptr error) {
      thrown = error;
      done = true;
    });
    io.restart();
    while (!done && io.run_one() > 0) {
    }
    if (thrown) std::rethrow_exception(thrown);
    return std::move(*out);
  }

  template <typename T>
  static Task<> Keep(Task<T> task, std::optional<T>* out) {
    T value = co_await std::move(task);
    out->emplace(std::move(value));
  }

  Result<Json> Exchange(http::ClientRequest request);
  Task<Status> ReadLines(http::ClientRequest request, std::chrono::milliseconds limit,
                         std::function<Next(const std::string&)> on_line);
  Task<Status> ReadBytes(http::ClientRequest request, std::function<void(const std::string&)> on_bytes);
  Task<Status> ReadRefusal(std::shared_ptr<http::ClientStream> stream);

  const Access access;
  asio::io_context io{1};
  std::unique_ptr<Clock> clock = NewSystemClock(io);
  std::unique_ptr<http::HttpClient> client;
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

const Access& Session::access() const { return impl_->access; }

Result<std::unique_ptr<Session>> Session::Open(Access access) {
  auto impl = std::make_unique<Impl>(std::move(access));
  const Access& to = impl->access;
  http::ClientOptions options;
  options.host = to.host;
  options.port = to.port;
  options.bearer_token = to.token;
  if (to.tls) {
    if (!to.certificate.empty()) {
      const Time expiry = http::CertificateExpiry(to.certificate);
      if (expiry != Time::min() && expiry < impl->clock->Now()) {
        return Status(Reason::kUnauthorized, "the client certificate in " + to.source + " ran out at " +
                                                 FormatTime(expiry) +
                                                 ": restart the server, which renews it, and use its new kubeconfig");
      }
    }
    http::ClientTls tls{to.authority, to.certificate, to.key, to.server_name, to.insecure};
    Result<http::TlsContextPtr> context = http::TlsContext::Client(tls);
    if (!context.ok()) {
      return Status::BadRequest("the kubeconfig " + to.source + ": " + context.status().message());
    }
    options.tls = std::move(*context);
  }
  impl->client = std::make_unique<http::HttpClient>(impl->io.get_executor(), *impl->clock, std::move(options));
  return std::unique_ptr<Session>(new Session(std::move(impl)));
}

Result<Json> Session::Impl::Exchange(http::ClientRequest request) {
  request.target = access.base_path + request.target;
  Result<http::ClientResponse> answer = Await(client->Do(std::move(request)));
  if (!answer.ok()) return Unreachable(access, answer.status());
  if (answer->status >= 400) return Refusal(access, answer->status, answer->body);
  Json document = Json::parse(answer->body, nullptr, false);
  if (document.is_discarded()) return Status::Internal(access.url + " answered something that is not JSON");
  return document;
}

Result<Json> Session::Get(const std::string& target, const std::string& accept) {
  http::ClientRequest request;
  request.target = target;
  request.headers = {{"Accept", accept}};
  return impl_->Exchange(std::move(request));
}

Result<Json> Session::Send(const std::string& method, const std::string& target, const std::string& content_type,
                           const Json& body) {
  http::ClientRequest request;
  request.method = method;
  request.target = target;
  request.headers = {{"Accept", "application/json"}, {"Content-Type", content_type}};
  request.body = body.dump();
  return impl_->Exchange(std::move(request));
}

Task<Status> Session::Impl::ReadRefusal(std::shared_ptr<http::ClientStream> stream) {
  std::string body;
  for (;;) {
    Result<std::string> piece = co_await stream->ReadSome();
    if (!piece.ok() || piece->empty()) break;
    body += *piece;
  }
  co_return Refusal(access, stream->head().status, body);
}

Task<Status> Session::Impl::ReadLines(http::ClientRequest request, std::chrono::milliseconds limit,
                                      std::function<Next(const std::string&)> on_line) {
  Result<std::shared_ptr<http::ClientStream>> opened = co_await client->Open(std::move(request));
  if (!opened.ok()) co_return Unreachable(access, opened.status());
  std::shared_ptr<http::ClientStream> stream = *opened;
  if (stream->head().status >= 400) {
    Status refused = co_await ReadRefusal(stream);
    co_return refused;
  }
  bool expired = false;
  Clock::TimerId timer = 0;
  if (limit.count() > 0) {
    timer = clock->After(limit, [stream, &expired] {
      expired = true;
      stream->Close();
    });
  }
  Status outcome;
  for (;;) {
    Result<std::optional<std::string>> line = co_await stream->ReadLine();
    if (!line.ok()) {
      if (!expired) outcome = Unreachable(access, line.status());
      break;
    }
    if (!line->has_value() || on_line(**line) == Next::kStop) break;
  }
  clock->Cancel(timer);
  stream->Close();
  co_return outcome;
}

Task<Status> Session::Impl::ReadBytes(http::ClientRequest request, std::function<void(const std::string&)> on_bytes) {
  Result<std::shared_ptr<http::ClientStream>> opened = co_await client->Open(std::move(request));
  if (!opened.ok()) co_return Unreachable(access, opened.status());
  std::shared_ptr<http::ClientStream> stream = *opened;
  if (stream->head().status >= 400) {
    Status refused = co_await ReadRefusal(stream);
    co_return refused;
  }
  for (;;) {
    Result<std::string> piece = co_await stream->ReadSome();
    if (!piece.ok()) co_return Unreachable(access, piece.status());
    if (piece->empty()) co_return Status();
    on_bytes(*piece);
  }
}

Status Session::StreamLines(const std::string& target, const std::string& accept, std::chrono::milliseconds limit,
                            const std::function<Next(const std::string&)>& on_line) {
  http::ClientRequest request;
  request.target = impl_->access.base_path + target;
  request.headers = {{"Accept", accept}};
  return impl_->Await(impl_->ReadLines(std::move(request), limit, on_line));
}

Status Session::StreamBytes(const std::string& target, const std::function<void(const std::string&)>& on_bytes) {
  http::ClientRequest request;
  request.target = impl_->access.base_path + target;
  request.headers = {{"Accept", "*/*"}};
  return impl_->Await(impl_->ReadBytes(std::move(request), on_bytes));
}

void Session::Sleep(std::chrono::milliseconds pause) {
  bool over = false;
  impl_->clock->After(pause, [&over] { over = true; });
  impl_->io.restart();
  while (!over && impl_->io.run_one() > 0) {
  }
}

}  // namespace wherry::cli
