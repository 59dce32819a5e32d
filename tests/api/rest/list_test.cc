// Lists, their pages, selectors and the Table form.

#include "tests/api/rest/table.h"

namespace wherry {
namespace {

const std::string kMaps = "/api/v1/namespaces/work/configmaps";

void Fill(ApiCluster& api) {
  api.Send("POST", "/api/v1/namespaces", R"({"metadata":{"name":"work"}})");
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    const Json body = {
        {"metadata",
         {{"name", name}, {"labels", {{"app", name[0] < 'c' ? "x" : "y"}, {"n", std::to_string(name[0] - 'a')}}}}}};
    api.Send("POST", kMaps, body);
  }
}

std::string Names(const Answer& answer) {
  std::string out;
  for (const Json& item : answer.at("/items")) out += item["metadata"]["name"].get<std::string>() + " ";
  return out;
}

TEST_CASE("selectors") {
  ApiCluster api;
  Fill(api);
  const std::pair<const char*, const char*> good[] = {
      {"labelSelector=app%3Dx", "a b "},
      {"labelSelector=app%3D%3Dx,n!%3D0", "b "},
      {"labelSelector=app%20in%20(x,z)", "a b "},
      {"labelSelector=app%20notin%20(x)&fieldSelector=metadata.name!%3Dd", "c e "},
      {"labelSelector=!app", ""},
      {"labelSelector=app,n%3E3", "e "},
      {"labelSelector=n%3C1", "a "},
      {"labelSelector=", "a b c d e "},
      {"fieldSelector=metadata.name%3Dc", "c "},
      {"fieldSelector=metadata.name%3D%3Dc,metadata.namespace%3Dwork", "c "},
      {"fieldSelector=metadata.namespace%3Dother", ""},
  };
  for (const auto& [query, names] : good) {
    INFO(query);
    CHECK(Names(api.Get(kMaps + "?" + query)) == names);
  }
  const std::pair<const char*, const char*> bad[] = {
      {"labelSelector=app%20in%20(x", "unable to parse requirement: "},
      {"labelSelector=n%3Ex", "unable to parse requirement: "},
      {"labelSelector=-a%3Db", "unable to parse requirement: "},
      {"labelSelector=%3Dx", "found '=', expected: !, identifier, or 'end of string'"},
      {"labelSelector=a%3Db%3Dc", "found '=', expected: ',' or 'end of string'"},
      {"labelSelector=,", "found ',', expected: !, identifier, or 'end of string'"},
  };
  for (const auto& [query, message] : bad) {
    const Answer answer = api.Get(kMaps + "?" + query);
    INFO(query << " " << answer.body);
    CHECK(answer.code == 400);
    CHECK(answer.reason() == "BadRequest");
    CHECK(answer.message().find(message) == 0);
  }
  CheckLines(api, {
                      {"GET",
                       kMaps + "?fieldSelector=spec.frob%3D1",
                       {},
                       "",
                       400,
                       "BadRequest",
                       "field label not supported: spec.frob",
                       {}},
                      {"GET", kMaps + "?fieldSelector=metadata.name", {}, "", 400, "BadRequest", "", {}},
                      {"GET",
                       "/api/v1/nodes?fieldSelector=metadata.namespace%3Dx",
                       {},
                       "",
                       400,
                       "BadRequest",
                       "field label not supported: metadata.namespace",
                       {}},
                      {"GET",
                       kMaps + "?watch=1&fieldSelector=spec.frob%3D1",
                       {},
                       "",
                       400,
                       "BadRequest",
                       "field label not supported: spec.frob",
                       {}},
                      {"GET", kMaps + "?watch=1&labelSelector=%3Dx", {}, "", 400, "BadRequest", "", {}},
                  });
}

TEST_CASE("an absent field compares as the zero of its type") {
  ApiCluster api;
  api.Send("POST", "/api/v1/nodes", R"({"metadata":{"name":"n1"}})");
  api.Send("POST", "/api/v1/nodes", R"({"metadata":{"name":"n2"},"spec":{"unschedulable":true}})");
  CHECK(Names(api.Get("/api/v1/nodes?fieldSelector=spec.unschedulable%3Dfalse")) == "n1 ");
  CHECK(Names(api.Get("/api/v1/nodes?fieldSelector=spec.unschedulable%3Dtrue")) == "n2 ");
  CHECK(Names(api.Get("/api/v1/nodes?fieldSelector=spec.unschedulable!%3Dtrue")) == "n1 ");
  api.Send("POST", kCore + "pods", R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}})");
  CHECK(Names(api.Get("/api/v1/pods?fieldSelector=spec.nodeName%3D,status.phase!%3DFailed")) == "p ");
  CHECK(Names(api.Get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1")) == "");
}

TEST_CASE("pages of a list come from one moment") {
  ApiCluster api;
  Fill(api);
  const Answer first = api.Get(kMaps + "?limit=2");
  CHECK(Names(first) == "a b ");
  CHECK(first.at("/metadata/remainingItemCount") == 3);
  const std::string token = first.at("/metadata/continue").get<std::string>();
  api.Send("DELETE", kMaps + "/c");
  api.Send("POST", kMaps, R"({"metadata":{"name":"cc"}})");

  const Answer second = api.Get(kMaps + "?limit=2&continue=" + token);
  CHECK(Names(second) == "c d ");
  CHECK(second.at("/metadata/resourceVersion") == first.at("/metadata/resourceVersion"));
  const Answer third = api.Get(kMaps + "?limit=2&continue=" + second.at("/metadata/continue").get<std::string>());
  CHECK(Names(third) == "e ");
  CHECK(third.at("/metadata/continue").is_null());
  CHECK(third.at("/metadata/remainingItemCount").is_null());
  CHECK(Names(api.Get(kMaps)) == "a b cc d e ");
  CHECK(Names(api.Get(kMaps + "?limit=5")) == "a b cc d e ");
  CHECK(api.Get(kMaps + "?limit=1&labelSelector=app").at("/metadata/remainingItemCount").is_null());
  CHECK(api.Get(kMaps + "?limit=1&labelSelector=app").at("/metadata/continue").is_string());

  CheckLines(
      api,
      {
          {"GET", kMaps + "?continue=rubbish", {}, "", 400, "BadRequest", "continue key is not valid: rubbish", {}},
          {"GET", kMaps + "?continue=" + token + "x", {}, "", 400, "BadRequest", "", {}},
          {"GET", "/api/v1/namespaces/default/configmaps?continue=" + token, {}, "", 400, "BadRequest", "", {}},
          {"GET", "/api/v1/namespaces/work/secrets?continue=" + token, {}, "", 400, "BadRequest", "", {}},
          {"GET",
           kMaps + "?resourceVersion=3&continue=" + token,
           {},
           "",
           400,
           "BadRequest",
           "specifying resource version is not allowed when using continue",
           {}},
          {"GET", kMaps + "?continue=gone.2", {}, "", 410, "Expired", "", {}},
      });
  api.cluster().Advance(std::chrono::minutes(6));
  CHECK(api.Get(kMaps + "?limit=2&continue=" + token).code == 410);
}

TEST_CASE("revisions that a list may ask for") {
  ApiCluster api;
  Fill(api);
  const std::string now = api.Get(kMaps).at("/metadata/resourceVersion").get<std::string>();
  const std::string later = std::to_string(std::stoull(now) + 5);
  const std::string too_large = "Timeout: Too large resource version: " + later + ", current: " + now;
  CheckLines(
      api,
      {
          {"GET", kMaps + "?resourceVersion=0", {}, "", 200, "", "", {{"/metadata/resourceVersion", now}}},
          {"GET", kMaps + "?resourceVersion=1", {}, "", 200, "", "", {{"/metadata/resourceVersion", now}}},
          {"GET", kMaps + "?resourceVersionMatch=NotOlderThan&resourceVersion=" + now, {}, "", 200, "", "", {}},
          {"GET", kMaps + "?resourceVersionMatch=Exact&resourceVersion=" + now, {}, "", 200, "", "", {}},
          {"GET", kMaps + "?resourceVersionMatch=Exact&resourceVersion=1", {}, "", 410, "Expired", "", {}},
          {"GET",
           kMaps + "?resourceVersion=" + later,
           {},
           "",
           504,
           "Timeout",
           too_large,
           {{"/details/causes/0/reason", "ResourceVersionTooLarge"}, {"/details/retryAfterSeconds", 1}}},
          {"GET", kMaps + "/a?resourceVersion=" + later, {}, "", 504, "Timeout", too_large, {}},
          {"GET", kMaps + "?resourceVersion=x", {}, "", 400, "BadRequest", "", {}},
          {"GET", kMaps + "?resourceVersion=-1", {}, "", 400, "BadRequest", "", {}},
          {"GET",
           kMaps + "?resourceVersionMatch=Exact",
           {},
           "",
           422,
           "Invalid",
           "",
           {{"/details/kind", "ListOptions"}, {"/details/group", "meta.k8s.io"}}},
          {"GET", kMaps + "?resourceVersionMatch=Exact&resourceVersion=0", {}, "", 422, "Invalid", "", {}},
          {"GET", kMaps + "?resourceVersionMatch=Frob&resourceVersion=1", {}, "", 422, "Invalid", "", {}},
          {"GET", kMaps + "?sendInitialEvents=true&resourceVersionMatch=NotOlderThan", {}, "", 422, "Invalid", "", {}},
      });
  CHECK(api.Get(kMaps + "?resourceVersion=" + later).header("Retry-After") == "1");
}

TEST_CASE("tables") {
  ApiCluster api;
  Fill(api);
  const Answer table = api.Get(kMaps + "?limit=2", kTable);
  CHECK(table.at("/kind") == "Table");
  CHECK(table.at("/apiVersion") == "meta.k8s.io/v1");
  CHECK(table.type == "application/json");
  CHECK(table.at("/metadata/remainingItemCount") == 3);
  CHECK(table.at("/metadata/continue").is_string());
  CHECK(table.at("/columnDefinitions/0/name") == "Name");
  CHECK(table.at("/columnDefinitions/0/format") == "name");
  CHECK(table.at("/columnDefinitions/2/name") == "Age");
  CHECK(table.at("/rows/0/cells/0") == "a");
  CHECK(table.at("/rows/0/object/kind") == "PartialObjectMetadata");
  CHECK(table.at("/rows/0/object/metadata/labels/app") == "x");
  CHECK(table.at("/rows/2").is_null());
  CHECK(api.Get(kMaps + "?includeObject=Object", kTable).at("/rows/0/object/kind") == "ConfigMap");
  CHECK(api.Get(kMaps + "?includeObject=None", kTable).at("/rows/0/object").is_null());
  CHECK(api.Get(kMaps + "?includeObject=Frob", kTable).code == 400);
  CHECK(api.Get(kMaps + "/a?includeObject=Frob", kTable).code == 400);
  const Answer one = api.Get(kMaps + "/a", kTable);
  CHECK(one.at("/rows/0/cells/0") == "a");
  CHECK(one.at("/metadata/resourceVersion") == one.at("/rows/0/object/metadata/resourceVersion"));
  // A refusal stays a Status.
  CHECK(api.Get(kMaps + "/nothere", kTable).at("/kind") == "Status");
  CHECK(api.Send("DELETE", kMaps + "/a", "", kTable).at("/kind") == "Status");

  const Answer partial =
      api.Get(kMaps, {{"Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"}});
  CHECK(partial.at("/kind") == "PartialObjectMetadataList");
  CHECK(partial.at("/items/0/kind") == "PartialObjectMetadata");
  CHECK(partial.at("/items/0/data").is_null());
}

}  // namespace
}  // namespace wherry
