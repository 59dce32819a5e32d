#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/codec.h"
#include "core/kinds/patch.h"

namespace wherry {
namespace {

TEST_CASE("JSON patch") {
  const struct {
    const char* document;
    const char* patch;
    const char* result;  // "" = refused
  } cases[] = {
      {R"({"a":1})", R"([{"op":"add","path":"/b","value":[1]}])", R"({"a":1,"b":[1]})"},
      {R"({"a":[1,3]})", R"([{"op":"add","path":"/a/1","value":2}])", R"({"a":[1,2,3]})"},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/-","value":2}])", R"({"a":[1,2]})"},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/1","value":2}])", R"({"a":[1,2]})"},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/2","value":2}])", ""},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/00","value":2}])", ""},
      {R"({})", R"([{"op":"add","path":"/a/b","value":2}])", ""},
      {R"({"a":1})", R"([{"op":"add","path":"","value":{"z":1}}])", R"({"z":1})"},
      {R"({"a":1,"b":2})", R"([{"op":"remove","path":"/a"}])", R"({"b":2})"},
      {R"({"a":[1,2]})", R"([{"op":"remove","path":"/a/0"}])", R"({"a":[2]})"},
      {R"({})", R"([{"op":"remove","path":"/a"}])", ""},
      {R"({"a":{"b/c":1,"d~e":2}})",
       R"([{"op":"replace","path":"/a/b~1c","value":3},{"op":"replace","path":"/a/d~0e","value":null}])",
       R"({"a":{"b/c":3,"d~e":null}})"},
      {R"({})", R"([{"op":"replace","path":"/a","value":1}])", ""},
      {R"({"a":{"b":1}})", R"([{"op":"move","from":"/a/b","path":"/c"}])", R"({"a":{},"c":1})"},
      {R"({"a":{"b":1}})", R"([{"op":"move","from":"/a","path":"/a/b"}])", ""},
      {R"({"a":[1,2,3]})", R"([{"op":"move","from":"/a/0","path":"/a/2"}])", R"({"a":[2,3,1]})"},
      {R"({"a":{"b":1}})", R"([{"op":"copy","from":"/a","path":"/c"}])", R"({"a":{"b":1},"c":{"b":1}})"},
      {R"({"a":1})", R"([{"op":"test","path":"/a","value":1}])", R"({"a":1})"},
      {R"({"a":1})", R"([{"op":"replace","path":"/a","value":2},{"op":"test","path":"/a","value":1}])", ""},
      {R"({"a":null})", R"([{"op":"test","path":"/b","value":null}])", R"({"a":null})"},
  };
  for (const auto& c : cases) {
    INFO(c.document << " " << c.patch);
    const Json document = Json::parse(c.document);
    const auto got = ApplyJsonPatch(document, Json::parse(c.patch));
    REQUIRE(got.ok() == (*c.result != '\0'));
    if (got.ok()) {
      CHECK(*got == Json::parse(c.result));
    } else {
      CHECK(got.status().http_code() == 422);
      CHECK_THAT(got.status().message(),
                 Catch::StartsWith("the server rejected our request due to an error in our request"));
    }
    CHECK(document == Json::parse(c.document));
  }
}

TEST_CASE("what is no JSON patch is a bad request") {
  for (const char* patch :
       {R"({})", R"([1])", R"([{"op":"add","path":"/a"}])", R"([{"op":"bogus","path":"/a"}])", R"([{"path":"/a"}])",
        R"([{"op":"remove","path":"a"}])", R"([{"op":"remove","path":"/~2"}])", R"([{"op":"move","path":"/a"}])"}) {
    INFO(patch);
    const auto got = ApplyJsonPatch(Json::object(), Json::parse(patch));
    REQUIRE_FALSE(got.ok());
    CHECK(got.status().http_code() == 400);
  }
}

TEST_CASE("a JSON patch cannot blow a document up") {
  Json patch = Json::array();
  patch.push_back({{"op", "add"}, {"path", "/a"}, {"value", std::string(1024, 'x')}});
  for (int i = 0; i < 40; ++i) {
    patch.push_back({{"op", "copy"}, {"from", ""}, {"path", "/" + std::to_string(i)}});
  }
  CHECK_FALSE(ApplyJsonPatch(Json::object(), patch).ok());
  Json deep = Json::array();
  std::string path;
  for (int i = 0; i < 300; ++i) {
    path += "/a";
    deep.push_back({{"op", "add"}, {"path", path}, {"value", Json::object()}});
  }
  CHECK_FALSE(ApplyJsonPatch(Json::object(), deep).ok());
  Json many = Json::array();
  for (int i = 0; i < 10'001; ++i) many.push_back({{"op", "test"}, {"path", ""}, {"value", Json::object()}});
  CHECK(ApplyJsonPatch(Json::object(), many).status().http_code() == 413);
}

TEST_CASE("merge patch") {
  const struct {
    const char* document;
    const char* patch;
    const char* result;
  } cases[] = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":["c"]})", R"({"a":["c"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
      {R"({"a":"foo"})", "null", "null"},
  };
  for (const auto& c : cases) {
    INFO(c.document << " " << c.patch);
    CHECK(ApplyMergePatch(Json::parse(c.document), Json::parse(c.patch)) == Json::parse(c.result));
  }
}

