#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/codec.h"

namespace wherry {
namespace {

// A catalog kind without its hooks: the schema's and the metadata rules alone.
Kind Bare(std::string_view group, std::string_view kind) {
  static const auto catalog = KindCatalog::BuiltIn();
  Kind bare = *catalog->FindGvk(group, "v1", kind);
  bare.hooks = {};
  return bare;
}

std::vector<std::string> Texts(const FieldErrors& errors) {
  std::vector<std::string> texts;
  for (const FieldError& error : errors)
    texts.push_back(error.reason.substr(10) + " " + error.field + ": " + error.message);
  return texts;
}

TEST_CASE("metadata rules") {
  const struct {
    const char* metadata;
    std::vector<std::string> starts;  // of the refusals
  } cases[] = {
      {R"({"name":"a","namespace":"n"})", {}},
      {R"({"generateName":"a-","namespace":"n"})", {}},
      {R"({"namespace":"n"})", {"Required metadata.name: Required value: name or generateName is required"}},
      {R"({"name":"A_b","namespace":"n"})",
       {"Invalid metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain"}},
      {R"({"generateName":"A-","namespace":"n"})", {"Invalid metadata.generateName: Invalid value: \"A-\": "}},
      {R"({"name":"a"})", {"Required metadata.namespace: Required value"}},
      {R"({"name":"a","namespace":"N"})", {"Invalid metadata.namespace: Invalid value: \"N\": "}},
      {R"({"name":"a","namespace":"n","labels":{"a b":"c"}})", {"Invalid metadata.labels: Invalid value: \"a b\": "}},
      {R"({"name":"a","namespace":"n","labels":{"a":"c d"}})", {"Invalid metadata.labels: Invalid value: \"c d\": "}},
      {R"({"name":"a","namespace":"n","annotations":{"Ex.com/A":"any thing"}})", {}},
      {R"({"name":"a","namespace":"n","annotations":{"a b":"c"}})",
       {"Invalid metadata.annotations: Invalid value: \"a b\": "}},
      {R"({"name":"a","namespace":"n","generation":-1})",
       {"Invalid metadata.generation: Invalid value: -1: must be greater than or equal to 0"}},
      {R"({"name":"a","namespace":"n","finalizers":["a.b/c","orphan"]})", {}},
      {R"({"name":"a","namespace":"n","finalizers":["mine"]})",
       {"Invalid metadata.finalizers[0]: Invalid value: \"mine\": name is neither a standard finalizer name nor is it "
        "fully qualified"}},
      {R"({"name":"a","namespace":"n","ownerReferences":[{"apiVersion":"v1","kind":"K","name":"x","uid":"1","controller":true},
          {"apiVersion":"v1","kind":"K","name":"y","uid":"2","controller":true}]})",
       {"Invalid metadata.ownerReferences: "}},
      {R"({"name":"a","namespace":"n","ownerReferences":[{"apiVersion":"v1","kind":"K","name":"x"}]})",
       {"Required metadata.ownerReferences[0].uid: Required value"}},
  };
  const Kind kind = Bare("", "ConfigMap");
  for (const auto& c : cases) {
    INFO(c.metadata);
    const auto got = Texts(Validate(kind, {{"metadata", Json::parse(c.metadata)}}, nullptr));
    REQUIRE(got.size() == c.starts.size());
    for (size_t i = 0; i < got.size(); ++i) CHECK_THAT(got[i], Catch::StartsWith(c.starts[i]));
  }
  const Json big = {
      {"metadata", {{"name", "a"}, {"namespace", "n"}, {"annotations", {{"k", std::string(262'144, 'x')}}}}}};
  CHECK(Texts(Validate(kind, big, nullptr)) ==
        std::vector<std::string>{"TooLong metadata.annotations: Too long: may not be more than 262144 bytes"});
  CHECK(Texts(Validate(Bare("", "Node"), Json::parse(R"({"metadata":{"name":"a","namespace":"n"}})"), nullptr)) ==
        std::vector<std::string>{"Forbidden metadata.namespace: Forbidden: not allowed on this type"});
}

TEST_CASE("metadata that an update may not change") {
  const Json old =
      Json::parse(R"({"metadata":{"name":"a","namespace":"n","uid":"1","creationTimestamp":"2026-01-01T00:00:00Z",
    "deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["a/b"]}})");
  const Kind kind = Bare("", "ConfigMap");
  CHECK(Validate(kind, old, &old).empty());
  Json now = old;
  now["metadata"]["uid"] = "2";
  now["metadata"]["finalizers"] = {"a/b", "c/d"};
  CHECK(Texts(Validate(kind, now, &old)) ==
        std::vector<std::string>{
            "Invalid metadata.uid: Invalid value: \"2\": field is immutable",
            "Forbidden metadata.finalizers: Forbidden: no new finalizers can be added if the object is being "
            "deleted, found new finalizers [\"c/d\"]"});
}

TEST_CASE("schema rules") {
  const struct {
    const char* group;
    const char* kind;
    const char* body;
    std::vector<std::string> errors;
  } cases[] = {
      {"", "Pod", R"({"spec":{"containers":[{"name":"c","image":"i"}]}})", {}},
      {"", "Pod", R"({"spec":{}})", {"Required spec.containers: Required value"}},
      {"",
       "Pod",
       R"({"spec":{"containers":[{"name":"c"},{"image":"i"}]}})",
       {"Required spec.containers[0].image: Required value", "Required spec.containers[1].name: Required value"}},
      {"",
       "Pod",
       R"({"spec":{"containers":[{"name":"c","image":"i"},{"name":"c","image":"j"}]}})",
       {"Duplicate spec.containers[1].name: Duplicate value: \"c\""}},
      {"",
       "Pod",
       R"({"spec":{"restartPolicy":"Sometimes","containers":[{"name":"c","image":"i"}]}})",
       {"NotSupported spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", "
        "\"OnFailure\""}},
      {"",
       "Pod",
       R"({"spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":70000},{}]}]}})",
       {"Invalid spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, "
        "inclusive",
        "Required spec.containers[0].ports[1].containerPort: Required value"}},
      {"",
       "Pod",
       R"({"spec":{"terminationGracePeriodSeconds":0,"activeDeadlineSeconds":0,"containers":[{"name":"c","image":"i"}]}})",
       {"Invalid spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"}},
      {"apps",
       "DaemonSet",
       R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":"i"}]}},"minReadySeconds":-1}})",
       {"Required spec.selector: Required value",
        "Invalid spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"}},
      {"",
       "Service",
       R"({"spec":{"ports":[{"port":80,"protocol":"TCP"},{"port":80,"protocol":"TCP"}]}})",
       {"Duplicate spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}"}},
      {"apps",
       "DaemonSet",
       R"({"spec":{"selector":{},"template":{"spec":{"containers":[{"name":"c","image":"i"}]}},
          "updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"x%"}}}})",
       {"Invalid spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: \"x%\": must be an integer or a "
        "percentage (e.g. "
        "'5%')"}},
      {"wherry.dev",
       "Image",
       R"({"spec":{"files":[{"path":"a"},{"path":"a"}]}})",
       {"Required spec.references: Required value", "Duplicate spec.files[1].path: Duplicate value: \"a\""}},
  };
  for (const auto& c : cases) {
    INFO(c.kind << " " << c.body);
    Json object = Json::parse(c.body);
    const Kind kind = Bare(c.group, c.kind);
    object["metadata"] = {{"name", "x"}};
    if (kind.namespaced) object["metadata"]["namespace"] = "n";
    CHECK(Texts(Validate(kind, object, nullptr)) == c.errors);
  }
}

TEST_CASE("formats") {
  const auto why = [](const char* group, const char* kind, const char* body) {
    Json object = Json::parse(body);
    object["metadata"] = {{"name", "x"}, {"namespace", "n"}};
    const auto errors = Validate(Bare(group, kind), object, nullptr);
    return errors.empty() ? std::string()
                          : errors[0].field + ": " + errors[0].message.substr(0, errors[0].message.find(": ", 16));
  };
  CHECK(why("", "ConfigMap", R"({"data":{"a b":"c"}})") == "data[a b]: Invalid value: \"a b\"");
  CHECK(why("", "Pod", R"({"spec":{"containers":[{"name":"C","image":"i"}]}})") ==
        "spec.containers[0].name: Invalid value: \"C\"");
  CHECK(why("", "Pod",
            R"({"spec":{"containers":[{"name":"c","image":"i","livenessProbe":{"tcpSocket":{"port":0}}}]}})") ==
        "spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: 0");
  CHECK(why("", "Pod",
            R"({"spec":{"containers":[{"name":"c","image":"i","livenessProbe":{"tcpSocket":{"port":"web"}}}]}})") ==
        "");
  CHECK(why("", "Pod", R"({"spec":{"nodeSelector":{"a":"b c"},"containers":[{"name":"c","image":"i"}]}})") ==
        "spec.nodeSelector: Invalid value: \"b c\"");
  CHECK(why("policy", "PodDisruptionBudget", R"({"spec":{"minAvailable":"10%"}})") == "");
  CHECK(why("policy", "PodDisruptionBudget", R"({"spec":{"minAvailable":-1}})") ==
        "spec.minAvailable: Invalid value: -1");
}

TEST_CASE("immutable fields") {
  const Json old = Json::parse(R"({"metadata":{"name":"x","namespace":"n"},"spec":{"selector":{"matchLabels":{"a":"b"}},
    "template":{"spec":{"containers":[{"name":"c","image":"i"}]}}}})");
  Json now = old;
  const Kind kind = Bare("apps", "DaemonSet");
  CHECK(Validate(kind, now, &old).empty());
  now["spec"]["selector"]["matchLabels"]["a"] = "c";
  CHECK(Texts(Validate(kind, now, &old)) ==
        std::vector<std::string>{
            R"(Invalid spec.selector: Invalid value: {"matchLabels":{"a":"c"}}: field is immutable)"});

  const Json node = Json::parse(R"({"metadata":{"name":"x"},"spec":{}})");
  Json with_cidr = node;
  with_cidr["spec"]["podCIDR"] = "10.0.0.0/24";
  CHECK(Validate(Bare("", "Node"), with_cidr, &node).empty());
  CHECK(Texts(Validate(Bare("", "Node"), node, &with_cidr)) ==
        std::vector<std::string>{"Forbidden spec.podCIDR: Forbidden: may not be changed once it is set"});
}

TEST_CASE("the status of refusals") {
  const Status one = InvalidStatus({"", "v1", "Pod"}, "x", {{"spec.a", "FieldValueRequired", "Required value"}});
  CHECK(one.http_code() == 422);
  CHECK(one.message() == "Pod \"x\" is invalid: spec.a: Required value");
  CHECK(one.details().kind == "Pod");
  CHECK(one.details().group == "");
  REQUIRE(one.details().causes.size() == 1);
  CHECK(one.details().causes[0].reason == "FieldValueRequired");
  CHECK(one.details().causes[0].message == "Required value");
  CHECK(one.details().causes[0].field == "spec.a");
  const Status two = InvalidStatus(
      {"apps", "v1", "DaemonSet"}, "y",
      {{"spec.a", "FieldValueRequired", "Required value"}, {"b", "FieldValueInvalid", "Invalid value: 1: no"}});
  CHECK(two.message() == "DaemonSet.apps \"y\" is invalid: [spec.a: Required value, b: Invalid value: 1: no]");
  CHECK(two.details().group == "apps");
}

}  // namespace
}  // namespace wherry
