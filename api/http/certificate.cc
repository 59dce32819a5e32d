#include <arpa/inet.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

#include "api/http/jwt.h"
#include "api/http/openssl_ptr.h"
#include "api/http/pki.h"

namespace wherry::http {
namespace {

using RequestPtr = std::unique_ptr<X509_REQ, OpensslFree<X509_REQ_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>>;

constexpr Duration kBackdate = std::chrono::hours(1);  // clocks of clients may be slow
constexpr Duration kAuthorityLifetime = std::chrono::hours(24 * 3652);

Status Failed(std::string_view what) { return Status::Internal("pki: " + std::string(what) + ": " + OpensslError()); }

PkeyPtr NewKey() { return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")); }

template <typename Write>
std::string Pem(Write write) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (write(bio.get()) != 1) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

std::string KeyPem(EVP_PKEY* key) {
  return Pem(
      [key](BIO* bio) { return PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
}

std::string CertificatePem(X509* certificate) {
  return Pem([certificate](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

bool AddName(X509_NAME* name, const char* field, std::string_view value) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

bool AddExtension(X509* certificate, X509V3_CTX* context, int nid, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, context, nid, value);
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool AddNames(X509* certificate, const std::vector<std::string>& names) {
  const NamesPtr all(GENERAL_NAMES_new());
  for (const std::string& name : names) {
    unsigned char address[16];
    int size = 0;
    if (inet_pton(AF_INET, name.c_str(), address) == 1) size = 4;
    if (size == 0 && inet_pton(AF_INET6, name.c_str(), address) == 1) size = 16;
    GENERAL_NAME* entry = GENERAL_NAME_new();
    ASN1_STRING* value = size > 0 ? static_cast<ASN1_STRING*>(ASN1_OCTET_STRING_new()) : ASN1_IA5STRING_new();
    if (size > 0) {
      ASN1_STRING_set(value, address, size);
    } else {
      ASN1_STRING_set(value, name.data(), static_cast<int>(name.size()));
    }
    GENERAL_NAME_set0_value(entry, size > 0 ? GEN_IPADD : GEN_DNS, value);
    sk_GENERAL_NAME_push(all.get(), entry);
  }
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, all.get(), 0, 0) == 1;
}

time_t Seconds(Time time) { return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count(); }

// Version, a random serial number, validity and the public key.
X509Ptr NewCertificate(EVP_PKEY* key, Duration lifetime, Time now) {
  X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  unsigned char serial[16];
  RAND_bytes(serial, sizeof serial);
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x40);  // positive, and always of one length
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get()));
  BN_free(number);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), Seconds(now - kBackdate));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), Seconds(now + lifetime));
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

// Adds the extensions of a leaf and signs it.
Status Finish(X509* certificate, const KeyPair& authority, bool server, const std::vector<std::string>& names) {
  const X509Ptr issuer = ReadCertificate(authority.certificate);
  const PkeyPtr issuer_key = ReadPrivateKey(authority.key);
  if (!issuer || !issuer_key) return Failed("the authority cannot be read");
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer.get()));
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer.get(), certificate, nullptr, nullptr, 0);
  const bool done = AddExtension(certificate, &context, NID_basic_constraints, "critical,CA:FALSE") &&
                    AddExtension(certificate, &context, NID_key_usage, "critical,digitalSignature,keyEncipherment") &&
                    AddExtension(certificate, &context, NID_ext_key_usage, server ? "serverAuth" : "clientAuth") &&
                    AddExtension(certificate, &context, NID_authority_key_identifier, "keyid:always") &&
                    (names.empty() || AddNames(certificate, names)) &&
                    X509_sign(certificate, issuer_key.get(), EVP_sha256()) > 0;
  return done ? Status() : Failed("a certificate cannot be signed");
}

}  // namespace

