#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "store/json.h"
#include "store/status.h"

namespace wherry::http {

// The key of service-account tokens: signs and verifies JWTs with ES256 (RFC 7515, 7518). Immutable; any thread.
class JwtKey {
 public:
  // From a private key (PKCS#8 PEM, P-256).
  static Result<std::shared_ptr<const JwtKey>> FromPem(std::string_view pem);
  ~JwtKey();

  // The compact form of `claims`, with the key's id in the header.
  std::string Sign(const Json& claims) const;
  // The claims of a token that this key signed with ES256; Unauthorized otherwise. Says nothing about exp, nbf, iss or
  // aud: those are the caller's to judge.
  Result<Json> Verify(std::string_view token) const;

  const std::string& id() const { return id_; }
  const std::string& public_pem() const { return public_pem_; }
  // The public half as a JSON Web Key (RFC 7517), for /openid/v1/jwks.
  Json PublicJwk() const;

 private:
  struct Impl;
  JwtKey();
  std::unique_ptr<Impl> impl_;
  std::string id_;
  std::string public_pem_;
};

// One-off forms of the above.
Result<std::string> SignJwt(std::string_view private_pem, const Json& claims);
Result<Json> VerifyJwt(std::string_view private_pem, std::string_view token);

// base64url without padding (RFC 4648, 5), and plain base64.
std::string Base64Url(std::string_view bytes);
bool DecodeBase64Url(std::string_view text, std::string& out);
std::string Base64(std::string_view bytes);

}  // namespace wherry::http
