#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/jwt.h"
#include "api/rest/call.h"
#include "core/registry/registry.h"

namespace wherry {

// What a token is bound to besides its account, and dies with: a Pod, Secret or Node.
struct BoundObject {
  std::string kind;  // "" = nothing
  std::string name;
  std::string uid;  // "" = whatever it is now
};

struct TokenSpec {
  std::string ns, account;
  std::vector<std::string> audiences;  // empty = the API
  int64_t seconds = 3600;              // how long it lasts; more than a year is cut
  BoundObject bound;
};

struct IssuedToken {
  std::string token;
  std::vector<std::string> audiences;
  int64_t seconds = 0;
  Time expires;
};

// Whom a bearer token stands for, and which of the audiences asked for it is meant for.
struct Bearer {
  Identity identity;
  std::vector<std::string> audiences;
};

// The tokens of service accounts: JWTs as Kubernetes issues them (KEP-1205, "Bound Service Account Tokens"), signed
// with the cluster's key and kept nowhere. Issues them for the node agents and for TokenRequests; the Api judges bearer
// tokens by it. Control thread only.
class ServiceAccountTokens {
 public:
  // Who issues them, and the audience that the API answers to.
  static constexpr std::string_view kIssuer = "https://kubernetes.default.svc.cluster.local";
  static constexpr int64_t kMinSeconds = 600, kMaxSeconds = 365 * 24 * 3600;

  ServiceAccountTokens(Registry& registry, std::shared_ptr<const http::JwtKey> key)
      : registry_(registry), key_(std::move(key)) {}

  // NotFound when the account or the bound object is not there, BadRequest when they do not go together, Conflict when
  // the bound object is another of that name. `seconds` is the caller's to check.
  Result<IssuedToken> Issue(const TokenSpec& spec);

  // Unauthorized unless it was signed here, is of this time, is meant for one of `audiences`, and the account and what
  // the token is bound to are still the ones it was issued for: they may be on their way out for a minute.
  Result<Bearer> Verify(std::string_view token, const std::vector<std::string>& audiences) const;

 private:
  Result<Json> BoundClaims(const TokenSpec& spec) const;
  Status CheckAlive(std::string_view resource, const std::string& ns, const Json& claim) const;

  Registry& registry_;
  const std::shared_ptr<const http::JwtKey> key_;
};

}  // namespace wherry
