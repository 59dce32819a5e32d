#include "api/rest/service_account_tokens.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr auto kLeeway = std::chrono::minutes(1);
constexpr std::string_view kClaims = "kubernetes.io";

// What a token can be bound to, and the claim that names it.
struct Binding {
  std::string_view kind, resource, claim;
  bool namespaced;
};
constexpr Binding kBindings[] = {
    {"Pod", resources::kPods, "pod", true},
    {"Secret", resources::kSecrets, "secret", true},
    {"Node", resources::kNodes, "node", false},
};

const Binding* FindBinding(std::string_view kind) {
  const auto* found = std::find_if(std::begin(kBindings), std::end(kBindings),
                                   [&](const Binding& binding) { return binding.kind == kind; });
  return found == std::end(kBindings) ? nullptr : found;
}

Status Unauthorized(std::string message) { return Status(Reason::kUnauthorized, std::move(message)); }

int64_t Seconds(Time time) { return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count(); }

Json ClaimOf(const Object& object) { return {{"name", object.name()}, {"uid", object.uid()}}; }

// What the claims tell of the bearer beyond name and groups, under the keys that upstream has for it.
std::map<std::string, std::vector<std::string>> ExtraOf(const Json& claims, const Json& own) {
  std::map<std::string, std::vector<std::string>> extra;
  extra["authentication.kubernetes.io/credential-id"] = {"JTI=" + StringAt(claims, "jti")};
  for (const std::string claim : {"pod", "node"}) {
    if (!own.contains(claim)) continue;
    extra["authentication.kubernetes.io/" + claim + "-name"] = {StringAt(own, claim + ".name")};
    extra["authentication.kubernetes.io/" + claim + "-uid"] = {StringAt(own, claim + ".uid")};
  }
  return extra;
}

}  // namespace

// The claims of what the token is bound to; of a pod also the node it runs on.
Result<Json> ServiceAccountTokens::BoundClaims(const TokenSpec& spec) const {
  Json claims = Json::object();
  if (spec.bound.kind.empty()) return claims;
  const Binding* binding = FindBinding(spec.bound.kind);
  if (!binding) return Status::BadRequest("cannot bind token to object of type " + spec.bound.kind);
  const WatchCache& cache = registry_.cache();
  const ObjectPtr object = cache.Get(binding->resource, binding->namespaced ? spec.ns : "", spec.bound.name);
  if (!object) return Status::NotFound(binding->resource, "", spec.bound.name);
  if (!spec.bound.uid.empty() && spec.bound.uid != object->uid()) {
    return Status::Conflict(binding->resource, "", spec.bound.name,
                            "the UID in the bound object reference (" + spec.bound.uid +
                                ") does not match the UID in record. The object might have been deleted and then "
                                "recreated");
  }
  claims[std::string(binding->claim)] = ClaimOf(*object);
  if (binding->resource != resources::kPods) return claims;
  const JsonPtr pod = object->json();
  if (StringAt(*pod, "spec.serviceAccountName") != spec.account) {
    return Status::BadRequest("cannot bind token for serviceaccount \"" + spec.account +
                              "\" to pod running with different serviceaccount name.");
  }
  const ObjectPtr node = cache.Get(resources::kNodes, "", StringAt(*pod, "spec.nodeName"));
  if (node) claims["node"] = ClaimOf(*node);
  return claims;
}

Result<IssuedToken> ServiceAccountTokens::Issue(const TokenSpec& spec) {
  const ObjectPtr account = registry_.cache().Get(resources::kServiceAccounts, spec.ns, spec.account);
  if (!account) return Status::NotFound("serviceaccounts", "", spec.account);
  Result<Json> own = BoundClaims(spec);
  if (!own.ok()) return own.status();
  (*own)["namespace"] = spec.ns;
  (*own)["serviceaccount"] = ClaimOf(*account);

  IssuedToken issued;
  issued.audiences = spec.audiences;
  if (issued.audiences.empty()) issued.audiences.emplace_back(kIssuer);
  issued.seconds = std::min(spec.seconds, kMaxSeconds);
  const int64_t now = Seconds(registry_.clock().Now());
  issued.expires = Time(std::chrono::seconds(now + issued.seconds));
  const Json claims = {{"iss", kIssuer},
                       {"sub", "system:serviceaccount:" + spec.ns + ":" + spec.account},
                       {"aud", issued.audiences},
                       {"iat", now},
                       {"nbf", now},
                       {"exp", now + issued.seconds},
                       {"jti", registry_.NewUid()},
                       {std::string(kClaims), std::move(*own)}};
  issued.token = key_->Sign(claims);
  return issued;
}

// The object of a claim is still that object, and not long on its way out.
Status ServiceAccountTokens::CheckAlive(std::string_view resource, const std::string& ns, const Json& claim) const {
  const ObjectPtr object = registry_.cache().Get(resource, ns, StringAt(claim, "name"));
  if (!object || object->uid() != StringAt(claim, "uid"))
    return Unauthorized("service account token has been invalidated");
  const auto& deleted = object->view<MetaView>().deletion_timestamp;
  if (deleted && *deleted + kLeeway < registry_.clock().Now())
    return Unauthorized("service account token has been invalidated");
  return {};
}

Result<Bearer> ServiceAccountTokens::Verify(std::string_view token, const std::vector<std::string>& audiences) const {
  Result<Json> claims = key_->Verify(token);
  if (!claims.ok()) return claims.status();
  if (StringAt(*claims, "iss") != kIssuer) return Unauthorized("the token is of another issuer");
  const int64_t now = Seconds(registry_.clock().Now());
  if (now >= IntAt(*claims, "exp")) return Unauthorized("service account token has expired");
  if (now < IntAt(*claims, "nbf")) return Unauthorized("service account token is not valid yet");

  Bearer bearer;
  for (const std::string& audience : audiences) {
    const std::vector<Json>& meant = ListAt(*claims, "aud");
    if (std::find(meant.begin(), meant.end(), Json(audience)) != meant.end()) bearer.audiences.push_back(audience);
  }
  if (bearer.audiences.empty()) return Unauthorized("the token is meant for another audience");

  const auto own = claims->find(kClaims);
  if (own == claims->end() || !own->is_object() || !own->contains("serviceaccount"))
    return Unauthorized("the token is not a service account's");
  const std::string& ns = StringAt(*own, "namespace");
  Status alive = CheckAlive(resources::kServiceAccounts, ns, own->at("serviceaccount"));
  for (const Binding& binding : kBindings) {
    const auto claim = own->find(binding.claim);
    // The node of a pod is told, and not bound to.
    const bool bound = claim != own->end() && (binding.resource != resources::kNodes || !own->contains("pod"));
    if (alive.ok() && bound) alive = CheckAlive(binding.resource, binding.namespaced ? ns : "", *claim);
  }
  if (!alive.ok()) return alive;
  bearer.identity.user = "system:serviceaccount:" + ns + ":" + StringAt(*own, "serviceaccount.name");
  bearer.identity.groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns, "system:authenticated"};
  bearer.identity.uid = StringAt(*own, "serviceaccount.uid");
  bearer.identity.extra = ExtraOf(*claims, *own);
  return bearer;
}

}  // namespace wherry