constexpr const char* kPod = R"({"metadata":{"name":"p","finalizers":["a/a","b/b"],"labels":{"k":"v"}},
  "spec":{"containers":[{"name":"a","image":"ia","ports":[{"containerPort":80},{"containerPort":81}]},{"name":"b","image":"ib"}],
  "tolerations":[{"key":"x"}],"volumes":[{"name":"v","emptyDir":{}}],"securityContext":{"runAsUser":1,"fsGroup":2}}})";

TEST_CASE("strategic merge of a pod") {
  const auto catalog = KindCatalog::BuiltIn();
  const Type& pod = *catalog->FindType("core.v1", "Pod");
  // The result is looked at through a JSON pointer.
  const struct {
    const char* patch;
    const char* at;
    const char* result;
  } cases[] = {
      // Merge lists by key: new items come first, known ones stay.
      {R"({"spec":{"containers":[{"name":"b","image":"x"}]}})", "/spec/containers/1", R"({"name":"b","image":"x"})"},
      {R"({"spec":{"containers":[{"name":"c","image":"ic"}]}})", "/spec/containers/0", R"({"name":"c","image":"ic"})"},
      {R"({"spec":{"containers":[{"name":"c"},{"name":"a","image":"x","ports":null}]}})", "/spec/containers",
       R"([{"name":"c"},{"name":"a","image":"x"},{"name":"b","image":"ib"}])"},
      {R"({"spec":{"containers":[{"$patch":"delete","name":"a"}]}})", "/spec/containers",
       R"([{"name":"b","image":"ib"}])"},
      {R"({"spec":{"containers":[{"$patch":"replace"},{"name":"z"}]}})", "/spec/containers", R"([{"name":"z"}])"},
      {R"({"spec":{"containers":[{"name":"a","ports":[{"containerPort":81,"$patch":"delete"},{"containerPort":82}]}]}})",
       "/spec/containers/0/ports", R"([{"containerPort":82},{"containerPort":80}])"},
      {R"({"spec":{"containers":[{"name":"n","env":[{"$patch":"delete","name":"q"},{"name":"r","value":null}]}]}})",
       "/spec/containers/0", R"({"name":"n","env":[{"name":"r"}]})"},
      {R"({"spec":{"containers":null}})", "/spec",
       R"({"tolerations":[{"key":"x"}],"volumes":[{"name":"v","emptyDir":{}}],"securityContext":{"runAsUser":1,"fsGroup":2}})"},
      // Orders.
      {R"({"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]}})", "/spec/containers/0/name", R"("b")"},
      {R"({"spec":{"$setElementOrder/containers":[{"name":"c"},{"name":"b"}],"containers":[{"name":"c","image":"ic"}]}})",
       "/spec/containers",
       R"([{"name":"c","image":"ic"},{"name":"a","image":"ia","ports":[{"containerPort":80},{"containerPort":81}]},{"name":"b","image":"ib"}])"},
      {R"({"metadata":{"$setElementOrder/finalizers":["b/b","c/c","a/a"],"finalizers":["c/c"]}})",
       "/metadata/finalizers", R"(["b/b","c/c","a/a"])"},
      {R"({"spec":{"$setElementOrder/initContainers":[{"name":"i"}],"initContainers":[{"name":"i"}]}})",
       "/spec/initContainers", R"([{"name":"i"}])"},
      {R"({"spec":{"$setElementOrder/hostAliases":[{"ip":"1"}]}})", "/spec/volumes/0/name", R"("v")"},
      // Lists of scalars, and lists without a strategy.
      {R"({"metadata":{"finalizers":["c/c","a/a"]}})", "/metadata/finalizers", R"(["c/c","a/a","b/b"])"},
      {R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["a/a","z/z"]}})", "/metadata/finalizers", R"(["b/b"])"},
      {R"({"spec":{"tolerations":[{"key":"y"}]}})", "/spec/tolerations", R"([{"key":"y"}])"},
      // Maps.
      {R"({"metadata":{"labels":{"$patch":"replace","n":"m"}}})", "/metadata/labels", R"({"n":"m"})"},
      {R"({"metadata":{"labels":{"$patch":"delete"}}})", "/metadata/labels", R"({})"},
      {R"({"metadata":{"labels":{"$patch":"merge","n":"m","k":null}}})", "/metadata/labels", R"({"n":"m"})"},
      {R"({"spec":{"securityContext":{"$patch":"replace","runAsUser":null,"fsGroup":3}}})", "/spec/securityContext",
       R"({"fsGroup":3})"},
      {R"({"spec":{"nodeSelector":{"a":null,"b":"c"}}})", "/spec/nodeSelector", R"({"b":"c"})"},
      {R"({"spec":{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/x"}}]}})",
       "/spec/volumes", R"([{"name":"v","hostPath":{"path":"/x"}}])"},
      {R"({"spec":{"securityContext":{"$retainKeys":["runAsUser"]}}})", "/spec/securityContext", R"({"runAsUser":1})"},
  };
  for (const auto& c : cases) {
    INFO(c.patch);
    const auto got = ApplyStrategicMergePatch(pod, Json::parse(kPod), Json::parse(c.patch));
    REQUIRE(got.ok());
    CHECK(got->at(Json::json_pointer(c.at)) == Json::parse(c.result));
  }
}

