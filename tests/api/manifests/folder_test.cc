#include "api/manifests/folder.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/runtime/object_view.h"
#include "tests/support/test_cluster.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::string Config(const std::string& name, const std::string& value, const std::string& ns = "default") {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: " + ns + "}\ndata: {a: \"" +
         value + "\"}\n";
}

struct Folder {
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "wherry-manifests-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Folder() {
    folder.reset();
    fs::remove_all(path);
  }
  void Open() {
    folder =
        std::make_unique<ManifestFolder>(cluster.plane().ContextFor("manifests"), cluster.registry().catalog(), path);
    cluster.Run(Started());
  }
  Task<bool> Started() {
    co_await folder->Start();
    co_return true;
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(path / name) << text;
    // Two versions of one size within one tick of the file system's clock look the same.
    fs::last_write_time(path / name, fs::file_time_type(seconds(1'000'000 + ++writes)));
  }
  // As after a change that inotify told of.
  void Look() {
    cluster.Settle();
    cluster.Advance(milliseconds(60));
  }
  std::string Value(const std::string& name, const std::string& ns = "default") {
    const Json document = cluster.Document("configmaps", ns, name);
    return document.is_null() ? "absent" : StringAt(document, "data.a");
  }

  TestCluster cluster;
  fs::path path;
  int writes = 0;
  std::unique_ptr<ManifestFolder> folder;
};

}  // namespace

TEST_CASE("a folder is applied at start and followed") {
  Folder f;
  f.Write("b.yaml", Config("one", "1") + "---\n" + Config("two", "1", "shop"));
  f.Write("z.yml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");  // namespaces go first
  f.Write("notes.txt", "no manifest");
  f.Write(".hidden.yaml", Config("hidden", "1"));
  f.Open();
  CHECK(f.Value("one") == "1");
  CHECK(f.Value("two", "shop") == "1");
  CHECK(f.Value("hidden") == "absent");
  CHECK(f.folder->faults().empty());

  f.Write("b.yaml", Config("one", "2"));
  f.Look();
  CHECK(f.Value("one") == "2");
  CHECK(f.Value("two", "shop") == "absent");

  f.Write("c.json", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"three"},"data":{"a":"3"}})");
  f.Look();
  CHECK(f.Value("three") == "3");
  fs::remove(f.path / "c.json");
  f.Look();
  CHECK(f.Value("three") == "absent");
}

TEST_CASE("without inotify's word the folder is looked at every minute") {
  Folder f;
  f.Open();
  const fs::path moved = f.path.string() + ".moved";
  fs::rename(f.path, moved);  // what is watched is not what is looked at any more
  fs::create_directory(f.path);
  f.Write("a.yaml", Config("one", "1"));
  f.cluster.Advance(seconds(61));
  CHECK(f.Value("one") == "1");
  fs::remove_all(moved);
}

TEST_CASE("a broken file harms nobody") {
  Folder f;
  f.Write("a.yaml", Config("one", "1"));
  f.Write("b.yaml", Config("two", "1"));
  f.Open();
  struct Row {
    std::string text;
    const char* fault;
  };
  const Row rows[] = {
      {"kind: [", "b.yaml: "},
      {"apiVersion: v1\nkind: Nothing\nmetadata: {name: x}\n", "no kind \"Nothing\" is known in \"v1\""},
      {"apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "metadata.name: Required value"},
      {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nbogus: 1\n", "unknown field \"bogus\""},
      {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: BAD}\n", "is invalid"},
      {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: nowhere}\n", "\"nowhere\" not found"},
      {Config("one", "9"), "ConfigMap default/one is in a.yaml already"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    f.Write("b.yaml", row.text);
    f.Write("a.yaml", Config("one", std::to_string(f.writes)));
    const std::string expected = std::to_string(f.writes - 1);
    f.Look();
    REQUIRE(f.folder->faults().contains("b.yaml"));
    CHECK_THAT(f.folder->faults().at("b.yaml"), Catch::Contains(row.fault));
    CHECK(f.folder->faults().size() == 1);
    CHECK(f.Value("one") == expected);
    CHECK(f.Value("two") == "1");  // what the file said before stays
  }
  f.Write("b.yaml", Config("three", "1"));
  f.Look();
  CHECK(f.folder->faults().empty());
  CHECK(f.Value("two") == "absent");
  CHECK(f.Value("three") == "1");
}

TEST_CASE("objects that are deleted come back, those that are edited stay as they are") {
  Folder f;
  f.Write("a.yaml", Config("one", "1"));
  f.Open();
  f.cluster.Delete("configmaps", "default", "one");
  f.Look();
  CHECK(f.Value("one") == "1");
  f.cluster.Update(f.cluster.Get("configmaps", "default", "one"), [](Json& body) { body["data"]["a"] = "edited"; });
  f.cluster.Advance(seconds(120));
  CHECK(f.Value("one") == "edited");
  f.Write("a.yaml", Config("one", "2"));
  f.Look();
  CHECK(f.Value("one") == "2");
}

TEST_CASE("what files lost while nobody looked goes at the next start") {
  Folder f;
  f.Write("a.yaml", Config("one", "1"));
  f.Write("b.yaml", Config("two", "1"));
  f.Open();
  f.cluster.Create(
      Json::parse(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"mine"},"data":{"a":"1"}})"));
  f.folder.reset();
  fs::remove(f.path / "b.yaml");
  f.Open();
  CHECK(f.Value("one") == "1");
  CHECK(f.Value("two") == "absent");
  CHECK(f.Value("mine") == "1");
}

TEST_CASE("pods of a folder are scheduled, and made anew when their file changes") {
  Folder f;
  f.cluster.AddNode("a");
  const std::string pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: app, image: ";
  f.Write("pod.yaml", pod + "'app:1'}]}\n");
  f.Open();
  f.cluster.Settle();
  CHECK(StringAt(f.cluster.Document("pods", "default", "web"), "status.phase") == "Running");
  const std::string uid = f.cluster.Get("pods", "default", "web")->uid();
  f.Write("pod.yaml", pod + "'app:1', command: [other]}]}\n");
  f.Look();
  f.Look();
  const Json now = f.cluster.Document("pods", "default", "web");
  CHECK(StringAt(now, "metadata.uid") != uid);
  CHECK(StringAt(now, "status.phase") == "Running");
}

TEST_CASE("what a controller makes of a manifest is its own") {
  Folder f;
  f.cluster.AddNode("a");
  f.Write(
      "web.yaml",
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {selector: {matchLabels: {a: b}}, template: "
      "{metadata: {labels: {a: b}}, spec: {containers: [{name: app, image: 'app:1'}]}}}\n");
  f.Open();
  f.cluster.Settle();
  REQUIRE(f.cluster.List("replicasets.apps").size() == 1);
  f.folder.reset();
  f.Open();
  f.cluster.Settle();
  CHECK(f.cluster.List("replicasets.apps").size() == 1);
  CHECK(f.cluster.PodsOn("a") == 1);
  fs::remove(f.path / "web.yaml");
  f.Look();
  f.cluster.Advance(seconds(60));
  CHECK(f.cluster.List("replicasets.apps").empty());
  CHECK(f.cluster.PodsOn("a") == 0);
}

}  // namespace wherry
