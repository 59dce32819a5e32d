#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/http/message.h"
#include "api/rest/api.h"
#include "tests/support/test_cluster.h"

namespace wherry {

// One answer, whole.
struct Answer {
  int code = 0;
  std::string type;  // Content-Type
  http::HeaderList headers;
  std::string body;
  Json json;  // discarded when the body is none

  std::string header(std::string_view name) const;  // the first, "" when absent
  std::vector<std::string> header_values(std::string_view name) const;
  std::string reason() const;
  std::string message() const;
  // The value at a JSON pointer, null when absent.
  Json at(const std::string& pointer) const;
};

class FakeExchange;

// A watch under way. What arrives is collected frame by frame.
class WatchStream {
 public:
  explicit WatchStream(std::shared_ptr<FakeExchange> exchange, TestCluster& cluster);
  ~WatchStream();  // the client goes
  WatchStream(const WatchStream&) = delete;
  WatchStream& operator=(const WatchStream&) = delete;

  // The frames since the last call, settled.
  std::vector<Json> Take();
  // The same as "ADDED a 5" texts: type, metadata.name, and the revision when `revisions`.
  std::vector<std::string> TakeNames();
  bool ended() const;     // the server has ended the stream
  bool streamed() const;  // it began as a stream at all
  // The answer when it was refused instead.
  Answer refusal() const;

 private:
  std::shared_ptr<FakeExchange> exchange_;
  TestCluster& cluster_;
};

// A whole API over a store in which nothing else acts, without sockets: the requests are those of an authenticated user
// unless they say otherwise.
class ApiCluster {
 public:
  ApiCluster();
  ~ApiCluster();

  Answer Send(std::string_view method, std::string_view target, std::string body = {},
              const http::HeaderList& headers = {});
  Answer Get(std::string_view target, const http::HeaderList& headers = {}) {
    return Send("GET", target, std::string(), headers);
  }
  // As Send, with a document as the body; the Content-Type is left out.
  Answer Send(std::string_view method, std::string_view target, const Json& body, const http::HeaderList& headers = {});
  Answer Send(std::string_view method, std::string_view target, const char* body,
              const http::HeaderList& headers = {}) {
    return Send(method, target, std::string(body), headers);
  }
  Answer SendAnonymous(std::string_view method, std::string_view target, const http::HeaderList& headers = {});
  Answer SendAs(const std::string& token, std::string_view method, std::string_view target, std::string body = {});
  std::unique_ptr<WatchStream> Watch(std::string_view target, const http::HeaderList& headers = {});

  // A ConfigMap of the default namespace, and the revision of the write.
  uint64_t Put(const std::string& name, const Json& labels = Json::object(), const std::string& value = "1");

  TestCluster& cluster() { return cluster_; }
  Api& api() { return *api_; }
  ServiceAccountTokens& tokens() { return *tokens_; }

 private:
  std::shared_ptr<FakeExchange> Start(std::string_view method, std::string_view target, const http::HeaderList& headers,
                                      std::string body, bool authenticated);

  TestCluster cluster_{1, TestCluster::Parts::kStoreOnly};
  std::unique_ptr<ServiceAccountTokens> tokens_;
  std::unique_ptr<Api> api_;
  std::vector<std::weak_ptr<FakeExchange>> exchanges_;
};

// Content types of patches.
inline const http::HeaderList kMergePatch = {{"Content-Type", "application/merge-patch+json"}};
inline const http::HeaderList kStrategicPatch = {{"Content-Type", "application/strategic-merge-patch+json"}};
inline const http::HeaderList kJsonPatch = {{"Content-Type", "application/json-patch+json"}};
inline const http::HeaderList kYaml = {{"Content-Type", "application/yaml"}};
inline const http::HeaderList kProtobuf = {{"Content-Type", "application/vnd.kubernetes.protobuf"}};
inline const http::HeaderList kTable = {{"Accept",
                                         "application/json;as=Table;v=v1;g=meta.k8s.io,application/"
                                         "json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"}};
inline const http::HeaderList kPartial = {
    {"Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"}};

// Protobuf by hand: a field with bytes, a field with a number, an envelope.
std::string Bytes(uint32_t number, std::string_view bytes);
std::string Number(uint32_t number, uint64_t value);
std::string EnvelopeOf(const std::string& api_version, const std::string& kind, const std::string& raw);

inline const std::string kCore = "/api/v1/namespaces/default/";
inline const std::string kApps = "/apis/apps/v1/namespaces/default/";

}  // namespace wherry
