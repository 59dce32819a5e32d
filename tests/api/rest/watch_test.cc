// Watches: initial state, resumption, selectors, bookmarks, watch-list, Tables and their end (KEP-3157, KEP-1904).

#include "tests/api/rest/table.h"

namespace wherry {
namespace {

using Names = std::vector<std::string>;

const std::string kMaps = "/api/v1/namespaces/work/configmaps";

void PutMap(ApiCluster& api, const std::string& name, const Json& labels = Json::object(),
            const std::string& value = "1") {
  const Json body = {{"metadata", {{"name", name}, {"labels", labels}}}, {"data", {{"k", value}}}};
  Answer answer = api.Send("PUT", kMaps + "/" + name, body);
  if (answer.code == 404) answer = api.Send("POST", kMaps, body);
  INFO(answer.body);
  REQUIRE(answer.code < 300);
}

void Begin(ApiCluster& api) { api.Send("POST", "/api/v1/namespaces", R"({"metadata":{"name":"work"}})"); }

std::string Revision(ApiCluster& api) { return api.Get(kMaps).at("/metadata/resourceVersion").get<std::string>(); }

TEST_CASE("a watch without a revision begins with what is there") {
  ApiCluster api;
  Begin(api);
  PutMap(api, "a");
  for (const char* query : {"watch=true", "watch=1&resourceVersion=0", "watch=1&resourceVersion="}) {
    auto watch = api.Watch(kMaps + "?" + query);
    INFO(query);
    CHECK(watch->refusal().code == 200);
    CHECK(watch->refusal().type == "application/json");
    CHECK(watch->TakeNames() == Names{"ADDED a"});
  }
  auto watch = api.Watch(kMaps + "?watch=true");
  watch->Take();
  PutMap(api, "b");
  PutMap(api, "a", Json::object(), "2");
  api.Send("DELETE", kMaps + "/b");
  const std::vector<Json> frames = watch->Take();
  REQUIRE(frames.size() == 3);
  CHECK(frames[0]["type"] == "ADDED");
  CHECK(frames[0]["object"]["kind"] == "ConfigMap");
  CHECK(frames[0]["object"]["apiVersion"] == "v1");
  CHECK(frames[1]["type"] == "MODIFIED");
  CHECK(frames[1]["object"]["data"]["k"] == "2");
  CHECK(frames[2]["type"] == "DELETED");
  CHECK(frames[2]["object"]["data"]["k"] == "1");
  // The revision of the deletion, not of the last write.
  CHECK(frames[2]["object"]["metadata"]["resourceVersion"] == Revision(api));
}

TEST_CASE("a watch resumes after its revision") {
  ApiCluster api;
  Begin(api);
  PutMap(api, "a");
  const std::string from = Revision(api);
  PutMap(api, "b");
  api.Send("DELETE", kMaps + "/a");
  auto watch = api.Watch(kMaps + "?watch=1&resourceVersion=" + from);
  CHECK(watch->TakeNames() == Names{"ADDED b", "DELETED a"});
  PutMap(api, "c");
  CHECK(watch->TakeNames() == Names{"ADDED c"});
  CHECK(api.Watch(kMaps + "?watch=1&resourceVersion=" + Revision(api))->TakeNames().empty());
}

TEST_CASE("a revision of the future waits for it") {
  ApiCluster api;
  Begin(api);
  const uint64_t now = std::stoull(Revision(api));
  auto watch = api.Watch(kMaps + "?watch=1&resourceVersion=" + std::to_string(now + 2));
  CHECK(watch->streamed());
  PutMap(api, "a");
  PutMap(api, "b");
  PutMap(api, "c");
  CHECK(watch->TakeNames() == Names{"ADDED c"});
}

TEST_CASE("a revision older than the history ends with 410 in the stream") {
  ApiCluster api;
  Begin(api);
  PutMap(api, "a");
  const std::string from = Revision(api);
  // More events than the ring holds, kept no longer than the history's time.
  for (int i = 0; i < 4200; ++i) PutMap(api, "b", Json::object(), std::to_string(i));
  auto kept = api.Watch(kMaps + "?watch=1&resourceVersion=" + from);
  CHECK(kept->Take().size() == 4200);  // read back from the store
  api.cluster().Advance(std::chrono::minutes(20));
  PutMap(api, "c");
  for (int i = 0; i < 50; ++i) {
    api.cluster().registry().store().Compact();
    api.cluster().Settle();
  }

  auto watch = api.Watch(kMaps + "?watch=1&resourceVersion=" + from);
  CHECK(watch->refusal().code == 200);
  const std::vector<Json> frames = watch->Take();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0]["type"] == "ERROR");
  const Json& status = frames[0]["object"];
  CHECK(status["kind"] == "Status");
  CHECK(status["apiVersion"] == "v1");
  CHECK(status["code"] == 410);
  CHECK(status["reason"] == "Expired");
  CHECK(status["message"].get<std::string>().find("too old resource version: " + from + " (") == 0);
  CHECK(watch->ended());
}

