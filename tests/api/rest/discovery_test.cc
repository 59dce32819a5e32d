#include <algorithm>

#include "core/kinds/kind.h"
#include "tests/api/rest/table.h"

namespace wherry {
namespace {

const http::HeaderList kAggregated = {
    {"Accept",
     "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/"
     "json;g=apidiscovery.k8s.io;v=v2beta1;as="
     "APIGroupDiscoveryList,application/json"}};

Json Named(const Json& list, const std::string& key, const std::string& name) {
  for (const Json& entry : list) {
    if (entry.value(key, "") == name) return entry;
  }
  return nullptr;
}

TEST_CASE("the plain discovery documents") {
  ApiCluster api;
  CheckLines(
      api,
      {
          {"GET",
           "/api",
           {},
           "",
           200,
           "",
           "",
           {{"/kind", "APIVersions"},
            {"/versions", {"v1"}},
            {"/serverAddressByClientCIDRs/0", {{"clientCIDR", "0.0.0.0/0"}, {"serverAddress", "127.0.0.1:6443"}}}}},
          {"GET", "/apis", {}, "", 200, "", "", {{"/kind", "APIGroupList"}}},
          {"GET",
           "/apis/apps",
           {},
           "",
           200,
           "",
           "",
           {{"/kind", "APIGroup"},
            {"/name", "apps"},
            {"/preferredVersion", {{"groupVersion", "apps/v1"}, {"version", "v1"}}},
            {"/versions", Json::array({{{"groupVersion", "apps/v1"}, {"version", "v1"}}})}}},
          {"GET", "/api/v1?timeout=32s", {}, "", 200, "", "", {{"/kind", "APIResourceList"}, {"/groupVersion", "v1"}}},
          {"GET", "/apis/apps/v1", {}, "", 200, "", "", {{"/groupVersion", "apps/v1"}}},
          {"GET", "/", {}, "", 200, "", "", {{"/paths/0", "/api"}}},
      });
  const Json core = api.Get("/api/v1").at("/resources");
  CHECK(Named(core, "name", "pods") ==
        Json{{"name", "pods"},
             {"singularName", "pod"},
             {"namespaced", true},
             {"kind", "Pod"},
             {"shortNames", {"po"}},
             {"categories", {"all"}},
             {"verbs", {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}}});
  CHECK(Named(core, "name", "pods/eviction") == Json{{"name", "pods/eviction"},
                                                     {"singularName", ""},
                                                     {"namespaced", true},
                                                     {"kind", "Eviction"},
                                                     {"group", "policy"},
                                                     {"version", "v1"},
                                                     {"verbs", {"create"}}});
  CHECK(Named(core, "name", "pods/status") == Json{{"name", "pods/status"},
                                                   {"singularName", ""},
                                                   {"namespaced", true},
                                                   {"kind", "Pod"},
                                                   {"verbs", {"get", "patch", "update"}}});
  CHECK(Named(core, "name", "pods/ephemeralcontainers") == Json{{"name", "pods/ephemeralcontainers"},
                                                                {"singularName", ""},
                                                                {"namespaced", true},
                                                                {"kind", "Pod"},
                                                                {"verbs", {"get", "patch", "update"}}});
  CHECK(Named(core, "name", "serviceaccounts/token") == Json{{"name", "serviceaccounts/token"},
                                                             {"singularName", ""},
                                                             {"namespaced", true},
                                                             {"kind", "TokenRequest"},
                                                             {"group", "authentication.k8s.io"},
                                                             {"version", "v1"},
                                                             {"verbs", {"create"}}});
  const Json scale = Named(api.Get("/apis/apps/v1").at("/resources"), "name", "deployments/scale");
  CHECK(scale["group"] == "autoscaling");
  CHECK(scale["kind"] == "Scale");
}

TEST_CASE("every group of the list is there, with every resource it names") {
  ApiCluster api;
  for (const Json& group : api.Get("/apis").at("/groups")) {
    for (const Json& version : group["versions"]) {
      const std::string path = "/apis/" + version["groupVersion"].get<std::string>();
      const Answer list = api.Get(path);
      INFO(path);
      REQUIRE(list.code == 200);
      for (const Json& resource : list.at("/resources")) {
        const auto& verbs = resource["verbs"];
        if (std::find(verbs.begin(), verbs.end(), "list") == verbs.end()) continue;
        const Answer objects = api.Get(path + "/" + resource["name"].get<std::string>());
        INFO(resource["name"]);
        CHECK(objects.code == 200);
        CHECK(objects.at("/kind") == resource["kind"].get<std::string>() + "List");
        CHECK(objects.at("/items").is_array());
      }
    }
  }
}

TEST_CASE("aggregated discovery is what prefers it gets") {
  ApiCluster api;
  const Answer core = api.Get("/api", kAggregated);
  CHECK(core.type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  CHECK(core.at("/kind") == "APIGroupDiscoveryList");
  CHECK(core.at("/apiVersion") == "apidiscovery.k8s.io/v2");
  CHECK(core.at("/items/0/metadata/name").is_null());
  const Json pods = Named(core.at("/items/0/versions/0/resources"), "resource", "pods");
  CHECK(pods["scope"] == "Namespaced");
  CHECK(pods["responseKind"] == Json{{"group", ""}, {"version", "v1"}, {"kind", "Pod"}});
  CHECK(Named(pods["subresources"], "subresource", "eviction")["responseKind"] ==
        Json{{"group", "policy"}, {"version", "v1"}, {"kind", "Eviction"}});

  const Answer groups = api.Get("/apis", kAggregated);
  CHECK(groups.type == core.type);
  Json names = Json::array(), plain = Json::array();
  for (const Json& item : groups.at("/items")) names.push_back(item["metadata"]["name"]);
  for (const Json& group : api.Get("/apis").at("/groups")) plain.push_back(group["name"]);
  CHECK(names == plain);

  // Parameters in any order; the plain document when that comes first or only another version is wanted.
  CHECK(api.Get("/apis", {{"Accept", "application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io"}}).type ==
        core.type);
  CHECK(api.Get("/apis",
                {{"Accept", "application/json, application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}})
            .at("/kind") == "APIGroupList");
  CHECK(
      api.Get("/apis", {{"Accept",
                         "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"}})
          .at("/kind") == "APIGroupList");
}

TEST_CASE("documents are sent once and then confirmed") {
  ApiCluster api;
  for (const char* path :
       {"/api", "/apis", "/api/v1", "/apis/apps/v1", "/openapi/v2", "/openapi/v3", "/openapi/v3/apis/apps/v1"}) {
    INFO(path);
    const Answer first = api.Get(path);
    const std::string tag = first.header("ETag");
    REQUIRE(tag.size() > 2);
    CHECK(tag.front() == '"');
    CHECK(tag.back() == '"');
    const Answer again = api.Get(path, {{"If-None-Match", tag}});
    CHECK(again.code == 304);
    CHECK(again.body.empty());
    CHECK(again.header("ETag") == tag);
    CHECK(api.Get(path, {{"If-None-Match", "\"other\", " + tag}}).code == 304);
    CHECK(api.Get(path, {{"If-None-Match", "\"other\""}}).code == 200);
  }
  CHECK(api.Get("/apis").header("ETag") != api.Get("/apis", kAggregated).header("ETag"));
  const std::string before = api.Get("/api").header("ETag");
  api.api().set_server_address("127.0.0.1:7000");
  CHECK(api.Get("/api").header("ETag") != before);
}

TEST_CASE("OpenAPI names a patch operation for every kind") {
  ApiCluster api;
  const Answer root = api.Get("/openapi/v3");
  const std::string url = root.at("/paths/apis~1apps~1v1/serverRelativeURL").get<std::string>();
  CHECK(url.substr(0, 30) == "/openapi/v3/apis/apps/v1?hash=");
  const Json patch = api.Get(url).at("/paths/~1apis~1apps~1v1~1namespaces~1{namespace}~1daemonsets~1{name}/patch");
  CHECK(patch["x-kubernetes-group-version-kind"] == Json{{"group", "apps"}, {"version", "v1"}, {"kind", "DaemonSet"}});
  CHECK(Named(patch["parameters"], "name", "fieldValidation")["in"] == "query");
  CHECK(api.Get("/openapi/v3/api/v1").at("/openapi") == "3.0.0");

  const Answer v2 = api.Get("/openapi/v2", {{"Accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"}});
  CHECK(v2.type == "application/octet-stream");
  CHECK(v2.body.find("group: \"apps\"\nkind: DaemonSet\nversion: v1\n") != std::string::npos);
  CHECK(api.Get("/openapi/v2").at("/swagger") == "2.0");
}

}  // namespace
}  // namespace wherry
