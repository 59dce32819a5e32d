#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/http/tls.h"
#include "core/runtime/time.h"
#include "store/status.h"

namespace wherry::http {

// A certificate and its private key, PEM (the key as PKCS#8).
struct KeyPair {
  std::string certificate;
  std::string key;
};

// Who a certificate speaks for.
struct CertificateSpec {
  std::string common_name;
  std::vector<std::string> organizations = {};  // groups of a client
  std::vector<std::string> names = {};          // subject alternative names: host names and IP addresses
  bool server = false;                          // else a client certificate
  Duration lifetime = std::chrono::hours(24 * 365);
};

// A certificate authority: ECDSA P-256, valid ten years from an hour before `now`.
// `key` (PEM): of the authority it renews, which keeps what it signed valid; "" = a new one.
Result<KeyPair> MakeAuthority(std::string_view common_name, Time now, std::string_view key = {});
// A new key and its certificate, signed by `authority`; not-before is an hour before `now`.
Result<KeyPair> IssueCertificate(const KeyPair& authority, const CertificateSpec& spec, Time now);
// Signs the key and subject of a PKCS#10 request (PEM), as CertificateSigningRequests need. The request's own signature
// is checked. Gives the certificate.
Result<std::string> SignRequest(const KeyPair& authority, std::string_view request_pem, bool server, Duration lifetime,
                                Time now);

// When the certificate runs out. Time::min() when it cannot be read.
Time CertificateExpiry(std::string_view pem);
// Host names and addresses of the certificate, sorted.
std::vector<std::string> CertificateNames(std::string_view pem);

// `bytes` of randomness, base64url without padding.
std::string RandomToken(size_t bytes = 32);
// An EC P-256 private key, PKCS#8 PEM.
Result<std::string> MakeSigningKey();

struct PkiOptions {
  std::string data_dir;
  std::string host_name;                 // "" = this machine's
  std::string service_ip = "10.0.0.1";   // of the kubernetes Service
  std::vector<std::string> extra_names;  // more names or addresses of the server
};

// The keys and certificates of a cluster, kept in <data-dir>/pki (0700, files 0600): made at the first start, renewed
// when they have less than 30 days left, when the server's names changed or when the authority did.
struct Pki {
  KeyPair authority;
  KeyPair server;
  KeyPair admin;            // CN=wherry-admin, O=system:masters
  std::string signing_key;  // of service-account tokens

  static Result<Pki> LoadOrCreate(const PkiOptions& options, Time now);
  ServerTls server_tls() const { return {server.certificate, server.key, authority.certificate}; }
};

// A kubeconfig with everything embedded, its one context named "wherry". `server_url` is e.g. "https://127.0.0.1:6443".
std::string Kubeconfig(std::string_view server_url, std::string_view authority_certificate, const KeyPair& client);

// Writes a file that is either the old one or wholly the new one after a crash, mode 0600.
Status WritePrivateFile(const std::string& path, std::string_view bytes);

}  // namespace wherry::http