TEST_CASE("selectors turn changes into comings and goings") {
  ApiCluster api;
  Begin(api);
  PutMap(api, "a", {{"app", "x"}}, "first");
  auto watch = api.Watch(kMaps + "?watch=1&labelSelector=app%3Dx");
  const std::string from = Revision(api);
  CHECK(watch->TakeNames() == Names{"ADDED a"});
  PutMap(api, "b", {{"app", "y"}});
  PutMap(api, "b", {{"app", "x"}});
  PutMap(api, "a", {{"app", "y"}}, "second");
  PutMap(api, "a", {{"app", "z"}});
  PutMap(api, "b", {{"app", "x"}, {"more", "1"}});
  api.Send("DELETE", kMaps + "/a");
  api.Send("DELETE", kMaps + "/b");
  const std::vector<Json> frames = watch->Take();
  REQUIRE(frames.size() == 4);
  CHECK(frames[0]["type"] == "ADDED");
  CHECK(frames[0]["object"]["metadata"]["name"] == "b");
  CHECK(frames[1]["type"] == "DELETED");
  CHECK(frames[1]["object"]["metadata"]["name"] == "a");
  CHECK(frames[1]["object"]["data"]["k"] == "first");  // the last state that matched
  CHECK(std::stoull(frames[1]["object"]["metadata"]["resourceVersion"].get<std::string>()) == std::stoull(from) + 3);
  CHECK(frames[2]["type"] == "MODIFIED");
  CHECK(frames[3]["type"] == "DELETED");
  CHECK(frames[3]["object"]["metadata"]["name"] == "b");
  // A watch that resumes sees the same.
  CHECK(api.Watch(kMaps + "?watch=1&labelSelector=app%3Dx&resourceVersion=" + from)->TakeNames() ==
        Names{"ADDED b", "DELETED a", "MODIFIED b", "DELETED b"});
}

TEST_CASE("one object by name, by field and by path") {
  ApiCluster api;
  Begin(api);
  PutMap(api, "a");
  PutMap(api, "b");
  auto by_field = api.Watch(kMaps + "?fieldSelector=metadata.name%3Da&resourceVersion=0&watch=true");
  auto by_path = api.Watch(kMaps + "/a?watch=true");
  auto elsewhere = api.Watch("/api/v1/namespaces/default/configmaps?watch=true&resourceVersion=" + Revision(api));
  auto everywhere = api.Watch("/api/v1/configmaps?watch=true&resourceVersion=" + Revision(api));
  PutMap(api, "b", {}, "2");
  PutMap(api, "a", {}, "2");
  CHECK(by_field->TakeNames() == Names{"ADDED a", "MODIFIED a"});
  CHECK(by_path->TakeNames() == Names{"ADDED a", "MODIFIED a"});
  CHECK(elsewhere->TakeNames().empty());
  CHECK(everywhere->TakeNames() == Names{"MODIFIED b", "MODIFIED a"});
}

TEST_CASE("a watch-list ends its first part with a bookmark") {
  ApiCluster api;
  Begin(api);
  PutMap(api, "a");
  const std::string list = kMaps + "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
  const std::string now = Revision(api);
  for (const std::string& version : {std::string(), std::string("&resourceVersion=0"), "&resourceVersion=" + now}) {
    auto watch = api.Watch(list + "&allowWatchBookmarks=true" + version);
    const std::vector<Json> frames = watch->Take();
    INFO(version);
    REQUIRE(frames.size() == 2);
    CHECK(frames[0]["type"] == "ADDED");
    CHECK(frames[1]["type"] == "BOOKMARK");
    CHECK(frames[1]["object"]["kind"] == "ConfigMap");
    CHECK(frames[1]["object"]["apiVersion"] == "v1");
    CHECK(frames[1]["object"]["metadata"]["resourceVersion"] == now);
    CHECK(frames[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true");
    CHECK_FALSE(watch->ended());
  }
  CHECK(api.Watch(list)->TakeNames() == Names{"ADDED a"});
  auto none = api.Watch(list + "&allowWatchBookmarks=true&labelSelector=app");
  CHECK(none->TakeNames() == Names{"BOOKMARK end"});
  PutMap(api, "b", {{"app", "x"}});
  CHECK(none->TakeNames() == Names{"ADDED b"});
  CHECK(api.Watch(kMaps + "?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=" + now)
            ->TakeNames() == Names{"ADDED b"});

  struct Row {
    const char* query;
    int code;
    const char* reason;
  };
  const Row refused[] = {
      {"sendInitialEvents=true", 422, "Invalid"},
      {"sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1", 422, "Invalid"},
      {"resourceVersionMatch=NotOlderThan&resourceVersion=1", 422, "Invalid"},
      {"sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=999999", 504, "Timeout"},
  };
  for (const Row& row : refused) {
    auto watch = api.Watch(kMaps + "?watch=1&" + row.query);
    INFO(row.query << watch->refusal().body);
    CHECK_FALSE(watch->streamed());
    CHECK(watch->refusal().code == row.code);
    CHECK(watch->refusal().reason() == row.reason);
  }
}

TEST_CASE("bookmarks come while nothing happens, and before the end") {
  ApiCluster api;
  Begin(api);
  auto plain = api.Watch(kMaps + "?watch=1&resourceVersion=" + Revision(api) + "&timeoutSeconds=300");
  auto watch =
      api.Watch(kMaps + "?watch=1&resourceVersion=" + Revision(api) + "&allowWatchBookmarks=true&timeoutSeconds=300");
  // Another resource moves the revision on; the bookmark tells.
  api.Send("POST", "/api/v1/namespaces", R"({"metadata":{"name":"other"}})");
  api.cluster().Advance(std::chrono::seconds(30));
  const std::vector<Json> frames = watch->Take();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0]["type"] == "BOOKMARK");
  CHECK_FALSE(frames[0]["object"]["metadata"].contains("annotations"));
  CHECK(frames[0]["object"]["kind"] == "ConfigMap");
  api.cluster().Advance(std::chrono::seconds(265));
  watch->Take();
  CHECK_FALSE(watch->ended());
  api.cluster().Advance(std::chrono::seconds(6));
  CHECK(watch->TakeNames() == Names{"BOOKMARK"});
  CHECK(watch->ended());
  CHECK(plain->TakeNames().empty());
  CHECK(plain->ended());
}

