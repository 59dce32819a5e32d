#include "api/rest/api.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "api/rest/discovery.h"
#include "api/rest/watch.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

using http::Exchange;
using http::Request;

Status UnknownPath() { return Status(Reason::kNotFound, "the server could not find the requested resource"); }
Status WrongMethod() {
  return Status(Reason::kMethodNotAllowed, "the server does not allow this method on the requested resource");
}

// What the path of a resource request names; empty pieces are absent.
struct ResourcePath {
  std::string group, version, ns, plural, name, subresource;
};

// /api/v1/…, /apis/<group>/<version>/…, with namespaces/<ns>/ before a namespaced resource. False when it is none.
bool ParseResourcePath(const std::vector<std::string_view>& segments, ResourcePath* out) {
  size_t at = 0;
  if (segments.size() >= 3 && segments[0] == "api") {
    out->version = segments[1];
    at = 2;
  } else if (segments.size() >= 4 && segments[0] == "apis") {
    out->group = segments[1];
    out->version = segments[2];
    at = 3;
  } else {
    return false;
  }
  auto piece = [&](size_t i) { return i < segments.size() ? std::string(segments[i]) : std::string(); };
  // "namespaces" is both a resource and a scope: namespaces/x, namespaces/x/status and namespaces/x/finalize are the resource.
  if (segments[at] == "namespaces" && segments.size() > at + 2 &&
      !(segments.size() == at + 3 && out->group.empty() && (segments[at + 2] == "status" || segments[at + 2] == "finalize"))) {
    out->ns = piece(at + 1);
    at += 2;
  }
  out->plural = piece(at);
  out->name = piece(at + 1);
  out->subresource = piece(at + 2);
  return segments.size() <= at + 3;
}

}  // namespace

Api::Api(Registry& registry, asio::any_io_executor executor, ApiOptions options)
    : registry_(registry), executor_(std::move(executor)), options_(std::move(options)), pages_(registry) {}

void Api::AddSubresource(std::string resource, std::string subresource, std::string method, SubresourceHandler handler) {
  subresources_[resource + "/" + subresource + " " + method] = std::move(handler);
}

void Api::AddReadyCheck(std::string name, std::function<bool()> ready) { ready_checks_[std::move(name)] = std::move(ready); }

Status Api::Authenticate(const Request& request, Identity& identity) const {
  if (const auto& peer = request.peer()) {
    identity.user = peer->user;
    identity.groups = peer->groups;
    return {};
  }
  const std::string_view header = request.header("Authorization");
  constexpr std::string_view kBearer = "Bearer ";
  if (header.size() > kBearer.size() && http::EqualsIgnoreCase(header.substr(0, kBearer.size()), kBearer)) {
    auto found = options_.tokens.find(std::string(header.substr(kBearer.size())));
    if (found != options_.tokens.end()) {
      identity = found->second;
      return {};
    }
  }
  return Status(Reason::kUnauthorized, "Unauthorized");
}

bool Api::HandleOpen(Exchange& exchange) {
  const Request& request = exchange.request();
  const std::string_view path = request.path();
  if (path == "/version" || path == "/version/") {
    RespondJson(exchange, {{"major", "1"},
                           {"minor", "32"},
                           {"gitVersion", "v1.32.0+wherry." + options_.version},
                           {"gitCommit", ""},
                           {"gitTreeState", "clean"},
                           {"buildDate", "1970-01-01T00:00:00Z"},
                           {"goVersion", ""},
                           {"compiler", "g++"},
                           {"platform", "linux/amd64"}});
    return true;
  }
  const auto& segments = request.segments();
  if (segments.empty() || segments.size() > 2) return false;
  const std::string_view probe = segments[0];
  if (probe != "healthz" && probe != "livez" && probe != "readyz") return false;
  std::string text;
  bool good = true;
  for (const auto& [name, ready] : ready_checks_) {
    if (segments.size() == 2 && name != segments[1]) continue;
    const bool is_ready = probe == "livez" || ready();
    good = good && is_ready;
    text += (is_ready ? "[+]" : "[-]") + name + (is_ready ? " ok\n" : " failed: not ready yet\n");
  }
  if (segments.size() == 2 && segments[1] != "ping" && !ready_checks_.contains(std::string(segments[1]))) return false;
  const bool verbose = request.query("verbose").has_value();
  if (good && !verbose) {
    text = "ok";
  } else {
    text += std::string(probe) + (good ? " check passed\n" : " check failed\n");
  }
  exchange.Respond(http::Response::Text(good ? 200 : 500, text));
  return true;
}

