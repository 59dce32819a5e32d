#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/status.h"

struct ssl_ctx_st;

namespace wherry::http {

// What a server shows and whom it believes. All PEM.
struct ServerTls {
  std::string certificate;  // may be followed by intermediates
  std::string key = {};
  std::string client_cas = {};  // "" = client certificates are not asked for
};

struct ClientTls {
  std::string server_cas;        // "" and !insecure: the system's
  std::string certificate = {};  // "" = none
  std::string key = {};
  std::string server_name = {};  // checked against the certificate; "" = the host connected to
  bool insecure = false;         // accept any server
};

// An OpenSSL context, made once and shared by connections: TLS 1.2 and up, resumption on, ALPN http/1.1. Immutable.
class TlsContext {
 public:
  static Result<std::shared_ptr<const TlsContext>> Server(const ServerTls& config);
  static Result<std::shared_ptr<const TlsContext>> Client(const ClientTls& config);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* get() const { return context_; }
  bool is_server() const { return server_; }
  const std::string& server_name() const { return server_name_; }
  bool insecure() const { return insecure_; }

 private:
  TlsContext() = default;
  ssl_ctx_st* context_ = nullptr;
  bool server_ = false;
  bool insecure_ = false;
  std::string server_name_;
};
using TlsContextPtr = std::shared_ptr<const TlsContext>;

}  // namespace wherry::http