TEST_CASE("a watch without a time-out ends within the hour, and when its client goes") {
  ApiCluster api;
  Begin(api);
  auto watch = api.Watch(kMaps + "?watch=1");
  api.cluster().Advance(std::chrono::minutes(29));
  CHECK_FALSE(watch->ended());
  api.cluster().Advance(std::chrono::minutes(32));
  CHECK(watch->ended());
  const size_t before = api.cluster().registry().cache().bus().subscriptions();
  { auto gone = api.Watch(kMaps + "?watch=1"); }
  PutMap(api, "a");
  CHECK(api.cluster().registry().cache().bus().subscriptions() <= before);
}

TEST_CASE("a reader that falls too far behind is let go") {
  ApiCluster api;
  Begin(api);
  auto watch = api.Watch(kMaps + "?watch=1");
  api.cluster().registry().cache().bus().Shutdown();
  api.cluster().Settle();
  CHECK(watch->ended());
}

TEST_CASE("Table and metadata watches") {
  ApiCluster api;
  Begin(api);
  PutMap(api, "a");
  auto table = api.Watch(kMaps + "?watch=1&allowWatchBookmarks=true", kTable);
  auto full = api.Watch(kMaps + "?watch=1&includeObject=Object", kTable);
  auto partial = api.Watch(kMaps + "?watch=1&allowWatchBookmarks=true", kPartial);
  PutMap(api, "b");
  api.cluster().Advance(std::chrono::seconds(30));
  std::vector<Json> frames = table->Take();
  REQUIRE(frames.size() == 3);
  CHECK(frames[0]["object"]["kind"] == "Table");
  CHECK(frames[0]["object"]["apiVersion"] == "meta.k8s.io/v1");
  CHECK(frames[0]["object"]["columnDefinitions"][0]["name"] == "Name");
  CHECK(frames[0]["object"]["rows"].size() == 1);
  CHECK(frames[0]["object"]["rows"][0]["cells"][0] == "a");
  CHECK(frames[0]["object"]["rows"][0]["object"]["kind"] == "PartialObjectMetadata");
  CHECK(frames[1]["object"]["columnDefinitions"].is_null());
  CHECK(frames[1]["object"]["metadata"]["resourceVersion"] ==
        frames[1]["object"]["rows"][0]["object"]["metadata"]["resourceVersion"]);
  CHECK(frames[2]["type"] == "BOOKMARK");
  CHECK(frames[2]["object"]["kind"] == "Table");
  CHECK(frames[2]["object"]["columnDefinitions"].is_null());
  frames = full->Take();
  REQUIRE(frames.size() == 2);
  CHECK(frames[1]["object"]["rows"][0]["object"]["data"]["k"] == "1");
  frames = partial->Take();
  REQUIRE(frames.size() == 3);
  CHECK(frames[1]["object"]["kind"] == "PartialObjectMetadata");
  CHECK(frames[1]["object"]["metadata"]["name"] == "b");
  CHECK_FALSE(frames[1]["object"].contains("data"));
  CHECK(frames[2]["object"]["kind"] == "PartialObjectMetadata");
  CHECK(api.Watch(kMaps + "?watch=1&includeObject=Frob", kTable)->refusal().code == 400);

  // The columns come with the first event, be it a bookmark.
  auto empty = api.Watch(
      kMaps + "?watch=1&labelSelector=none&allowWatchBookmarks=1&sendInitialEvents=1&resourceVersionMatch=NotOlderThan",
      kTable);
  frames = empty->Take();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0]["object"]["columnDefinitions"].is_array());
}

}  // namespace
}  // namespace wherry
