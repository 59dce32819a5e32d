#include "api/rest/api.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "api/rest/watch.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

using http::Request;

Status UnknownPath() { return Status(Reason::kNotFound, "the server could not find the requested resource"); }

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
  // "namespaces" is both a resource and a scope: namespaces/x, namespaces/x/status and namespaces/x/finalize are the
  // resource.
  if (segments[at] == "namespaces" && segments.size() > at + 2 &&
      !(segments.size() == at + 3 && out->group.empty() &&
        (segments[at + 2] == "status" || segments[at + 2] == "finalize"))) {
    out->ns = piece(at + 1);
    at += 2;
  }
  out->plural = piece(at);
  out->name = piece(at + 1);
  out->subresource = piece(at + 2);
  // What follows "proxy" is the path of the one behind it.
  return segments.size() <= at + 3 || out->subresource == "proxy";
}

// The verb that discovery would have to name, "" when no such request exists.
std::string_view VerbOf(std::string_view method, bool watch, bool named) {
  if (method == "GET") return watch ? "watch" : named ? "get" : "list";
  if (method == "POST" && !named) return "create";
  if (method == "PUT" && named) return "update";
  if (method == "PATCH" && named) return "patch";
  if (method == "DELETE") return named ? "delete" : "deletecollection";
  return "";
}

bool Has(const std::vector<std::string>& verbs, std::string_view verb) {
  return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
}

// What is exchanged there is the object, by the ordinary verbs.
bool IsObject(const Kind& kind, const std::string& subresource) {
  return subresource.empty() || subresource == "status" || kind.FindPart(subresource) != nullptr;
}

// The authentication.k8s.io/v1 UserInfo of who asks.
Json UserInfo(const Identity& identity) {
  Json info = {{"username", identity.user}, {"groups", identity.groups}};
  if (!identity.uid.empty()) info["uid"] = identity.uid;
  if (!identity.extra.empty()) info["extra"] = identity.extra;
  return info;
}

}  // namespace

Status WrongMethod() {
  return Status(Reason::kMethodNotAllowed, "the server does not allow this method on the requested resource");
}

Api::Api(Registry& registry, asio::any_io_executor executor, ApiOptions options)
    : registry_(registry), executor_(std::move(executor)), options_(std::move(options)), pages_(registry) {}

void Api::AddSubresource(std::string resource, std::string subresource, std::string method,
                         SubresourceHandler handler) {
  subresources_[resource + "/" + subresource + " " + method] = std::move(handler);
}

void Api::AddMeasured(std::string resource, SubresourceHandler handler) {
  measured_[std::move(resource)] = std::move(handler);
}

void Api::AddReadyCheck(std::string name, std::function<bool()> ready) {
  ready_checks_[std::move(name)] = std::move(ready);
}

Status Api::Authenticate(const Request& request, Identity& identity) const {
  if (const auto& peer = request.peer()) {
    identity.user = peer->user;
    identity.groups = peer->groups;
    return {};
  }
  const std::string_view header = request.header("Authorization");
  constexpr std::string_view kBearer = "Bearer ";
  if (header.size() > kBearer.size() && http::EqualsIgnoreCase(header.substr(0, kBearer.size()), kBearer)) {
    Result<Bearer> bearer =
        JudgeToken(std::string(header.substr(kBearer.size())), {std::string(ServiceAccountTokens::kIssuer)});
    if (bearer.ok()) {
      identity = std::move(bearer->identity);
      return {};
    }
  }
  return Status(Reason::kUnauthorized, "Unauthorized");
}

Result<Bearer> Api::JudgeToken(const std::string& token, const std::vector<std::string>& audiences) const {
  const std::string own(ServiceAccountTokens::kIssuer);
  const auto found = options_.tokens.find(token);
  if (found != options_.tokens.end() && std::find(audiences.begin(), audiences.end(), own) != audiences.end())
    return Bearer{found->second, {own}};
  if (!options_.service_accounts) return Status(Reason::kUnauthorized, "invalid bearer token");
  return options_.service_accounts->Verify(token, audiences);
}

Json Api::ReviewToken(const Json& review) const {
  std::vector<std::string> audiences;
  for (const Json& audience : ListAt(review, "spec.audiences")) audiences.push_back(audience.get<std::string>());
  if (audiences.empty()) audiences.emplace_back(ServiceAccountTokens::kIssuer);
  const Result<Bearer> bearer = JudgeToken(StringAt(review, "spec.token"), audiences);
  if (!bearer.ok()) return {{"authenticated", false}, {"error", bearer.status().message()}};
  return {{"authenticated", true}, {"user", UserInfo(bearer->identity)}, {"audiences", bearer->audiences}};
}