bool Api::HandleDocument(Exchange& exchange) {
  const Request& request = exchange.request();
  const auto& segments = request.segments();
  const KindCatalog& catalog = registry_.catalog();
  const std::string_view first = segments.empty() ? std::string_view() : segments[0];
  Json document;
  if (first == "api" || first == "apis") {
    if (segments.size() == 1) {
      const std::string_view accept = request.header("Accept");
      if (accept.find("as=APIGroupDiscoveryList") != std::string_view::npos && accept.find("v=v2;") != std::string_view::npos) {
        http::Response response;
        response.content_type = kAggregatedType;
        response.body = AggregatedDiscovery(catalog, first == "api").dump();
        exchange.Respond(std::move(response));
        return true;
      }
      document = first == "api" ? ApiVersions(options_.server_address) : ApiGroupList(catalog);
    } else if (first == "api" && segments.size() == 2) {
      document = ApiResourceList(catalog, "", segments[1]);
    } else if (first == "apis" && segments.size() == 2) {
      document = ApiGroup(catalog, segments[1]);
    } else if (first == "apis" && segments.size() == 3) {
      document = ApiResourceList(catalog, segments[1], segments[2]);
    } else {
      return false;
    }
  } else if (first == "openapi" && segments.size() >= 2) {
    if (segments[1] == "v2" && segments.size() == 2) {
      const std::string_view accept = request.header("Accept");
      if (accept.find("protobuf") != std::string_view::npos) {
        http::Response response;
        // The type clients ask for is no legal media type; this one parses everywhere.
        response.content_type = "application/octet-stream";
        response.body = OpenApiV2Protobuf(catalog);
        exchange.Respond(std::move(response));
        return true;
      }
      document = OpenApiV2(catalog);
    } else if (segments[1] == "v3" && segments.size() == 2) {
      document = OpenApiV3Root(catalog);
    } else if (segments[1] == "v3" && segments.size() == 4 && segments[2] == "api") {
      document = OpenApiV3(catalog, "", segments[3]);
    } else if (segments[1] == "v3" && segments.size() == 5 && segments[2] == "apis") {
      document = OpenApiV3(catalog, segments[3], segments[4]);
    }
  } else {
    return false;
  }
  if (request.method() != "GET" && request.method() != "HEAD") {
    RespondStatus(exchange, WrongMethod());
  } else if (document.is_null()) {
    exchange.Respond(http::Response::Text(404, "404 page not found\n"));
  } else {
    RespondJson(exchange, document);
  }
  return true;
}

Task<> Api::Handle(http::ExchangePtr exchange) {
  const Request& request = exchange->request();
  if (HandleOpen(*exchange)) co_return;
  Identity identity;
  Status status = Authenticate(request, identity);
  if (!status.ok()) co_return RespondStatus(*exchange, status);
  if (HandleDocument(*exchange)) co_return;

  ResourcePath path;
  if (!ParseResourcePath(request.segments(), &path)) co_return exchange->Respond(http::Response::Text(404, "404 page not found\n"));
  if (path.group == "authorization.k8s.io" || path.group == "authentication.k8s.io") {
    co_await Review(std::move(exchange), path.group, path.version, path.plural, path.ns, std::move(identity));
    co_return;
  }
  const Kind* kind = registry_.catalog().Find(path.group, path.version, path.plural);
  if (!kind || (!path.ns.empty() && !kind->namespaced)) co_return RespondStatus(*exchange, UnknownPath());
  auto call = std::make_shared<Call>();
  call->exchange = std::move(exchange);
  call->kind = kind;
  call->ns = path.ns;
  call->name = path.name;
  call->subresource = path.subresource;
  call->identity = std::move(identity);
  // Logs and streams negotiate for themselves.
  if (path.subresource.empty() || path.subresource == "status" || path.subresource == "scale") {
    Result<AnswerForm> form = Negotiate(request);
    if (!form.ok()) co_return RespondStatus(*call->exchange, form.status());
    call->form = *form;
  }
  co_await HandleResource(std::move(call), kind->namespaced && path.ns.empty());
}

