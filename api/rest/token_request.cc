// POST serviceaccounts/x/token: a token for whoever asks (kubectl create token).

#include <nlohmann/json.hpp>
#include <utility>

#include "api/rest/api.h"
#include "api/rest/service_account_tokens.h"
#include "core/kinds/fields.h"

namespace wherry {
namespace {

const GroupVersionKind kTokenRequest{"authentication.k8s.io", "v1", "TokenRequest"};

// The range that upstream's validation has for spec.expirationSeconds.
FieldErrors CheckSeconds(int64_t seconds) {
  std::string problem;
  if (seconds < ServiceAccountTokens::kMinSeconds) problem = "may not specify a duration less than 10 minutes";
  if (seconds > int64_t{1} << 32) problem = "may not specify a duration larger than 2^32 seconds";
  if (problem.empty()) return {};
  return {
      {"spec.expirationSeconds", "FieldValueInvalid", "Invalid value: " + std::to_string(seconds) + ": " + problem}};
}

// The name and namespace of the body, where it has them, are those of the path.
Status CheckNames(const Call& call, const Json& request) {
  const std::string name = StringAt(request, "metadata.name", call.name);
  if (name != call.name) {
    return Status::BadRequest("the name of the object (" + name + ") does not match the name on the URL (" + call.name +
                              ")");
  }
  if (StringAt(request, "metadata.namespace", call.ns) != call.ns) {
    return Status::BadRequest("the namespace of the provided object does not match the namespace sent on the request");
  }
  return {};
}

TokenSpec SpecOf(const Call& call, const Json& request) {
  TokenSpec spec;
  spec.ns = call.ns;
  spec.account = call.name;
  for (const Json& audience : ListAt(request, "spec.audiences")) spec.audiences.push_back(audience.get<std::string>());
  spec.seconds = IntAt(request, "spec.expirationSeconds", spec.seconds);
  return spec;
}

// Pods, Secrets and Nodes are of the core group.
Status ReadBound(const Json& request, BoundObject& bound) {
  const Json* reference = FindPath(request, "spec.boundObjectRef");
  if (!reference || !reference->is_object()) return {};
  const std::string version = StringAt(*reference, "apiVersion");
  bound = {StringAt(*reference, "kind"), StringAt(*reference, "name"), StringAt(*reference, "uid")};
  if (version == "v1" && !bound.kind.empty()) return {};
  return Status::BadRequest("cannot bind token to object of type " + version + ", Kind=" + bound.kind);
}

Task<> PostToken(std::shared_ptr<Call> call, Registry& registry, ServiceAccountTokens& tokens) {
  Result<Decoded> body = DecodeBody(call->request(), *registry.catalog().FindBodyType(kTokenRequest), kTokenRequest);
  if (!body.ok()) co_return RespondStatus(*call->exchange, body.status());
  Json& request = body->document;
  Status status = CheckNames(*call, request);
  if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  TokenSpec spec = SpecOf(*call, request);
  const FieldErrors errors = CheckSeconds(spec.seconds);
  if (!errors.empty()) co_return RespondStatus(*call->exchange, InvalidStatus(kTokenRequest, call->name, errors));
  status = ReadBound(request, spec.bound);
  if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  const Result<IssuedToken> issued = tokens.Issue(spec);
  if (!issued.ok()) co_return RespondStatus(*call->exchange, issued.status());

  request["metadata"]["name"] = call->name;
  request["metadata"]["namespace"] = call->ns;
  request["metadata"]["creationTimestamp"] = FormatTime(registry.clock().Now());
  request["spec"]["audiences"] = issued->audiences;
  request["spec"]["expirationSeconds"] = issued->seconds;
  request["status"] = {{"token", issued->token}, {"expirationTimestamp", FormatTime(issued->expires)}};
  RespondJson(*call->exchange, request, 201);
}

}  // namespace

void AddTokenRequests(Api& api, Registry& registry, ServiceAccountTokens& tokens) {
  api.AddSubresource("serviceaccounts", "token", "POST", [&registry, &tokens](std::shared_ptr<Call> call) {
    return PostToken(std::move(call), registry, tokens);
  });
}

}  // namespace wherry
