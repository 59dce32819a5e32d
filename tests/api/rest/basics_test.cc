// What every request meets before it reaches an object: credentials, paths, methods, media types, and the open
// documents.

#include "tests/api/rest/table.h"

namespace wherry {
namespace {

TEST_CASE("health and version answer anybody, all else asks for credentials") {
  ApiCluster api;
  struct Row {
    const char* target;
    int code;
    std::string text;
  };
  const Row rows[] = {
      {"/healthz", 200, "ok"},
      {"/livez", 200, "ok"},
      {"/readyz", 200, "ok"},
      {"/readyz/ping", 200, "ok"},
      {"/readyz?verbose", 200, "[+]ping ok\nreadyz check passed\n"},
      {"/livez?verbose=1", 200, "[+]ping ok\nlivez check passed\n"},
  };
  for (const Row& row : rows) {
    const Answer answer = api.SendAnonymous("GET", row.target);
    INFO(row.target);
    CHECK(answer.code == row.code);
    CHECK(answer.body == row.text);
    CHECK(answer.type.substr(0, 10) == "text/plain");
  }
  const Answer version = api.SendAnonymous("GET", "/version?timeout=32s");
  CHECK(version.code == 200);
  CHECK(version.at("/major") == "1");
  CHECK(version.at("/minor") == "32");
  CHECK(version.at("/gitVersion").get<std::string>().substr(0, 7) == "v1.32.0");

  for (const char* target : {"/", "/api", "/apis", "/api/v1", "/api/v1/pods", "/openapi/v2", "/nowhere",
                             "/readyz/nothing", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"}) {
    const Answer answer = api.SendAnonymous("GET", target);
    INFO(target);
    CHECK(answer.code == 401);
    CHECK(answer.json == Json{{"kind", "Status"},
                              {"apiVersion", "v1"},
                              {"metadata", Json::object()},
                              {"status", "Failure"},
                              {"message", "Unauthorized"},
                              {"reason", "Unauthorized"},
                              {"code", 401}});
  }
  CHECK(api.SendAnonymous("GET", "/api/v1/pods", {{"Authorization", "Bearer wrong"}}).code == 401);
  CHECK(api.SendAnonymous("GET", "/api/v1/pods", {{"Authorization", "Basic c2VjcmV0"}}).code == 401);
}

TEST_CASE("a server that is not ready says so") {
  ApiCluster api;
  bool ready = false;
  api.api().AddReadyCheck("bootstrap", [&] { return ready; });
  CHECK(api.SendAnonymous("GET", "/readyz").code == 500);
  CHECK(api.SendAnonymous("GET", "/readyz").body ==
        "[-]bootstrap failed: not ready yet\n[+]ping ok\nreadyz check failed\n");
  CHECK(api.SendAnonymous("GET", "/livez").code == 200);
  CHECK(api.SendAnonymous("GET", "/readyz/ping").code == 200);
  ready = true;
  CHECK(api.SendAnonymous("GET", "/readyz").body == "ok");
}

TEST_CASE("paths and methods that mean nothing") {
  ApiCluster api;
  api.Put("a");
  const std::string unknown = "the server could not find the requested resource";
  const std::string wrong = "the server does not allow this method on the requested resource";
  CheckLines(
      api,
      {
          {"GET", "/api/v1/frobs", {}, "", 404, "NotFound", unknown, {}},
          {"GET", "/apis/nosuch.example/v1/frobs", {}, "", 404, "NotFound", unknown, {}},
          {"GET", "/api/v2/pods", {}, "", 404, "NotFound", unknown, {}},
          {"GET", "/api/v1//pods", {}, "", 404, "NotFound", unknown, {}},
          {"GET", "/api/v1/namespaces/default/nodes", {}, "", 404, "NotFound", unknown, {}},
          {"GET", "/api/v1/pods/a", {}, "", 404, "NotFound", unknown, {}},
          {"GET", kCore + "configmaps/a/status", {}, "", 404, "NotFound", unknown, {}},
          {"GET", kCore + "configmaps/a/frob", {}, "", 404, "NotFound", unknown, {}},
          {"GET",
           kCore + "configmaps/b",
           {},
           "",
           404,
           "NotFound",
           "configmaps \"b\" not found",
           {{"/details/name", "b"},
            {"/details/kind", "configmaps"},
            {"/details/group", nullptr},
            {"/code", 404},
            {"/status", "Failure"}}},
          {"GET",
           kApps + "deployments/b",
           {},
           "",
           404,
           "NotFound",
           "deployments.apps \"b\" not found",
           {{"/details/group", "apps"}}},
          {"POST", kCore + "configmaps/a", {}, "{}", 405, "MethodNotAllowed", wrong, {}},
          {"POST", "/api/v1/configmaps", {}, "{}", 405, "MethodNotAllowed", wrong, {}},
          {"PUT", kCore + "configmaps", {}, "{}", 405, "MethodNotAllowed", wrong, {}},
          {"PATCH", kCore + "configmaps", kMergePatch, "{}", 405, "MethodNotAllowed", wrong, {}},
          {"DELETE", "/api/v1/configmaps", {}, "", 405, "MethodNotAllowed", wrong, {}},
          {"DELETE", "/api/v1/namespaces", {}, "", 405, "MethodNotAllowed", wrong, {}},
          {"DELETE", kApps + "daemonsets/x/status", {}, "", 405, "MethodNotAllowed", wrong, {}},
          {"POST", kApps + "daemonsets/x/status", {}, "{}", 405, "MethodNotAllowed", wrong, {}},
          {"GET", kCore + "pods/x/eviction", {}, "", 405, "MethodNotAllowed", wrong, {}},
          {"FROB", kCore + "configmaps/a", {}, "", 405, "MethodNotAllowed", wrong, {}},
          {"POST", "/api/v1", {}, "{}", 405, "MethodNotAllowed", wrong, {}},
          {"GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}, "", 405, "MethodNotAllowed", wrong, {}},
          {"GET", "/apis/authentication.k8s.io/v1beta1/selfsubjectreviews", {}, "", 404, "NotFound", unknown, {}},
      });
  for (const char* target : {"/apis/nosuch.example", "/apis/apps/v9", "/api/v2", "/openapi/v4",
                             "/openapi/v3/apis/apps/v9", "/nowhere", "/nowhere/at/all"}) {
    const Answer answer = api.Get(target);
    INFO(target);
    CHECK(answer.code == 404);
    CHECK(answer.body == "404 page not found\n");
  }
  // The object is still there.
  CHECK(api.Get(kCore + "configmaps/a").code == 200);
}

TEST_CASE("HEAD is a GET whose body the connection leaves out") {
  ApiCluster api;
  api.Put("a");
  CHECK(api.Send("HEAD", kCore + "configmaps/a").code == 200);
  CHECK(api.Send("HEAD", kCore + "configmaps/b").code == 404);
  CHECK(api.Send("HEAD", kCore + "configmaps").code == 200);
  CHECK(api.Send("HEAD", kCore + "configmaps?watch=true").code == 200);  // and ends
  CHECK(api.Send("HEAD", "/apis").code == 200);
}

TEST_CASE("the Accept header chooses the form") {
  ApiCluster api;
  api.Put("a");
  struct Row {
    const char* accept;
    int code;
    std::string kind;
  };
  const Row rows[] = {
      {"application/json", 200, "ConfigMap"},
      {"*/*", 200, "ConfigMap"},
      {"application/*", 200, "ConfigMap"},
      {"Application/JSON; charset=utf-8", 200, "ConfigMap"},
      {"application/vnd.kubernetes.protobuf,application/json", 200, "ConfigMap"},
      {"application/vnd.kubernetes.protobuf, */*", 200, "ConfigMap"},
      {"text/html, application/json;q=0.5", 200, "ConfigMap"},
      {"application/json;as=Table;v=v1;g=meta.k8s.io,application/json", 200, "Table"},
      {"application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", 200, "Table"},
      {"application/json;as=Table;v=v2;g=meta.k8s.io,application/json", 200, "ConfigMap"},
      {"application/json;q=0.3, application/json;as=Table;v=v1;g=meta.k8s.io", 200, "Table"},
      {"application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", 200, "PartialObjectMetadata"},
      {"application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/"
       "json;as=PartialObjectMetadata;g=meta."
       "k8s.io;v=v1,application/json",
       200, "PartialObjectMetadata"},
      {"application/json;as=Frob;v=v1;g=meta.k8s.io", 406, "Status"},
      {"application/json;as=Table;v=v1;g=other.io", 406, "Status"},
      {"application/vnd.kubernetes.protobuf", 406, "Status"},
      {"application/json;q=0", 406, "Status"},
      {"text/html", 406, "Status"},
  };
  for (const Row& row : rows) {
    const Answer answer = api.Get(kCore + "configmaps/a", {{"Accept", row.accept}});
    INFO(row.accept << " => " << answer.body);
    CHECK(answer.code == row.code);
    CHECK(answer.at("/kind") == row.kind);
    CHECK(answer.type == "application/json");
    if (row.code == 406) {
      CHECK(answer.reason() == "NotAcceptable");
      CHECK(answer.message() == "only the following media types are accepted: application/json");
    }
  }
}

TEST_CASE("bodies in formats that nobody reads are refused") {
  ApiCluster api;
  const std::string body = R"({"metadata":{"name":"a"}})";
  const std::string formats =
      "the body of the request was in an unknown format - accepted media types include: application/json, "
      "application/yaml, "
      "application/vnd.kubernetes.protobuf";
  const std::string patches =
      "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, "
      "application/merge-patch+json, application/strategic-merge-patch+json";
  CheckLines(
      api,
      {
          {"POST",
           kCore + "configmaps",
           {{"Content-Type", "text/plain"}},
           body,
           415,
           "UnsupportedMediaType",
           formats,
           {}},
          {"POST",
           kCore + "configmaps",
           {{"Content-Type", "application/cbor"}},
           body,
           415,
           "UnsupportedMediaType",
           formats,
           {}},
          {"POST", kCore + "configmaps", {{"Content-Type", "application/json; charset=utf-8"}}, body, 201, "", "", {}},
          {"PUT", kCore + "configmaps/a", {}, body, 200, "", "", {}},  // no Content-Type is JSON
          {"PUT",
           kCore + "configmaps/a",
           {{"Content-Type", "text/plain"}},
           body,
           415,
           "UnsupportedMediaType",
           formats,
           {}},
          {"PATCH", kCore + "configmaps/a", {}, "{}", 415, "UnsupportedMediaType", patches, {}},
          {"PATCH",
           kCore + "configmaps/a",
           {{"Content-Type", "application/json"}},
           "{}",
           415,
           "UnsupportedMediaType",
           patches,
           {}},
          {"PATCH",
           kApps + "deployments/a/scale",
           {{"Content-Type", "application/json"}},
           "{}",
           404,
           "NotFound",
           "",
           {}},
          {"DELETE",
           kCore + "configmaps/a",
           {{"Content-Type", "text/plain"}},
           "x",
           415,
           "UnsupportedMediaType",
           formats,
           {}},
          {"DELETE", kCore + "configmaps/a", {{"Content-Type", "text/plain"}}, "", 200, "", "", {}},
      });
}

TEST_CASE("integers of the query must be integers, booleans may be anything") {
  ApiCluster api;
  api.Put("a");
  const std::string syntax = "strconv.ParseInt: parsing \"x\": invalid syntax";
  CheckLines(
      api, {
               {"GET", kCore + "configmaps?limit=x", {}, "", 400, "BadRequest", syntax, {}},
               {"GET", kCore + "configmaps?timeoutSeconds=x", {}, "", 400, "BadRequest", syntax, {}},
               {"DELETE", kCore + "configmaps/a?gracePeriodSeconds=x", {}, "", 400, "BadRequest", syntax, {}},
               {"GET", kCore + "configmaps?watch=false", {}, "", 200, "", "", {{"/kind", "ConfigMapList"}}},
               {"GET", kCore + "configmaps?watch=0", {}, "", 200, "", "", {{"/kind", "ConfigMapList"}}},
               {"GET", kCore + "configmaps?watch=False", {}, "", 200, "", "", {{"/kind", "ConfigMapList"}}},
               {"GET", kCore + "configmaps?nonsense=1&pretty=true", {}, "", 200, "", "", {{"/kind", "ConfigMapList"}}},
           });
  for (const char* value : {"watch", "watch=", "watch=1", "watch=true", "watch=True"}) {
    INFO(value);
    CHECK(api.Watch(kCore + "configmaps?" + value)->streamed());
  }
}

}  // namespace
}  // namespace wherry
