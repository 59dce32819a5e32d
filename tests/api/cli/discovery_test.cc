#include "api/cli/discovery.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace wherry::cli {
namespace {

Discovery Served() {
  std::vector<ResourceType> types;
  for (const char* list : {
           R"({"groupVersion":"v1","resources":[
             {"name":"pods","singularName":"pod","kind":"Pod","namespaced":true,"shortNames":["po"],"categories":["all"],"verbs":["get","list"]},
             {"name":"pods/log","singularName":"","kind":"Pod","namespaced":true,"verbs":["get"]},
             {"name":"nodes","singularName":"node","kind":"Node","namespaced":false,"shortNames":["no"],"verbs":["get"]},
             {"name":"services","singularName":"service","kind":"Service","namespaced":true,"shortNames":["svc"],"categories":["all"],"verbs":["get"]},
             {"name":"events","singularName":"event","kind":"Event","namespaced":true,"shortNames":["ev"],"verbs":["get"]}]})",
           R"({"groupVersion":"apps/v1","resources":[
             {"name":"daemonsets","singularName":"daemonset","kind":"DaemonSet","namespaced":true,"shortNames":["ds"],"categories":["all"],"verbs":["get"]}]})",
           R"({"groupVersion":"events.k8s.io/v1","resources":[
             {"name":"events","singularName":"","kind":"Event","namespaced":true,"shortNames":["ev"],"verbs":["get"]}]})"}) {
    for (ResourceType& type : ReadResourceList(Json::parse(list))) types.push_back(std::move(type));
  }
  return Discovery(std::move(types));
}

TEST_CASE("a type is found by any of its names") {
  struct Row {
    const char* word;
    const char* path;
  };
  const Row row = GENERATE(values<Row>({
      {"pods", "/api/v1/pods"},
      {"pod", "/api/v1/pods"},
      {"po", "/api/v1/pods"},
      {"Pod", "/api/v1/pods"},
      {"PODS", "/api/v1/pods"},
      {"ds", "/apis/apps/v1/daemonsets"},
      {"daemonset", "/apis/apps/v1/daemonsets"},
      {"daemonsets.apps", "/apis/apps/v1/daemonsets"},
      {"ds.apps", "/apis/apps/v1/daemonsets"},
      {"DaemonSet.v1.apps", "/apis/apps/v1/daemonsets"},
      {"events", "/api/v1/events"},
      {"events.events.k8s.io", "/apis/events.k8s.io/v1/events"},
      {"events.events", "/apis/events.k8s.io/v1/events"},
      {"event.v1.events.k8s.io", "/apis/events.k8s.io/v1/events"},
      {"events.v1", "/api/v1/events"},
  }));
  CAPTURE(row.word);
  const Result<ResourceType> type = Served().Resolve(row.word);
  REQUIRE(type.ok());
  CHECK(type->Path("") == row.path);
}

TEST_CASE("an unknown type is answered with the nearest one") {
  struct Row {
    const char* word;
    const char* message;
  };
  const Row row = GENERATE(values<Row>({
      {"podz", "the server doesn't have a resource type \"podz\"; did you mean \"pods\"?"},
      {"deamonsets", "the server doesn't have a resource type \"deamonsets\"; did you mean \"daemonsets\"?"},
      {"servce", "the server doesn't have a resource type \"servce\"; did you mean \"service\"?"},
      {"zeppelin", "the server doesn't have a resource type \"zeppelin\""},
      {"daemonsets.batch",
       "the server doesn't have a resource type \"daemonsets.batch\"; did you mean \"daemonsets\"?"},
  }));
  const Result<ResourceType> type = Served().Resolve(row.word);
  REQUIRE_FALSE(type.ok());
  CHECK(type.status().message() == row.message);
}

TEST_CASE("paths and names of types") {
  const Discovery served = Served();
  const ResourceType pods = *served.Resolve("po"), nodes = *served.Resolve("no"), sets = *served.Resolve("ds");
  CHECK(pods.Path("team") == "/api/v1/namespaces/team/pods");
  CHECK(pods.Path("team", "a/b") == "/api/v1/namespaces/team/pods/a%2Fb");
  CHECK(nodes.Path("team", "n") == "/api/v1/nodes/n");
  CHECK(sets.Path("x", "web") == "/apis/apps/v1/namespaces/x/daemonsets/web");
  CHECK(sets.qualified_singular() == "daemonset.apps");
  CHECK(pods.qualified_singular() == "pod");
  CHECK(served.FindKind("apps/v1", "DaemonSet") != nullptr);
  CHECK(served.FindKind("v1", "DaemonSet") == nullptr);
  CHECK(served.types().size() == 6);  // without pods/log
}

// "pods:a,b services:" for what the arguments select, or the refusal.
std::string Selected(const std::vector<std::string>& arguments) {
  const Result<std::vector<Selection>> selections = ResolveArguments(Served(), arguments);
  if (!selections.ok()) return selections.status().message();
  std::string out;
  for (const Selection& selection : *selections) {
    out += (out.empty() ? "" : " ") + selection.type.plural + ":";
    for (size_t i = 0; i < selection.names.size(); ++i) out += (i > 0 ? "," : "") + selection.names[i];
  }
  return out;
}

TEST_CASE("arguments are understood in each form") {
  CHECK(Selected({"pods"}) == "pods:");
  CHECK(Selected({"po", "a", "b"}) == "pods:a,b");
  CHECK(Selected({"po,svc"}) == "pods: services:");
  CHECK(Selected({"po,svc", "x"}) == "pods:x services:x");
  CHECK(Selected({"all"}) == "pods: services: daemonsets:");
  CHECK(Selected({"pod/a", "pods/b", "ds/c", "po/d"}) == "pods:a,b daemonsets:c pods:d");
  CHECK(Selected({"all", "x"}) == "names cannot be given with the category \"all\"");
  CHECK(Selected({"pod/a", "b"}) == "\"b\" is not TYPE/NAME: that form and TYPE NAME… cannot be mixed");
  CHECK(Selected({"pods", "pod/b"}) == "\"pod/b\" is not a name: TYPE/NAME and TYPE NAME… cannot be mixed");
  CHECK(Selected({"pod/"}) == "\"pod/\" is not TYPE/NAME: that form and TYPE NAME… cannot be mixed");
  CHECK(Selected({","}) == "name a type of objects, such as `pods`");
}

}  // namespace
}  // namespace wherry::cli
