#include "api/http/jwt.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/sha.h>

#include <nlohmann/json.hpp>

#include "api/http/openssl_ptr.h"

namespace wherry::http {
namespace {

using DigestPtr = std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>>;
using EcdsaPtr = std::unique_ptr<ECDSA_SIG, OpensslFree<ECDSA_SIG_free>>;

constexpr size_t kCoordinate = 32;  // bytes of a P-256 number
constexpr size_t kMaxToken = 64 * 1024;

std::string CoordinateOf(EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key, name, &number);
  std::string out(kCoordinate, '\0');
  if (number != nullptr) BN_bn2binpad(number, reinterpret_cast<unsigned char*>(out.data()), kCoordinate);
  BN_free(number);
  return out;
}

Status Unauthorized(std::string message) { return Status(Reason::kUnauthorized, std::move(message)); }

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

}  // namespace

struct JwtKey::Impl {
  PkeyPtr key;
  std::string header;  // encoded
};

JwtKey::JwtKey() : impl_(std::make_unique<Impl>()) {}
JwtKey::~JwtKey() = default;

Result<std::shared_ptr<const JwtKey>> JwtKey::FromPem(std::string_view pem) {
  std::shared_ptr<JwtKey> out(new JwtKey());
  out->impl_->key = ReadPrivateKey(pem);
  EVP_PKEY* key = out->impl_->key.get();
  if (key == nullptr) return Status::Internal("the signing key cannot be read: " + OpensslError());
  char group[32] = "";
  if (EVP_PKEY_get_group_name(key, group, sizeof group, nullptr) != 1 || std::string_view(group) != "prime256v1") {
    return Status::Internal("the signing key is not on the curve P-256");
  }
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PUBKEY(bio.get(), key);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  out->public_pem_.assign(text, static_cast<size_t>(size));

  unsigned char* der = nullptr;
  const int der_size = i2d_PUBKEY(key, &der);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(der, static_cast<size_t>(der_size), digest);
  OPENSSL_free(der);
  out->id_ = Base64Url(std::string_view(reinterpret_cast<char*>(digest), sizeof digest));
  out->impl_->header = Base64Url(R"({"alg":"ES256","kid":")" + out->id_ + "\"}");
  return std::shared_ptr<const JwtKey>(std::move(out));
}

std::string JwtKey::Sign(const Json& claims) const {
  std::string token = impl_->header + "." + Base64Url(claims.dump());
  const DigestPtr context(EVP_MD_CTX_new());
  unsigned char der[128];
  size_t der_size = sizeof der;
  EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, impl_->key.get());
  if (EVP_DigestSign(context.get(), der, &der_size, Bytes(token), token.size()) != 1) {
    throw std::runtime_error("jwt: cannot sign: " + OpensslError());
  }
  // JWS wants r and s as two numbers side by side, not ASN.1.
  const unsigned char* at = der;
  const EcdsaPtr signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der_size)));
  std::string raw(2 * kCoordinate, '\0');
  auto* out = reinterpret_cast<unsigned char*>(raw.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out, kCoordinate);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out + kCoordinate, kCoordinate);
  return token + "." + Base64Url(raw);
}

Result<Json> JwtKey::Verify(std::string_view token) const {
  const size_t first = token.find('.');
  const size_t last = token.rfind('.');
  if (token.size() > kMaxToken || first == std::string_view::npos || first == last ||
      token.find('.', first + 1) != last) {
    return Unauthorized("the token is not a JWT");
  }
  std::string header;
  std::string payload;
  std::string raw;
  if (!DecodeBase64Url(token.substr(0, first), header) ||
      !DecodeBase64Url(token.substr(first + 1, last - first - 1), payload) ||
      !DecodeBase64Url(token.substr(last + 1), raw)) {
    return Unauthorized("the token is not a JWT");
  }
  // The algorithm is ours to choose, never the token's.
  const Json head = Json::parse(header, nullptr, false);
  if (!head.is_object() || !head.contains("alg") || head["alg"] != "ES256" || raw.size() != 2 * kCoordinate) {
    return Unauthorized("the token is not signed with ES256");
  }
  const EcdsaPtr signature(ECDSA_SIG_new());
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(Bytes(raw), kCoordinate, nullptr),
                 BN_bin2bn(Bytes(raw) + kCoordinate, kCoordinate, nullptr));
  unsigned char* der = nullptr;
  const int der_size = i2d_ECDSA_SIG(signature.get(), &der);
  const DigestPtr context(EVP_MD_CTX_new());
  EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, impl_->key.get());
  const bool good =
      der_size > 0 && EVP_DigestVerify(context.get(), der, static_cast<size_t>(der_size), Bytes(token), last) == 1;
  OPENSSL_free(der);
  ERR_clear_error();
  if (!good) return Unauthorized("the token's signature is wrong");
  Json claims = Json::parse(payload, nullptr, false);
  if (!claims.is_object()) return Unauthorized("the token has no claims");
  return claims;
}

Json JwtKey::PublicJwk() const {
  EVP_PKEY* key = impl_->key.get();
  return Json{{"kty", "EC"},
              {"use", "sig"},
              {"alg", "ES256"},
              {"kid", id_},
              {"crv", "P-256"},
              {"x", Base64Url(CoordinateOf(key, OSSL_PKEY_PARAM_EC_PUB_X))},
              {"y", Base64Url(CoordinateOf(key, OSSL_PKEY_PARAM_EC_PUB_Y))}};
}

Result<std::string> SignJwt(std::string_view private_pem, const Json& claims) {
  Result<std::shared_ptr<const JwtKey>> key = JwtKey::FromPem(private_pem);
  if (!key.ok()) return key.status();
  return (*key)->Sign(claims);
}

Result<Json> VerifyJwt(std::string_view private_pem, std::string_view token) {
  Result<std::shared_ptr<const JwtKey>> key = JwtKey::FromPem(private_pem);
  if (!key.ok()) return key.status();
  return (*key)->Verify(token);
}

}  // namespace wherry::http
