// The OpenAPI half of discovery.h.

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "api/rest/discovery.h"

namespace wherry {
namespace {

constexpr const char* kParameters[] = {"dryRun", "fieldManager", "fieldValidation", "force"};

std::string GroupVersionPath(const Kind& kind) {
  return kind.gvk.group.empty() ? "api/" + kind.gvk.version : "apis/" + kind.gvk.group + "/" + kind.gvk.version;
}

std::string ObjectPath(const Kind& kind) {
  return "/" + GroupVersionPath(kind) + (kind.namespaced ? "/namespaces/{namespace}/" : "/") + kind.plural + "/{name}";
}

bool Patchable(const Kind& kind) {
  return std::find(kind.verbs.begin(), kind.verbs.end(), "patch") != kind.verbs.end();
}

Json Gvk(const Kind& kind) {
  return {{"group", kind.gvk.group}, {"version", kind.gvk.version}, {"kind", kind.gvk.kind}};
}

// Protobuf, as much as writing a document takes.
void PutVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void PutBytes(std::string& out, uint32_t field, std::string_view bytes) {
  PutVarint(out, field << 3 | 2);
  PutVarint(out, bytes.size());
  out.append(bytes);
}

}  // namespace

Json OpenApiV3Root(const KindCatalog& catalog) {
  Json paths = Json::object();
  for (const auto& kind : catalog.kinds()) {
    const std::string path = GroupVersionPath(*kind);
    if (paths.contains(path)) continue;
    // The hash lets clients keep the document until it changes.
    const size_t hash = std::hash<std::string>()(OpenApiV3(catalog, kind->gvk.group, kind->gvk.version).dump());
    paths[path] = {{"serverRelativeURL", "/openapi/v3/" + path + "?hash=" + std::to_string(hash)}};
  }
  return {{"paths", std::move(paths)}};
}

Json OpenApiV3(const KindCatalog& catalog, std::string_view group, std::string_view version) {
  Json paths = Json::object();
  for (const auto& kind : catalog.kinds()) {
    if (kind->gvk.group != group || kind->gvk.version != version || !Patchable(*kind)) continue;
    Json parameters = Json::array();
    for (const char* name : kParameters)
      parameters.push_back({{"name", name}, {"in", "query"}, {"schema", {{"type", "string"}}}});
    paths[ObjectPath(*kind)] = {{"patch",
                                 {{"x-kubernetes-action", "patch"},
                                  {"x-kubernetes-group-version-kind", Gvk(*kind)},
                                  {"parameters", std::move(parameters)},
                                  {"responses", {{"200", {{"description", "OK"}}}}}}}};
  }
  if (paths.empty()) {
    const bool known = std::any_of(catalog.kinds().begin(), catalog.kinds().end(), [&](const auto& kind) {
      return kind->gvk.group == group && kind->gvk.version == version;
    });
    if (!known) return nullptr;
  }
  return {{"openapi", "3.0.0"}, {"info", {{"title", "wherry"}, {"version", "v1.32.0"}}}, {"paths", std::move(paths)}};
}

Json OpenApiV2(const KindCatalog& catalog) {
  Json paths = Json::object();
  for (const auto& kind : catalog.kinds()) {
    if (!Patchable(*kind)) continue;
    Json parameters = Json::array();
    for (const char* name : kParameters) parameters.push_back({{"name", name}, {"in", "query"}, {"type", "string"}});
    paths[ObjectPath(*kind)] = {{"patch",
                                 {{"x-kubernetes-action", "patch"},
                                  {"x-kubernetes-group-version-kind", Gvk(*kind)},
                                  {"parameters", std::move(parameters)},
                                  {"responses", {{"200", {{"description", "OK"}}}}}}}};
  }
  return {{"swagger", "2.0"},
          {"info", {{"title", "wherry"}, {"version", "v1.32.0"}}},
          {"paths", std::move(paths)},
          {"definitions", Json::object()}};
}

std::string OpenApiV2Protobuf(const KindCatalog& catalog) {
  std::string paths;
  for (const auto& kind : catalog.kinds()) {
    if (!Patchable(*kind)) continue;
    std::string operation;
    for (const char* name : kParameters) {
      std::string query, non_body, parameter, item;
      PutBytes(query, 3, "query");  // QueryParameterSubSchema.in
      PutBytes(query, 4, name);
      PutBytes(non_body, 3, query);
      PutBytes(parameter, 2, non_body);
      PutBytes(item, 1, parameter);
      PutBytes(operation, 8, item);
    }
    std::string any, extension;
    PutBytes(any, 2,
             "group: \"" + kind->gvk.group + "\"\nkind: " + kind->gvk.kind + "\nversion: " + kind->gvk.version + "\n");
    PutBytes(extension, 1, "x-kubernetes-group-version-kind");
    PutBytes(extension, 2, any);
    PutBytes(operation, 13, extension);
    std::string item, path;
    PutBytes(item, 8, operation);  // PathItem.patch
    PutBytes(path, 1, ObjectPath(*kind));
    PutBytes(path, 2, item);
    PutBytes(paths, 2, path);
  }
  std::string info, document;
  PutBytes(info, 1, "wherry");
  PutBytes(info, 2, "v1.32.0");
  PutBytes(document, 1, "2.0");
  PutBytes(document, 2, info);
  PutBytes(document, 8, paths);
  return document;
}

}  // namespace wherry
