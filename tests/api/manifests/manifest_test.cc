#include "api/manifests/manifest.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace wherry {
namespace {

// "Kind@where" of each object, then "!error" of each refusal.
std::vector<std::string> Summary(const Manifests& manifests) {
  std::vector<std::string> out;
  for (const Manifest& one : manifests.objects)
    out.push_back((*one.object)["kind"].get<std::string>() + "@" + one.where);
  for (const std::string& error : manifests.errors) out.push_back("!" + error);
  return out;
}

std::vector<std::string> Read(const std::string& text) {
  Manifests out;
  ReadManifests(text, "f", &out);
  return Summary(out);
}

using Lines = std::vector<std::string>;

TEST_CASE("files are taken apart into objects") {
  CHECK(Read("apiVersion: v1\nkind: A\n") == Lines{"A@f"});
  CHECK(
      Read("# head\n---\napiVersion: v1\nkind: A\n---\n---\n# only a comment\n--- # tail\napiVersion: v1\nkind: B\n") ==
      Lines{"A@f, document 2 (line 2)", "B@f, document 4 (line 8)"});
  CHECK(Read("apiVersion: v1\nkind: A\ndata:\n  x: |\n    ---\n    y\n") == Lines{"A@f"});
  CHECK(Read(R"({"apiVersion":"v1","kind":"A"})") == Lines{"A@f"});
  CHECK(Read("{\"apiVersion\":\"v1\",\"kind\":\"A\",\"x\":\"}{\\\"\"}\n{\"apiVersion\":\"v1\",\"kind\":\"B\"}\n") ==
        Lines{"A@f, document 1 (line 1)", "B@f, document 2 (line 1)"});
  CHECK(Read("{apiVersion: v1, kind: A}\n---\napiVersion: v1\nkind: B\n") ==
        Lines{"A@f, document 1 (line 1)", "B@f, document 2 (line 2)"});
  CHECK(Read("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A}\n- {apiVersion: v1, kind: B}\n") ==
        Lines{"A@f, items[0]", "B@f, items[1]"});
  CHECK(Read("").empty());
  CHECK(Read("# nothing\n").empty());
}

TEST_CASE("what cannot be used is named, and the rest is kept") {
  CHECK(Read("apiVersion: v1\nkind: A\n---\nkind: B\n---\n- x\n---\napiVersion: v1\n") ==
        Lines{"A@f, document 1 (line 1)", "!f, document 2 (line 3): apiVersion: Required value",
              "!f, document 3 (line 5): not an object but array", "!f, document 4 (line 7): kind: Required value"});
  const Lines broken = Read("apiVersion: v1\nkind: A\n---\nkind: [\n");
  REQUIRE(broken.size() == 2);
  CHECK(broken[1].starts_with("!f, document 2 (line 3): error parsing YAML: "));
  // The parser's own line number is the file's.
  CHECK(broken[1].find("line 5") != std::string::npos);
}

TEST_CASE("paths are files or directories") {
  char name[] = "/tmp/wherry-manifests-XXXXXX";
  const std::string dir = ::mkdtemp(name);
  const auto write = [&dir](const std::string& file, const std::string& text) { std::ofstream(dir + file) << text; };
  std::filesystem::create_directory(dir + "/sub");
  write("/b.yaml", "apiVersion: v1\nkind: B\n");
  write("/a.json", "{\"apiVersion\":\"v1\",\"kind\":\"A\"}");
  write("/notes.txt", "not for us");
  write("/sub/c.yml", "apiVersion: v1\nkind: C\n");
  CHECK(Summary(LoadManifests({dir}, false)) == Lines{"A@" + dir + "/a.json", "B@" + dir + "/b.yaml"});
  CHECK(Summary(LoadManifests({dir}, true)) ==
        Lines{"A@" + dir + "/a.json", "B@" + dir + "/b.yaml", "C@" + dir + "/sub/c.yml"});
  CHECK(Summary(LoadManifests({dir + "/b.yaml", dir + "/none"}, false)) ==
        Lines{"B@" + dir + "/b.yaml", "!" + dir + "/none: there is no such file"});
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace wherry
