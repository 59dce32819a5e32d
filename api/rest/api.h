#pragma once

#include <asio/any_io_executor.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api/rest/call.h"
#include "api/rest/list.h"
#include "api/rest/service_account_tokens.h"
#include "core/registry/registry.h"

namespace wherry {

// Answers one method of one subresource: `pods/log` GET, `pods/binding` POST …
using SubresourceHandler = std::function<Task<>(std::shared_ptr<Call>)>;

struct ApiOptions {
  std::map<std::string, Identity> tokens;  // bearer tokens and whom they stand for
  // Judges all other bearer tokens; outlives the Api. Null = there are no others.
  const ServiceAccountTokens* service_accounts = nullptr;
  std::string server_address;  // "127.0.0.1:6443", told in GET /api
  std::string version = "0.1.0";
};

// The REST API: what path means what. Understands a request, finds who asks and hands it to the Registry, a watch or a
// document. Every authenticated user may do everything (there is no authorisation yet); without credentials only health
// and version answer. Control thread only.
class Api {
 public:
  Api(Registry& registry, asio::any_io_executor executor, ApiOptions options);

  Task<> Handle(http::ExchangePtr exchange);

  // Adds or replaces a handler. `method` as on the wire.
  void AddSubresource(std::string resource, std::string subresource, std::string method, SubresourceHandler handler);
  // Answers GETs of a kind that is measured rather than stored: metrics.k8s.io. `resource` is qualified:
  // nodes.metrics.k8s.io.
  void AddMeasured(std::string resource, SubresourceHandler handler);
  // A named condition of /readyz; all must be true.
  void AddReadyCheck(std::string name, std::function<bool()> ready);
  void set_server_address(std::string address) {
    options_.server_address = std::move(address);
    documents_.clear();
  }

 private:
  Task<> HandleResource(std::shared_ptr<Call> call, bool collection_of_names);
  Task<> Get(std::shared_ptr<Call> call);
  Task<> List(std::shared_ptr<Call> call);
  Task<> Create(std::shared_ptr<Call> call);
  Task<> Update(std::shared_ptr<Call> call);
  Task<> Patch(std::shared_ptr<Call> call);
  Task<> Delete(std::shared_ptr<Call> call);
  Task<> DeleteCollection(std::shared_ptr<Call> call);
  // Reviews and bindings: what only answers.
  Task<> PostVirtual(http::ExchangePtr exchange, std::string group, std::string version, std::string plural,
                     std::string ns, Identity identity);

  bool HandleOpen(http::Exchange& exchange);      // what anybody may ask
  bool HandleDocument(http::Exchange& exchange);  // discovery and OpenAPI
  // A discovery or OpenAPI document as it is sent.
  struct Document {
    std::string body, tag;
    std::string_view type = "application/json";
  };
  const Document* FindDocument(const http::Request& request);          // null when unknown
  Json MakeDocument(const std::vector<std::string_view>& path) const;  // likewise
  Status Authenticate(const http::Request& request, Identity& identity) const;
  Result<Bearer> JudgeToken(const std::string& token, const std::vector<std::string>& audiences) const;
  Json ReviewToken(const Json& review) const;  // the status of a TokenReview

  Registry& registry_;
  asio::any_io_executor executor_;
  ApiOptions options_;
  ListPages pages_;
  std::map<std::string, Document> documents_;               // made when first asked for; the catalog does not change
  std::map<std::string, SubresourceHandler> subresources_;  // "pods/log GET"
  std::map<std::string, SubresourceHandler> measured_;      // "nodes.metrics.k8s.io"
  std::map<std::string, std::function<bool()>> ready_checks_;
};

// The subresources that are nothing but an edit of the object: scale, binding, eviction, finalize.
void AddBuiltInSubresources(Api& api, Registry& registry);
// serviceaccounts/token. `tokens` outlives the Api.
void AddTokenRequests(Api& api, Registry& registry, ServiceAccountTokens& tokens);

}  // namespace wherry
