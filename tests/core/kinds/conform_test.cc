#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/codec.h"

namespace wherry {
namespace {

const KindCatalog& Catalog() {
  static const auto catalog = KindCatalog::BuiltIn();
  return *catalog;
}

Result<Decoded> Conformed(const Kind& kind, const char* text) {
  return Conform(*kind.type, kind.gvk, Json::parse(text));
}

TEST_CASE("unknown fields are named by path and dropped") {
  const Kind& kind = *Catalog().FindGvk("apps", "v1", "DaemonSet");
  const auto got = Conformed(kind, R"({"apiVersion":"apps/v1","kind":"DaemonSet","zz":1,"spec":{"bogus":{},
    "template":{"spec":{"bogus":1,"containers":[{"name":"c","Image":"x","ports":[{"containerPort":80,"hostport":1}]}],
    "volumes":[{"name":"v","emptyDir":{"what":1}}]}}}})");
  REQUIRE(got.ok());
  CHECK(got->problems == std::vector<std::string>{
                             R"(unknown field "spec.bogus")",
                             R"(unknown field "spec.template.spec.bogus")",
                             R"(unknown field "spec.template.spec.containers[0].Image")",
                             R"(unknown field "spec.template.spec.containers[0].ports[0].hostport")",
                             R"(unknown field "spec.template.spec.volumes[0].emptyDir.what")",
                             R"(unknown field "zz")",
                         });
  CHECK(got->document == Json::parse(R"({"apiVersion":"apps/v1","kind":"DaemonSet","spec":{"template":{"spec":{
    "containers":[{"name":"c","ports":[{"containerPort":80}]}],"volumes":[{"name":"v","emptyDir":{}}]}}}})"));
}

TEST_CASE("wrong types are refused in Go's words") {
  const struct {
    const char* kind;
    const char* group;
    const char* text;
    const char* message;
  } cases[] = {
      {"DaemonSet", "apps", R"({"spec":{"minReadySeconds":"5"}})",
       "DaemonSet in version \"v1\" cannot be handled as a DaemonSet: json: cannot unmarshal string into Go struct "
       "field "
       "DaemonSetSpec.spec.minReadySeconds of type int32"},
      {"Pod", "", R"({"spec":{"containers":[{"name":"c","ports":[{"containerPort":3000000000}]}]}})",
       "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal number 3000000000 into Go struct "
       "field "
       "ContainerPort.spec.containers.ports.containerPort of type int32"},
      {"Pod", "", R"({"spec":{"containers":["x"]}})",
       "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field "
       "PodSpec.spec.containers of type v1.Container"},
      {"Pod", "", R"({"spec":{"containers":{}}})",
       "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal object into Go struct field "
       "PodSpec.spec.containers of type []v1.Container"},
      {"Pod", "", R"({"metadata":{"labels":{"a":true}}})",
       "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal bool into Go struct field "
       "ObjectMeta.metadata.labels.a of type string"},
      {"Pod", "", R"([])",
       "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal array into Go value of type v1.Pod"},
      {"Pod", "", R"({"spec":{"terminationGracePeriodSeconds":1.5}})",
       "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal number 1.5 into Go struct field "
       "PodSpec.spec.terminationGracePeriodSeconds of type int64"},
      {"Secret", "", R"({"data":{"a":"*"}})",
       "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 0"},
      {"PodDisruptionBudget", "policy", R"({"spec":{"minAvailable":true}})",
       "PodDisruptionBudget in version \"v1\" cannot be handled as a PodDisruptionBudget: json: cannot unmarshal bool "
       "into "
       "Go value of type int32"},
      {"Pod", "", R"({"metadata":{"creationTimestamp":"soon"}})",
       "Pod in version \"v1\" cannot be handled as a Pod: parsing time \"soon\": it is not of the form "
       "\"2006-01-02T15:04:05Z07:00\""},
  };
  for (const auto& c : cases) {
    INFO(c.text);
    const auto got = Conformed(*Catalog().FindGvk(c.group, "v1", c.kind), c.text);
    REQUIRE_FALSE(got.ok());
    CHECK(got.status().reason() == Reason::kBadRequest);
    CHECK(got.status().message() == c.message);
  }
  const auto quantity = Conformed(*Catalog().FindGvk("", "v1", "Pod"), R"({"spec":{"overhead":{"cpu":"1x"}}})");
  REQUIRE_FALSE(quantity.ok());
  CHECK_THAT(quantity.status().message(), Catch::Contains("quantities must match the regular expression"));
}

TEST_CASE("values become canonical") {
  const struct {
    const char* kind;
    const char* text;
    const char* made;
  } cases[] = {
      {"Pod", R"({"metadata":null,"spec":{"overhead":{"cpu":"1000m","memory":"1024Mi","a/b":2}}})",
       R"({"spec":{"overhead":{"cpu":"1","memory":"1Gi","a/b":"2"}}})"},
      {"Pod", R"({"metadata":{"creationTimestamp":"2026-01-02T05:04:05.5+02:00","deletionTimestamp":null}})",
       R"({"metadata":{"creationTimestamp":"2026-01-02T03:04:05Z"}})"},
      {"Event", R"({"metadata":{},"eventTime":"2026-01-02T03:04:05.1Z"})",
       R"({"metadata":{},"eventTime":"2026-01-02T03:04:05.100000Z"})"},
      // The zeros of optional non-pointers go, those of pointers and required fields stay.
      {"Pod",
       R"({"spec":{"hostNetwork":false,"nodeName":"","terminationGracePeriodSeconds":0,"nodeSelector":{},"volumes":[],
          "containers":[{"name":"","args":[],"securityContext":{"privileged":false}}],"securityContext":{}}})",
       R"({"spec":{"terminationGracePeriodSeconds":0,"containers":[{"name":"","securityContext":{"privileged":false}}],
          "securityContext":{}}})"},
      {"ConfigMap", R"({"data":{"a":null,"b":""}})", R"({"data":{"a":"","b":""}})"},
      {"ConfigMap", R"({"metadata":{"labels":{"a":null}},"data":{}})", R"({"metadata":{"labels":{"a":""}}})"},
      {"Pod", R"({"spec":{"containers":[null]}})", R"({"spec":{"containers":[{}]}})"},
      {"ConfigMap", R"({"binaryData":{"a":"AA\nE="}})", R"({"binaryData":{"a":"AAE="}})"},
  };
  for (const auto& c : cases) {
    INFO(c.text);
    const auto got = Conformed(*Catalog().FindGvk("", "v1", c.kind), c.text);
    REQUIRE(got.ok());
    CHECK(got->problems.empty());
    CHECK(got->document.dump() == Json::parse(c.made).dump());
  }
}

TEST_CASE("documents made too deep by a patch are refused") {
  Json deep = Json::object();
  for (int i = 0; i < 3; ++i) deep = Json{{"a", deep}};
  Type node;
  node.kind = TypeKind::kMap;
  node.element = &node;
  for (int i = 0; i < 300; ++i) deep = Json{{"a", std::move(deep)}};
  CHECK_FALSE(Conform(node, {"", "v1", "Node"}, deep).ok());
}

}  // namespace
}  // namespace wherry