Task<> Api::Handle(http::ExchangePtr exchange) {
  const Request& request = exchange->request();
  if (HandleOpen(*exchange)) co_return;
  Identity identity;
  Status status = Authenticate(request, identity);
  if (!status.ok()) co_return RespondStatus(*exchange, status);
  if (HandleDocument(*exchange)) co_return;

  ResourcePath path;
  if (!ParseResourcePath(request.segments(), &path))
    co_return exchange->Respond(http::Response::Text(404, "404 page not found\n"));
  // Reviews, bindings and measurements are stored nowhere.
  if (const Kind* virtual_kind = registry_.catalog().FindVirtual(path.group, path.version, path.plural)) {
    if (Has(virtual_kind->verbs, "list")) {
      if (request.method() != "GET" || (!path.name.empty() && virtual_kind->namespaced && path.ns.empty()))
        co_return RespondStatus(*exchange, WrongMethod());
      if (!path.subresource.empty() || (!path.ns.empty() && !virtual_kind->namespaced))
        co_return RespondStatus(*exchange, UnknownPath());
      const auto measured = measured_.find(virtual_kind->resource);
      if (measured == measured_.end()) {  // nobody does: nothing is known
        if (!path.name.empty())
          co_return RespondStatus(*exchange,
                                  Status::NotFound(virtual_kind->plural, virtual_kind->gvk.group, path.name));
        const Json nothing = {{"kind", virtual_kind->list_kind},
                              {"apiVersion", virtual_kind->gvk.api_version()},
                              {"metadata", Json::object()},
                              {"items", Json::array()}};
        co_return RespondJson(*exchange, nothing);
      }
      auto call = std::make_shared<Call>();
      call->exchange = std::move(exchange);
      call->kind = virtual_kind;
      call->ns = path.ns;
      call->name = path.name;
      call->identity = std::move(identity);
      co_await measured->second(std::move(call));
      co_return;
    }
    if (!path.name.empty()) co_return RespondStatus(*exchange, UnknownPath());
    co_await PostVirtual(std::move(exchange), path.group, path.version, path.plural, path.ns, std::move(identity));
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
  if (IsObject(*kind, path.subresource) || path.subresource == "scale") {
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
  if (method != "GET") {
    Status status = CheckDryRun(request);
    if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  }

  if (!IsObject(*call->kind, call->subresource)) {
    if (!call->kind->FindSubresource(call->subresource)) co_return RespondStatus(*call->exchange, UnknownPath());
    const std::string key = call->kind->resource + "/" + call->subresource + " " + method;
    auto handler = subresources_.find(key);
    if (handler == subresources_.end()) co_return RespondStatus(*call->exchange, WrongMethod());
    co_await handler->second(std::move(call));
    co_return;
  }
  if (call->subresource == "status" && !call->kind->has_status) co_return RespondStatus(*call->exchange, UnknownPath());
  if (named && all_namespaces) co_return RespondStatus(*call->exchange, UnknownPath());

  // HEAD of a watch is the head of its list: there is nothing to wait for.
  const bool watch = request.method() == "GET" && call->subresource.empty() && QueryBool(request, "watch");
  const std::string_view verb = VerbOf(method, watch, named);
  const Subresource* part = call->kind->FindSubresource(call->subresource);
  const bool served = part ? named && Has(part->verbs, verb) : Has(call->kind->verbs, verb);
  // Across all namespaces one may only read.
  if (!served || (all_namespaces && method != "GET")) co_return RespondStatus(*call->exchange, WrongMethod());

  if (verb == "watch") {
    Result<ListQuery> query = ReadListQuery(request, true);
    if (!query.ok()) co_return RespondStatus(*call->exchange, query.status());
    co_await ServeWatch(std::move(call), std::move(*query), registry_, executor_);
  } else if (verb == "get") {
    co_await Get(std::move(call));
  } else if (verb == "list") {
    co_await List(std::move(call));
  } else if (verb == "create") {
    co_await Create(std::move(call));
  } else if (verb == "update") {
    co_await Update(std::move(call));
  } else if (verb == "patch") {
    co_await Patch(std::move(call));
  } else if (verb == "delete") {
    co_await Delete(std::move(call));
  } else {
    co_await DeleteCollection(std::move(call));
  }
}

Task<> Api::PostVirtual(http::ExchangePtr exchange, std::string group, std::string version, std::string plural,
                        std::string ns, Identity identity) {
  const Kind* kind = registry_.catalog().FindVirtual(group, version, plural);
  if (!ns.empty() && !kind->namespaced) co_return RespondStatus(*exchange, UnknownPath());
  if (exchange->request().method() != "POST" || (kind->namespaced && ns.empty()))
    co_return RespondStatus(*exchange, WrongMethod());
  Result<Decoded> body = DecodeBody(exchange->request(), *kind->type, kind->gvk);
  if (!body.ok()) co_return RespondStatus(*exchange, body.status());
  Json answer = std::move(body->document);
  if (kind->gvk.kind == "Binding") {
    Call call;
    call.exchange = exchange;
    call.kind = kind;
    call.identity = std::move(identity);
    const std::string pod = StringAt(answer, "metadata.name");
    Status status = co_await registry_.Bind(ns, pod, std::move(answer), call.context());
    if (!status.ok()) co_return RespondStatus(*exchange, status);
    co_return RespondDone(*exchange);
  }
  if (!answer.contains("metadata")) answer["metadata"] = {{"creationTimestamp", nullptr}};
  const std::string& name = kind->gvk.kind;
  if (name == "SelfSubjectReview") {
    answer["status"] = {{"userInfo", UserInfo(identity)}};
  } else if (name == "SelfSubjectRulesReview") {
    const Json all = Json::array({"*"});
    answer["status"] = {{"resourceRules", Json::array({{{"verbs", all}, {"apiGroups", all}, {"resources", all}}})},
                        {"nonResourceRules", Json::array({{{"verbs", all}, {"nonResourceURLs", all}}})},
                        {"incomplete", false}};
  } else if (name == "TokenReview") {
    answer["status"] = ReviewToken(answer);
  } else {
    // Access reviews: whoever is authenticated may.
    answer["status"] = {{"allowed", true}, {"reason", "every authenticated user may do everything"}};
  }
  RespondJson(*exchange, answer, 201);
}

}  // namespace wherry