Task<> Api::HandleResource(std::shared_ptr<Call> call, bool all_namespaces) {
  const Request& request = call->request();
  const std::string method(request.method() == "HEAD" ? "GET" : request.method());
  const bool named = !call->name.empty();

  if (!call->subresource.empty() && call->subresource != "status") {
    if (!call->kind->FindSubresource(call->subresource)) co_return RespondStatus(*call->exchange, UnknownPath());
    const std::string key = call->kind->resource + "/" + call->subresource + " " + method;
    auto handler = subresources_.find(key);
    if (handler == subresources_.end()) co_return RespondStatus(*call->exchange, WrongMethod());
    co_await handler->second(std::move(call));
    co_return;
  }
  if (call->subresource == "status" && !call->kind->has_status) co_return RespondStatus(*call->exchange, UnknownPath());
  if (named && all_namespaces) co_return RespondStatus(*call->exchange, UnknownPath());

  if (method == "GET") {
    if (QueryBool(request, "watch") && call->subresource.empty()) {
      Result<ListQuery> query = ReadListQuery(request, true);
      if (!query.ok()) co_return RespondStatus(*call->exchange, query.status());
      co_await ServeWatch(std::move(call), std::move(*query), registry_, executor_);
    } else if (named) {
      co_await Get(std::move(call));
    } else {
      co_await List(std::move(call));
    }
  } else if (method == "POST" && !named && !all_namespaces) {
    co_await Create(std::move(call));
  } else if (method == "PUT" && named) {
    co_await Update(std::move(call));
  } else if (method == "PATCH" && named) {
    co_await Patch(std::move(call));
  } else if (method == "DELETE" && call->subresource.empty()) {
    if (named) {
      co_await Delete(std::move(call));
    } else {
      co_await DeleteCollection(std::move(call));
    }
  } else {
    RespondStatus(*call->exchange, WrongMethod());
  }
}

Task<> Api::Review(http::ExchangePtr exchange, std::string group, std::string version, std::string plural, std::string ns,
                   Identity identity) {
  const Kind* kind = registry_.catalog().FindVirtual(group, version, plural);
  if (!kind || (!ns.empty() && !kind->namespaced)) co_return RespondStatus(*exchange, UnknownPath());
  if (exchange->request().method() != "POST") co_return RespondStatus(*exchange, WrongMethod());
  Result<Decoded> body = DecodeBody(exchange->request(), *kind->type, kind->gvk);
  if (!body.ok()) co_return RespondStatus(*exchange, body.status());
  Json answer = std::move(body->document);
  if (!answer.contains("metadata")) answer["metadata"] = {{"creationTimestamp", nullptr}};
  const Json user = {{"username", identity.user}, {"groups", identity.groups}};
  const std::string& name = kind->gvk.kind;
  if (name == "SelfSubjectReview") {
    answer["status"] = {{"userInfo", user}};
  } else if (name == "SelfSubjectRulesReview") {
    const Json all = Json::array({"*"});
    answer["status"] = {{"resourceRules", Json::array({{{"verbs", all}, {"apiGroups", all}, {"resources", all}}})},
                        {"nonResourceRules", Json::array({{{"verbs", all}, {"nonResourceURLs", all}}})},
                        {"incomplete", false}};
  } else if (name == "TokenReview") {
    auto found = options_.tokens.find(StringAt(answer, "spec.token"));
    answer["status"] = {{"authenticated", found != options_.tokens.end()}};
    if (found != options_.tokens.end()) {
      answer["status"]["user"] = {{"username", found->second.user}, {"groups", found->second.groups}};
    }
  } else {
    // Access reviews: whoever is authenticated may.
    answer["status"] = {{"allowed", true}, {"reason", "every authenticated user may do everything"}};
  }
  RespondJson(*exchange, answer, 201);
}

}  // namespace wherry
