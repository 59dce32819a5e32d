#include "api/http/tls.h"

#include <cstring>

#include "api/http/openssl_ptr.h"

namespace wherry::http {
namespace {

constexpr unsigned char kAlpn[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
constexpr unsigned char kSessionContext[] = "wherry";

int SelectAlpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
               void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kAlpn, sizeof kAlpn, in, in_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;  // RFC 7301, 3.2
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Status Failed(std::string_view what) { return Status::Internal("tls: " + std::string(what) + ": " + OpensslError()); }

Status UseIdentity(SSL_CTX* context, const std::string& certificate, const std::string& key) {
  std::vector<X509Ptr> chain = ReadCertificates(certificate);
  if (chain.empty()) return Failed("the certificate cannot be read");
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1) return Failed("the certificate cannot be used");
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) return Failed("the certificate chain cannot be used");
  }
  const PkeyPtr pkey = ReadPrivateKey(key);
  if (!pkey) return Failed("the private key cannot be read");
  if (SSL_CTX_use_PrivateKey(context, pkey.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return Failed("the private key does not fit the certificate");
  }
  return Status();
}

Status Trust(SSL_CTX* context, const std::string& pem) {
  const std::vector<X509Ptr> authorities = ReadCertificates(pem);
  if (authorities.empty()) return Failed("the CA certificates cannot be read");
  for (const X509Ptr& authority : authorities) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1) {
      return Failed("the CA certificate cannot be used");
    }
  }
  return Status();
}

void ApplyCommon(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // One read(2) takes header and body of a record, and often several records.
  SSL_CTX_set_read_ahead(context, 1);
}

// Accepts every chain, so that a stale client certificate gets a 401 with a reason instead of a broken handshake; the
// transport looks at the recorded error before it believes the name. Such a session must not be resumed: the ticket
// would bring the certificate back without its error.
int RecordVerifyResult(int ok, X509_STORE_CTX* store) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* first = static_cast<int*>(SSL_get_app_data(ssl));
  if (ok != 1 && *first == X509_V_OK) {
    *first = X509_STORE_CTX_get_error(store);
    SSL_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_set_num_tickets(ssl, 0);
  }
  if (*first != X509_V_OK) X509_STORE_CTX_set_error(store, *first);
  return 1;
}

}  // namespace

std::string OpensslError() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no reason given";
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

std::vector<X509Ptr> ReadCertificates(std::string_view pem) {
  std::vector<X509Ptr> certificates;
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(certificate);
  }
  ERR_clear_error();  // the end of the text is reported as an error
  return certificates;
}

X509Ptr ReadCertificate(std::string_view pem) {
  std::vector<X509Ptr> all = ReadCertificates(pem);
  return all.empty() ? nullptr : std::move(all.front());
}

PkeyPtr ReadPrivateKey(std::string_view pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return PkeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}

Result<std::shared_ptr<const TlsContext>> TlsContext::Server(const ServerTls& config) {
  std::shared_ptr<TlsContext> out(new TlsContext());
  out->server_ = true;
  out->context_ = SSL_CTX_new(TLS_server_method());
  if (out->context_ == nullptr) return Failed("no context");
  ApplyCommon(out->context_);
  Status status = UseIdentity(out->context_, config.certificate, config.key);
  if (!status.ok()) return status;
  // The machine has AES instructions; 128 bits cost a quarter less than 256 on long lists.
  SSL_CTX_set_ciphersuites(out->context_, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  SSL_CTX_set_options(out->context_, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_session_id_context(out->context_, kSessionContext, sizeof kSessionContext - 1);
  SSL_CTX_set_num_tickets(out->context_, 1);
  SSL_CTX_set_session_cache_mode(out->context_, SSL_SESS_CACHE_OFF);  // tickets carry the sessions, not our memory
  SSL_CTX_set_alpn_select_cb(out->context_, SelectAlpn, nullptr);
  if (!config.client_cas.empty()) {
    status = Trust(out->context_, config.client_cas);
    if (!status.ok()) return status;
    for (const X509Ptr& authority : ReadCertificates(config.client_cas)) {
      SSL_CTX_add_client_CA(out->context_, authority.get());
    }
    SSL_CTX_set_verify(out->context_, SSL_VERIFY_PEER, RecordVerifyResult);
  }
  return std::shared_ptr<const TlsContext>(std::move(out));
}

Result<std::shared_ptr<const TlsContext>> TlsContext::Client(const ClientTls& config) {
  std::shared_ptr<TlsContext> out(new TlsContext());
  out->insecure_ = config.insecure;
  out->server_name_ = config.server_name;
  out->context_ = SSL_CTX_new(TLS_client_method());
  if (out->context_ == nullptr) return Failed("no context");
  ApplyCommon(out->context_);
  SSL_CTX_set_alpn_protos(out->context_, kAlpn, sizeof kAlpn);
  if (!config.insecure) {
    if (config.server_cas.empty()) {
      if (SSL_CTX_set_default_verify_paths(out->context_) != 1) return Failed("no trusted certificates");
    } else {
      Status status = Trust(out->context_, config.server_cas);
      if (!status.ok()) return status;
    }
    SSL_CTX_set_verify(out->context_, SSL_VERIFY_PEER, nullptr);
  }
  if (!config.certificate.empty()) {
    Status status = UseIdentity(out->context_, config.certificate, config.key);
    if (!status.ok()) return status;
  }
  return std::shared_ptr<const TlsContext>(std::move(out));
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

}  // namespace wherry::http
