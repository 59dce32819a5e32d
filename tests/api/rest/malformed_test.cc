// What nobody in his right mind sends. Every line must be answered, with a refusal that names the fault.

#include <algorithm>

#include "core/kinds/kind.h"
#include "tests/api/rest/table.h"

namespace wherry {
namespace {

const std::string kMaps = kCore + "configmaps";

std::string Nested(int depth, char open, char close) { return std::string(depth, open) + std::string(depth, close); }

TEST_CASE("bodies that cannot be read") {
  ApiCluster api;
  api.Put("a");
  const std::string deep = R"({"metadata":{"name":"b"},"data":)" + Nested(100'000, '[', ']') + "}";
  std::string objects;
  for (int i = 0; i < 5000; ++i) objects += R"({"a":)";
  struct Row {
    http::HeaderList headers;
    std::string body;
  };
  const Row rows[] = {
      {{}, ""},
      {{}, "{"},
      {{}, R"({"metadata":{"name":"b")"},
      {{}, R"({"metadata":{"name":"b"}} trailing)"},
      {{}, "[]"},
      {{}, "null"},
      {{}, "7"},
      {{}, R"("text")"},
      {{}, "\xff\xfe{}"},
      {{}, std::string("\0\0\0", 3)},
      {{}, R"({"metadata":[]})"},
      {{}, R"({"metadata":"b"})"},
      {{}, R"({"metadata":{"name":7}})"},
      {{}, R"({"metadata":{"name":"b","labels":{"x":1}}})"},
      {{}, R"({"metadata":{"name":"b","labels":["x"]}})"},
      {{}, R"({"metadata":{"name":"b"},"data":"x"})"},
      {{}, R"({"metadata":{"name":"b"},"data":{"k":{}}})"},
      {{}, R"({"metadata":{"name":"b"},"binaryData":{"k":"%%%"}})"},
      {{}, R"({"metadata":{"name":"b","creationTimestamp":"yesterday"}})"},
      {{}, R"({"kind":7,"metadata":{"name":"b"}})"},
      {{}, deep},
      {{}, objects},
      {kYaml, "metadata:\n  name: b\n data: [\n"},
      {kYaml, "metadata: {name: b}\ndata: &x [*x]\n"},
      {kYaml, "- a\n- b\n"},
      {kYaml, Nested(10'000, '[', ']')},
      {kYaml,
       "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d "
       "[*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
       "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: "
       "[*g,*g,*g,*g,*g,*g]\n"},
      {kProtobuf, ""},
      {kProtobuf, "k8s"},
      {kProtobuf, R"({"metadata":{"name":"b"}})"},
      {kProtobuf, EnvelopeOf("v1", "ConfigMap", Bytes(1, "\x0a\x7f") + "x")},
      {kProtobuf, EnvelopeOf("v1", "ConfigMap", std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11))},
      {kProtobuf, EnvelopeOf("v1", "Frob", Bytes(1, Bytes(1, "b")))},
      {kProtobuf, EnvelopeOf("v1", "Secret", Bytes(1, Bytes(1, "b")))},
      {kProtobuf, EnvelopeOf("v9", "ConfigMap", Bytes(1, Bytes(1, "b")))},
  };
  for (const Row& row : rows) {
    const Answer answer = api.Send("POST", kMaps, row.body, row.headers);
    INFO(row.body.substr(0, 200) << "\n=> " << answer.code << " " << answer.body.substr(0, 500));
    CHECK(answer.code == 400);
    CHECK(answer.reason() == "BadRequest");
    CHECK_FALSE(answer.message().empty());
    const Answer put = api.Send("PUT", kMaps + "/a", row.body, row.headers);
    INFO(put.code << " " << put.body.substr(0, 500));
    CHECK(put.code == 400);
  }
  for (const char* body : {"", "{", "7", "null", "\"x\"", "[", "[1]", "[{}]", R"([{"op":"frob","path":"/a"}])",
                           R"([{"op":"add","path":"a","value":1}])", R"({"data":[]})"}) {
    for (const auto& headers : {kMergePatch, kStrategicPatch, kJsonPatch}) {
      const Answer answer = api.Send("PATCH", kMaps + "/a", body, headers);
      INFO(headers[0].second << " " << body << " => " << answer.code << " " << answer.body);
      CHECK((answer.code == 400 || answer.code == 422));
    }
  }
  CHECK(api.Get(kMaps + "/a").at("/data/k") == "1");
}

TEST_CASE("a protobuf body that is cut anywhere never does harm") {
  ApiCluster api;
  const std::string whole = EnvelopeOf("v1", "ConfigMap",
                                       Bytes(1, Bytes(1, "b") + Bytes(11, Bytes(1, "x") + Bytes(2, "y"))) +
                                           Bytes(2, Bytes(1, "key") + Bytes(2, "value")));
  for (size_t size = 0; size < whole.size(); ++size) {
    const Answer answer = api.Send("POST", kMaps + "?dryRun=All", whole.substr(0, size), kProtobuf);
    INFO(size << " " << answer.body);
    // Cut between two fields it may still be a message.
    CHECK((answer.code == 400 || answer.code == 422 || answer.code == 201));
  }
  const Answer answer = api.Send("POST", kMaps, whole, kProtobuf);
  CHECK(answer.code == 201);
  CHECK(answer.at("/data/key") == "value");
  CHECK(answer.at("/metadata/labels/x") == "y");
}

TEST_CASE("every kind can be written in protobuf") {
  ApiCluster api;
  for (const auto& kind : api.cluster().registry().catalog().kinds()) {
    if (std::find(kind->verbs.begin(), kind->verbs.end(), "create") == kind->verbs.end()) continue;
    const GroupVersionKind& gvk = kind->gvk;
    const std::string root = gvk.group.empty() ? "/api/v1/" : "/apis/" + gvk.api_version() + "/";
    const std::string path = root + (kind->namespaced ? "namespaces/default/" : "") + kind->plural;
    const std::string body = EnvelopeOf(gvk.api_version(), gvk.kind, Bytes(1, Bytes(1, "proto-test") + Number(7, 0)));
    const Answer answer = api.Send("POST", path + "?dryRun=All", body, kProtobuf);
    INFO(path << " => " << answer.code << " " << answer.body);
    // Some kinds need more than a name, and say so.
    CHECK((answer.code == 201 || answer.code == 422));
    if (answer.code == 201) {
      CHECK(answer.at("/metadata/name") == "proto-test");
      CHECK(answer.at("/kind") == gvk.kind);
      CHECK(answer.at("/apiVersion") == gvk.api_version());
    }
  }
}

TEST_CASE("names, labels and revisions that cannot be") {
  ApiCluster api;
  api.Put("a");
  for (const std::string& name :
       {std::string("UPPER"), std::string("under_score"), std::string("-dash"), std::string("dot."), std::string("a/b"),
        std::string("ä"), std::string(254, 'x'), std::string(" ")}) {
    const Answer answer = api.Send("POST", kMaps, Json{{"metadata", {{"name", name}}}});
    INFO(name << " " << answer.body);
    CHECK(answer.code == 422);
    CHECK(answer.at("/details/causes/0/field") == "metadata.name");
  }
  for (const Json& labels :
       {Json{{"-x", "1"}}, Json{{"x", "a b"}}, Json{{"x", std::string(64, 'v')}}, Json{{"/x", "1"}}, Json{{"", "1"}}}) {
    const Answer answer = api.Send("PATCH", kMaps + "/a", Json{{"metadata", {{"labels", labels}}}}, kMergePatch);
    INFO(labels << " " << answer.body);
    CHECK(answer.code == 422);
  }
  for (const char* revision : {"x", "-1", "1.5", "99999999999999999999999"}) {
    const Answer put = api.Send("PUT", kMaps + "/a", Json{{"metadata", {{"resourceVersion", revision}}}});
    INFO(revision << " " << put.body);
    CHECK(put.code == 400);
    CHECK(api.Get(kMaps + std::string("?watch=1&resourceVersion=") + revision).code == 400);
    CHECK(api.Get(kMaps + std::string("?resourceVersion=") + revision).code == 400);
  }
  // A name in the path that no object can have is one that is not there.
  CHECK(api.Get(kMaps + "/UPPER").code == 404);
  CHECK(api.Get(kMaps + "/a%2Fb").code == 404);
  CHECK(api.Get(kMaps + "/" + std::string(5000, 'x')).code == 404);
  CHECK(api.Get("/api/v1/namespaces/nowhere/configmaps").at("/items") == Json::array());
}

TEST_CASE("patches that bend an object out of shape are refused") {
  ApiCluster api;
  api.Put("a");
  CheckLines(
      api,
      {
          {"PATCH", kMaps + "/a", kJsonPatch, R"([{"op":"replace","path":"","value":7}])", 400, "BadRequest", "", {}},
          {"PATCH",
           kMaps + "/a",
           kJsonPatch,
           R"([{"op":"replace","path":"/metadata","value":7}])",
           400,
           "BadRequest",
           "",
           {}},
          {"PATCH",
           kMaps + "/a",
           kJsonPatch,
           R"([{"op":"remove","path":"/metadata"}])",
           200,
           "",
           "",
           {{"/metadata/name", "a"}}},
          {"PATCH", kMaps + "/a", kMergePatch, R"({"metadata":null})", 200, "", "", {{"/metadata/name", "a"}}},
          {"PATCH", kMaps + "/a", kMergePatch, R"({"metadata":7})", 400, "BadRequest", "", {}},
          {"PATCH", kMaps + "/a", kMergePatch, R"({"kind":"Secret"})", 400, "BadRequest", "", {}},
          {"PATCH", kMaps + "/a", kMergePatch, R"({"apiVersion":"v9"})", 400, "BadRequest", "", {}},
          {"PATCH", kMaps + "/a", kMergePatch, R"({"metadata":{"uid":"x"}})", 409, "Conflict", "", {}},
          {"PATCH", kMaps + "/a", kMergePatch, R"({"metadata":{"namespace":"x"}})", 400, "BadRequest", "", {}},
          {"GET", kMaps + "/a", {}, "", 200, "", "", {{"/kind", "ConfigMap"}, {"/data/k", "1"}}},
      });
}

}  // namespace
}  // namespace wherry
