#include "api/manifests/merge.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace wherry {
namespace {

// `live` as it is after `last` was applied and the server added `more` to it.
Json Live(const char* last, const char* more) {
  Json live = WithLastApplied(Json::parse(last));
  live.merge_patch(Json::parse(more));
  return live;
}

// The patch without the annotation's new text, which most cases need not repeat.
Json Patch(const char* last, const char* more, const char* wanted) {
  Json patch = ThreeWayMergePatch(WithLastApplied(Json::parse(wanted)), Live(last, more));
  if (patch.contains("metadata") && patch["metadata"].contains("annotations")) {
    patch["metadata"]["annotations"].erase(kLastApplied);
    if (patch["metadata"]["annotations"].empty()) patch["metadata"].erase("annotations");
    if (patch["metadata"].empty()) patch.erase("metadata");
  }
  return patch;
}

TEST_CASE("a merge patch brings the live object to the manifest") {
  struct Row {
    const char* what;
    const char* last;
    const char* more;  // what happened to the live object since
    const char* wanted;
    const char* patch;
  };
  const Row row = GENERATE(values<Row>({
      {"nothing changed", R"({"spec":{"a":1}})", R"({})", R"({"spec":{"a":1}})", R"({})"},
      {"a field is changed", R"({"spec":{"a":1}})", R"({})", R"({"spec":{"a":2}})", R"({"spec":{"a":2}})"},
      {"a field is added", R"({"spec":{"a":1}})", R"({})", R"({"spec":{"a":1,"b":{"c":true}}})",
       R"({"spec":{"b":{"c":true}}})"},
      {"a field is taken out", R"({"spec":{"a":1,"b":2}})", R"({})", R"({"spec":{"a":1}})", R"({"spec":{"b":null}})"},
      {"a whole map is taken out", R"({"spec":{"a":1},"data":{"x":"y"}})", R"({})", R"({"spec":{"a":1}})",
       R"({"data":null})"},
      {"a key of a map is taken out", R"({"data":{"x":"1","y":"2"}})", R"({"data":{"z":"3"}})", R"({"data":{"x":"1"}})",
       R"({"data":{"y":null}})"},
      {"what was taken out is gone already", R"({"spec":{"a":1,"b":2}})", R"({"spec":{"b":null}})",
       R"({"spec":{"a":1}})", R"({})"},
      {"the server's defaults stay", R"({"spec":{"a":1}})", R"({"spec":{"d":5},"status":{"ok":true}})",
       R"({"spec":{"a":1}})", R"({})"},
      {"somebody else's change is undone", R"({"spec":{"a":1}})", R"({"spec":{"a":7}})", R"({"spec":{"a":1}})",
       R"({"spec":{"a":1}})"},
      {"a list that only has defaults added is left", R"({"l":[{"name":"x"}]})",
       R"({"l":[{"name":"x","pull":"Always"}]})", R"({"l":[{"name":"x"}]})", R"({})"},
      {"a list with a changed element is replaced", R"({"l":[{"name":"x","v":1}]})",
       R"({"l":[{"name":"x","v":1,"pull":"Always"}]})", R"({"l":[{"name":"x","v":2}]})",
       R"({"l":[{"name":"x","v":2}]})"},
      {"a list whose element lost a field is replaced", R"({"l":[{"name":"x","v":1}]})",
       R"({"l":[{"name":"x","v":1,"pull":"Always"}]})", R"({"l":[{"name":"x"}]})", R"({"l":[{"name":"x"}]})"},
      {"a list that somebody made longer is replaced", R"({"l":[1,2]})", R"({"l":[1,2,3]})", R"({"l":[1,2]})",
       R"({"l":[1,2]})"},
      {"a list that was not in the manifest before is compared only", R"({})", R"({"l":[{"n":1,"d":2}]})",
       R"({"l":[{"n":1}]})", R"({})"},
      {"an empty map is set", R"({"v":{"name":"x"}})", R"({})", R"({"v":{"name":"x","emptyDir":{}}})",
       R"({"v":{"emptyDir":{}}})"},
      {"null takes a field away", R"({"spec":{"a":1}})", R"({"spec":{"d":5}})", R"({"spec":{"a":1,"d":null}})",
       R"({"spec":{"d":null}})"},
      {"another type replaces", R"({"spec":{"port":80}})", R"({})", R"({"spec":{"port":"http"}})",
       R"({"spec":{"port":"http"}})"},
      {"labels come and go", R"({"metadata":{"labels":{"a":"1","b":"2"}}})", R"({"metadata":{"labels":{"c":"3"}}})",
       R"({"metadata":{"labels":{"a":"1","d":"4"}}})", R"({"metadata":{"labels":{"b":null,"d":"4"}}})"},
      {"an annotation is taken out", R"({"metadata":{"annotations":{"a":"1"}}})", R"({})",
       R"({"metadata":{"name":"x"}})", R"({"metadata":{"annotations":{"a":null},"name":"x"}})"},
  }));
  CAPTURE(row.what);
  CHECK(Patch(row.last, row.more, row.wanted) == Json::parse(row.patch));
}

TEST_CASE("what a merge patch makes is what was wanted") {
  // Beside the named cases: the patched object holds the manifest, and what others own.
  Json live = Live(R"({"spec":{"a":1,"gone":[1]},"data":{"x":"1"}})", R"({"spec":{"default":5},"status":{"n":2}})");
  const Json wanted = WithLastApplied(Json::parse(R"({"spec":{"a":{"deep":[{"k":1}]}},"data":{"y":"2"}})"));
  live.merge_patch(ThreeWayMergePatch(wanted, live));
  CHECK(live["spec"] == Json::parse(R"({"a":{"deep":[{"k":1}]},"default":5})"));
  CHECK(live["data"] == Json::parse(R"({"y":"2"})"));
  CHECK(live["status"]["n"] == 2);
  CHECK(ThreeWayMergePatch(wanted, live) == Json::object());
}

TEST_CASE("the annotation is the manifest as other clients write it") {
  const Json manifest = Json::parse(
      R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","creationTimestamp":null},"status":{}})");
  CHECK(WithLastApplied(manifest)["metadata"]["annotations"][kLastApplied] ==
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"annotations\":{},\"name\":\"x\"}}\n");
  // Applying what was read back does not nest annotations.
  CHECK(WithLastApplied(WithLastApplied(manifest)) == WithLastApplied(manifest));
}

TEST_CASE("an annotation that only spells the manifest otherwise is left alone") {
  const Json wanted = WithLastApplied(Json::parse(R"({"data":{"x":"<"}})"));
  Json live = wanted;
  live["metadata"]["annotations"][kLastApplied] = "{\"data\": {\"x\":\"\\u003c\"},\"metadata\":{\"annotations\":{}}}";
  CHECK(ThreeWayMergePatch(wanted, live) == Json::object());
}

TEST_CASE("an object that was never applied gets the annotation and loses nothing") {
  const Json wanted = WithLastApplied(Json::parse(R"({"data":{"x":"1"}})"));
  const Json live = Json::parse(R"({"data":{"x":"1","y":"2"},"metadata":{"name":"m"}})");
  Json expected;
  expected["metadata"]["annotations"] = wanted["metadata"]["annotations"];
  CHECK(ThreeWayMergePatch(wanted, live) == expected);
}

}  // namespace
}  // namespace wherry