TEST_CASE("strategic merge refuses what it cannot mean") {
  const auto catalog = KindCatalog::BuiltIn();
  const Type& pod = *catalog->FindType("core.v1", "Pod");
  const struct {
    const char* patch;
    const char* why;
  } cases[] = {
      {R"({"spec":{"containers":[{"image":"ic"}]}})",
       R"(map: {"image":"ic"} does not contain declared merge key: name)"},
      {R"({"spec":{"containers":[{"$patch":"delete"}]}})",
       R"(map: {"$patch":"delete"} does not contain declared merge key: name)"},
      {R"({"spec":{"containers":[{"$patch":"bogus","name":"z"}]}})",
       R"(unknown patch type: "bogus" in map: {"$patch":"bogus","name":"z"})"},
      {R"({"spec":{"$patch":1}})", "unknown patch type: 1 in map"},
      {R"({"spec":{"$bogus":1}})", R"(unknown directive "$bogus")"},
      {R"({"spec":{"containers":["x"]}})", R"(a list of objects holds "x")"},
      {R"({"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"c"}],"containers":[{"name":"c"},{"name":"b"}]}})",
       "the order in patch list"},
      {R"({"spec":{"$setElementOrder/containers":[{"name":"b"}],"containers":[{"name":"c"}]}})",
       "the order in patch list"},
      {R"({"spec":{"$setElementOrder/containers":"x"}})", "$setElementOrder/containers is no list"},
      {R"({"spec":{"$setElementOrder/nodeName":[]}})", "$setElementOrder/nodeName is of no list"},
      {R"({"spec":{"volumes":[{"name":"v","$retainKeys":["name"],"hostPath":{"path":"/x"}}]}})",
       "$retainKeys is no list of all"},
      {R"({"metadata":{"$deleteFromPrimitiveList/finalizers":"x"}})", "$deleteFromPrimitiveList/finalizers is no list"},
      {R"([])", "the patch is no object"},
  };
  for (const auto& c : cases) {
    INFO(c.patch);
    const auto got = ApplyStrategicMergePatch(pod, Json::parse(kPod), Json::parse(c.patch));
    REQUIRE_FALSE(got.ok());
    CHECK(got.status().http_code() == 400);
    CHECK_THAT(got.status().message(), Catch::Contains(c.why));
  }
}

TEST_CASE("undo of a daemon set replaces its template") {
  const auto catalog = KindCatalog::BuiltIn();
  const auto got = ApplyStrategicMergePatch(
      *catalog->FindType("apps.v1", "DaemonSet"),
      Json::parse(
          R"({"spec":{"minReadySeconds":1,"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c"}]}}}})"),
      Json::parse(R"({"spec":{"template":{"$patch":"replace","spec":{"containers":[{"name":"d"}]}}}})"));
  REQUIRE(got.ok());
  CHECK(*got == Json::parse(R"({"spec":{"minReadySeconds":1,"template":{"spec":{"containers":[{"name":"d"}]}}}})"));
}

TEST_CASE("a replace strategy takes the patch's map as it is") {
  const auto catalog = KindCatalog::BuiltIn();
  const auto got = ApplyStrategicMergePatch(*catalog->FindType("policy.v1", "PodDisruptionBudget"),
                                            Json::parse(R"({"spec":{"selector":{"matchLabels":{"a":"b"}}}})"),
                                            Json::parse(R"({"spec":{"selector":{"matchLabels":{"c":"d"}}}})"));
  REQUIRE(got.ok());
  CHECK(*got == Json::parse(R"({"spec":{"selector":{"matchLabels":{"c":"d"}}}})"));
}

}  // namespace
}  // namespace wherry
