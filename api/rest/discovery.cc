#include "api/rest/discovery.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace wherry {
namespace {

// What discovery shows: stored kinds, then the resources that only answer a POST.
std::vector<const Kind*> ShownKinds(const KindCatalog& catalog) {
  std::vector<const Kind*> all;
  for (const auto& kind : catalog.kinds()) all.push_back(kind.get());
  for (const auto& kind : catalog.virtual_kinds()) all.push_back(kind.get());
  return all;
}

// Versions of each group other than core, in catalog order.
std::vector<std::pair<std::string, std::vector<std::string>>> GroupsOf(const KindCatalog& catalog) {
  std::vector<std::pair<std::string, std::vector<std::string>>> groups;
  for (const Kind* kind : ShownKinds(catalog)) {
    if (kind->gvk.group.empty()) continue;
    auto it = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == kind->gvk.group; });
    if (it == groups.end()) it = groups.insert(groups.end(), {kind->gvk.group, {}});
    auto& versions = it->second;
    if (std::find(versions.begin(), versions.end(), kind->gvk.version) == versions.end())
      versions.push_back(kind->gvk.version);
  }
  return groups;
}

Json GroupDocument(const std::string& group, const std::vector<std::string>& versions) {
  Json list = Json::array();
  for (const std::string& version : versions)
    list.push_back({{"groupVersion", group + "/" + version}, {"version", version}});
  const Json preferred = list.at(0);
  return {{"name", group}, {"versions", std::move(list)}, {"preferredVersion", preferred}};
}

Json ResponseKind(const GroupVersionKind& gvk) {
  return {{"group", gvk.group}, {"version", gvk.version}, {"kind", gvk.kind}};
}

Json ResourceV2(const Kind& kind) {
  Json out = {{"resource", kind.plural},
              {"responseKind", ResponseKind(kind.gvk)},
              {"scope", kind.namespaced ? "Namespaced" : "Cluster"},
              {"singularResource", kind.singular},
              {"verbs", kind.verbs}};
  if (!kind.short_names.empty()) out["shortNames"] = kind.short_names;
  if (!kind.categories.empty()) out["categories"] = kind.categories;
  for (const Subresource& sub : kind.subresources) {
    out["subresources"].push_back(
        {{"subresource", sub.name}, {"responseKind", ResponseKind(sub.gvk)}, {"verbs", sub.verbs}});
  }
  return out;
}

}  // namespace

Json ApiVersions(const std::string& server_address) {
  return {
      {"kind", "APIVersions"},
      {"versions", {"v1"}},
      {"serverAddressByClientCIDRs", Json::array({{{"clientCIDR", "0.0.0.0/0"}, {"serverAddress", server_address}}})}};
}

Json ApiGroupList(const KindCatalog& catalog) {
  Json groups = Json::array();
  for (const auto& [group, versions] : GroupsOf(catalog)) groups.push_back(GroupDocument(group, versions));
  return {{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(groups)}};
}

Json ApiGroup(const KindCatalog& catalog, std::string_view group) {
  for (const auto& [name, versions] : GroupsOf(catalog)) {
    if (name != group) continue;
    Json out = GroupDocument(name, versions);
    out["kind"] = "APIGroup";
    out["apiVersion"] = "v1";
    return out;
  }
  return nullptr;
}

Json ApiResourceList(const KindCatalog& catalog, std::string_view group, std::string_view version) {
  Json resources = Json::array();
  std::string group_version;
  for (const Kind* kind : ShownKinds(catalog)) {
    if (kind->gvk.group != group || kind->gvk.version != version) continue;
    group_version = kind->gvk.api_version();
    Json row = {{"name", kind->plural},
                {"singularName", kind->singular},
                {"namespaced", kind->namespaced},
                {"kind", kind->gvk.kind},
                {"verbs", kind->verbs}};
    if (!kind->short_names.empty()) row["shortNames"] = kind->short_names;
    if (!kind->categories.empty()) row["categories"] = kind->categories;
    resources.push_back(std::move(row));
    for (const Subresource& sub : kind->subresources) {
      Json entry = {{"name", kind->plural + "/" + sub.name},
                    {"singularName", ""},
                    {"namespaced", kind->namespaced},
                    {"kind", sub.gvk.kind},
                    {"verbs", sub.verbs}};
      // Only what lives elsewhere says where.
      if (sub.gvk.group != kind->gvk.group || sub.gvk.version != kind->gvk.version) {
        entry["group"] = sub.gvk.group;
        entry["version"] = sub.gvk.version;
      }
      resources.push_back(std::move(entry));
    }
  }
  if (group_version.empty()) return nullptr;
  return {{"kind", "APIResourceList"},
          {"apiVersion", "v1"},
          {"groupVersion", group_version},
          {"resources", std::move(resources)}};
}

Json AggregatedDiscovery(const KindCatalog& catalog, bool core) {
  auto version_document = [&](std::string_view group, const std::string& version) {
    Json resources = Json::array();
    for (const Kind* kind : ShownKinds(catalog)) {
      if (kind->gvk.group == group && kind->gvk.version == version) resources.push_back(ResourceV2(*kind));
    }
    return Json{{"version", version}, {"freshness", "Current"}, {"resources", std::move(resources)}};
  };
  Json items = Json::array();
  if (core) {
    items.push_back(
        {{"metadata", {{"creationTimestamp", nullptr}}}, {"versions", Json::array({version_document("", "v1")})}});
  } else {
    for (const auto& [group, versions] : GroupsOf(catalog)) {
      Json list = Json::array();
      for (const std::string& version : versions) list.push_back(version_document(group, version));
      items.push_back({{"metadata", {{"name", group}, {"creationTimestamp", nullptr}}}, {"versions", std::move(list)}});
    }
  }
  return {{"kind", "APIGroupDiscoveryList"},
          {"apiVersion", "apidiscovery.k8s.io/v2"},
          {"metadata", Json::object()},
          {"items", std::move(items)}};
}

}  // namespace wherry
