// What api.h answers without looking at objects: health, version, discovery and OpenAPI.

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "api/rest/api.h"
#include "api/rest/discovery.h"

namespace wherry {
namespace {

using http::Exchange;
using http::Request;

// Two documents of one path differ in their tags: FNV-1a over the body, and its size.
std::string EntityTag(std::string_view body) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : body) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  char text[48];
  std::snprintf(text, sizeof text, "\"%016llx-%zx\"", static_cast<unsigned long long>(hash), body.size());
  return text;
}

// RFC 9110, 13.1.2: any of the tags, compared weakly.
bool Unchanged(const Request& request, std::string_view tag) {
  for (std::string_view header : request.header_values("If-None-Match")) {
    if (header == "*" || header.find(tag) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

bool Api::HandleOpen(Exchange& exchange) {
  const Request& request = exchange.request();
  const std::string_view path = request.path();
  if (path == "/version" || path == "/version/") {
    RespondJson(exchange, {{"major", "1"},
                           {"minor", "32"},
                           {"gitVersion", "v1.32.0+wherry." + options_.version},
                           {"gitCommit", ""},
                           {"gitTreeState", "clean"},
                           {"buildDate", "1970-01-01T00:00:00Z"},
                           {"goVersion", ""},
                           {"compiler", "g++"},
                           {"platform", "linux/amd64"}});
    return true;
  }
  const auto& segments = request.segments();
  if (segments.empty() || segments.size() > 2) return false;
  const std::string_view probe = segments[0];
  if (probe != "healthz" && probe != "livez" && probe != "readyz") return false;
  std::string text;
  bool good = true;
  for (const auto& [name, ready] : ready_checks_) {
    if (segments.size() == 2 && name != segments[1]) continue;
    const bool is_ready = probe == "livez" || ready();
    good = good && is_ready;
    text += (is_ready ? "[+]" : "[-]") + name + (is_ready ? " ok\n" : " failed: not ready yet\n");
  }
  if (segments.size() == 2 && segments[1] != "ping" && !ready_checks_.contains(std::string(segments[1]))) return false;
  const bool verbose = request.query("verbose").has_value();
  if (good && !verbose) {
    text = "ok";
  } else {
    text += std::string(probe) + (good ? " check passed\n" : " check failed\n");
  }
  exchange.Respond(http::Response::Text(good ? 200 : 500, text));
  return true;
}

Json Api::MakeDocument(const std::vector<std::string_view>& path) const {
  const KindCatalog& catalog = registry_.catalog();
  const size_t size = path.size();
  if (size == 0) {
    Json paths = Json::array({"/api", "/api/v1", "/apis"});
    const Json groups = ApiGroupList(catalog);
    for (const Json& group : groups["groups"]) {
      paths.push_back("/apis/" + group["name"].get<std::string>());
      for (const Json& version : group["versions"])
        paths.push_back("/apis/" + version["groupVersion"].get<std::string>());
    }
    for (const char* other : {"/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"})
      paths.push_back(other);
    return {{"paths", std::move(paths)}};
  }
  if (path[0] == "api") return size == 1 ? ApiVersions(options_.server_address) : ApiResourceList(catalog, "", path[1]);
  if (path[0] == "apis") {
    if (size == 1) return ApiGroupList(catalog);
    return size == 2 ? ApiGroup(catalog, path[1]) : ApiResourceList(catalog, path[1], path[2]);
  }
  if (size == 2 && path[1] == "v2") return OpenApiV2(catalog);
  if (size == 2 && path[1] == "v3") return OpenApiV3Root(catalog);
  if (size == 4 && path[1] == "v3" && path[2] == "api") return OpenApiV3(catalog, "", path[3]);
  if (size == 5 && path[1] == "v3" && path[2] == "apis") return OpenApiV3(catalog, path[3], path[4]);
  return nullptr;
}

const Api::Document* Api::FindDocument(const Request& request) {
  const auto& path = request.segments();
  const std::string_view first = path.empty() ? std::string_view() : path[0];
  const bool aggregated = path.size() == 1 && (first == "api" || first == "apis") && WantsAggregatedDiscovery(request);
  const bool protobuf = path.size() == 2 && first == "openapi" && path[1] == "v2" &&
                        request.header("Accept").find("protobuf") != std::string_view::npos;
  std::string key(aggregated ? "aggregated" : protobuf ? "protobuf" : "");
  for (std::string_view piece : path) key.append("/").append(piece);
  if (auto found = documents_.find(key); found != documents_.end()) return &found->second;

  Document document;
  if (aggregated) {
    document.type = kAggregatedType;
    document.body = AggregatedDiscovery(registry_.catalog(), first == "api").dump();
  } else if (protobuf) {
    // The type clients ask for is no legal media type; this one parses everywhere.
    document.type = "application/octet-stream";
    document.body = OpenApiV2Protobuf(registry_.catalog());
  } else {
    const Json made = MakeDocument(path);
    if (made.is_null()) return nullptr;
    document.body = made.dump();
  }
  document.tag = EntityTag(document.body);
  return &documents_.emplace(std::move(key), std::move(document)).first->second;
}

bool Api::HandleDocument(Exchange& exchange) {
  const Request& request = exchange.request();
  const auto& path = request.segments();
  const std::string_view first = path.empty() ? std::string_view() : path[0];
  const bool ours = path.empty() || (first == "api" && path.size() <= 2) || (first == "apis" && path.size() <= 3) ||
                    first == "openapi";
  if (!ours) return false;
  const Document* document = FindDocument(request);
  http::Response response;
  if (!document) {
    response = http::Response::Text(404, "404 page not found\n");
  } else if (request.method() != "GET" && request.method() != "HEAD") {
    RespondStatus(exchange, WrongMethod());
    return true;
  } else {
    // One path has several forms; clients keep them on disk and ask again with the tag.
    response.headers = {{"ETag", document->tag}, {"Vary", "Accept"}, {"Cache-Control", "no-cache, private"}};
    if (Unchanged(request, document->tag)) {
      response.status = 304;
    } else {
      response.content_type = document->type;
      response.body = document->body;
    }
  }
  exchange.Respond(std::move(response));
  return true;
}

}  // namespace wherry