Result<KeyPair> MakeAuthority(std::string_view common_name, Time now, std::string_view existing_key) {
  const PkeyPtr key = existing_key.empty() ? NewKey() : ReadPrivateKey(existing_key);
  if (!key) return Failed("a key cannot be made");
  const X509Ptr certificate = NewCertificate(key.get(), kAuthorityLifetime, now);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate.get(), certificate.get(), nullptr, nullptr, 0);
  const bool done =
      AddName(subject, "CN", common_name) && X509_set_issuer_name(certificate.get(), subject) == 1 &&
      AddExtension(certificate.get(), &context, NID_basic_constraints, "critical,CA:TRUE") &&
      AddExtension(certificate.get(), &context, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature") &&
      AddExtension(certificate.get(), &context, NID_subject_key_identifier, "hash") &&
      X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0;
  if (!done) return Failed("the authority cannot be made");
  return KeyPair{CertificatePem(certificate.get()), KeyPem(key.get())};
}

Result<KeyPair> IssueCertificate(const KeyPair& authority, const CertificateSpec& spec, Time now) {
  const PkeyPtr key = NewKey();
  if (!key) return Failed("a key cannot be made");
  const X509Ptr certificate = NewCertificate(key.get(), spec.lifetime, now);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  bool named = AddName(subject, "CN", spec.common_name);
  for (const std::string& organization : spec.organizations) named = named && AddName(subject, "O", organization);
  if (!named) return Failed("the subject of a certificate is not valid");
  const Status status = Finish(certificate.get(), authority, spec.server, spec.names);
  if (!status.ok()) return status;
  return KeyPair{CertificatePem(certificate.get()), KeyPem(key.get())};
}

Result<std::string> SignRequest(const KeyPair& authority, std::string_view request_pem, bool server, Duration lifetime,
                                Time now) {
  const BioPtr bio(BIO_new_mem_buf(request_pem.data(), static_cast<int>(request_pem.size())));
  const RequestPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!request) return Status::BadRequest("the certificate request cannot be read: " + OpensslError());
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
    return Status::BadRequest("the certificate request's signature is wrong: " + OpensslError());
  }
  const X509Ptr certificate = NewCertificate(key, lifetime, now);
  X509_set_subject_name(certificate.get(), X509_REQ_get_subject_name(request.get()));
  STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(request.get());
  const int at = X509v3_get_ext_by_NID(extensions, NID_subject_alt_name, -1);
  if (at >= 0) X509_add_ext(certificate.get(), X509v3_get_ext(extensions, at), -1);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  const Status status = Finish(certificate.get(), authority, server, {});
  if (!status.ok()) return status;
  return CertificatePem(certificate.get());
}

Time CertificateExpiry(std::string_view pem) {
  const X509Ptr certificate = ReadCertificate(pem);
  tm parts{};
  if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &parts) != 1) return Time::min();
  return Time(std::chrono::seconds(timegm(&parts)));
}

std::vector<std::string> CertificateNames(std::string_view pem) {
  std::vector<std::string> names;
  const X509Ptr certificate = ReadCertificate(pem);
  if (!certificate) return names;
  const NamesPtr all(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
    int type = 0;
    const auto* value =
        static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all.get(), i), &type));
    const unsigned char* data = ASN1_STRING_get0_data(value);
    const int size = ASN1_STRING_length(value);
    if (type == GEN_DNS) {
      names.emplace_back(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    } else if (type == GEN_IPADD) {
      char text[INET6_ADDRSTRLEN] = "";
      inet_ntop(size == 4 ? AF_INET : AF_INET6, data, text, sizeof text);
      names.emplace_back(text);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string RandomToken(size_t bytes) {
  std::string raw(bytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(raw.data()), static_cast<int>(bytes)) != 1) {
    throw std::runtime_error("pki: no randomness: " + OpensslError());
  }
  return Base64Url(raw);
}

Result<std::string> MakeSigningKey() {
  const PkeyPtr key = NewKey();
  if (!key) return Failed("a key cannot be made");
  return KeyPem(key.get());
}

}  // namespace wherry::http
