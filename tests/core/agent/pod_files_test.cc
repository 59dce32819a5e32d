// What pods leave on disk, and what is taken away.
#include "core/agent/pod_files.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace wherry {
namespace {

namespace fs = std::filesystem;

struct DataDir {
  DataDir() {
    std::string pattern = (fs::temp_directory_path() / "wherry-files-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = fs::canonical(pattern);
  }
  ~DataDir() { fs::remove_all(path); }

  // The files of a pod whose container "app" has run so many times.
  PodInfo AddPod(const std::string& name, const std::string& uid, int runs) const {
    const PodInfo pod(Json{{"metadata", {{"namespace", "default"}, {"name", name}, {"uid", uid}}},
                           {"spec", {{"containers", Json::array({{{"name", "app"}, {"image", "app"}}})}}}});
    const PodSite place = PlaceOf(path, "node", pod);
    fs::create_directories(place.directory / "volumes");
    fs::create_directories(place.log_directory / "app");
    for (int attempt = 0; attempt < runs; ++attempt) {
      MakeRoomForLog(path, place, pod, "app", attempt);
      std::ofstream(LogPath(place, "app", attempt)) << "text";
      std::ofstream(LogPath(place, "app", attempt).string() + ".1") << "rotated";
    }
    return pod;
  }

  // Every file and link below it.
  std::set<std::string> Files() const {
    std::set<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      if (entry.is_symlink() || !entry.is_directory())
        found.insert(fs::relative(entry.path().parent_path(), path) / entry.path().filename());
    }
    return found;
  }

  fs::path path;
};

}  // namespace

TEST_CASE("the logs of the last two runs stay, and a link leads to the newest") {
  DataDir data;
  const PodInfo pod = data.AddPod("web", "u-1", 3);
  CHECK(data.Files() == std::set<std::string>{"logs/default_web_u-1/app/1.log", "logs/default_web_u-1/app/1.log.1",
                                              "logs/default_web_u-1/app/2.log", "logs/default_web_u-1/app/2.log.1",
                                              "nodes/node/containers/web_default_app-u-1.log"});
  CHECK(fs::read_symlink(data.path / "nodes/node/containers/web_default_app-u-1.log") ==
        data.path / "logs/default_web_u-1/app/2.log");
  RemovePodFiles(data.path, PlaceOf(data.path, "node", pod), pod);
  CHECK(data.Files().empty());
  CHECK(fs::is_empty(data.path / "pods"));
}

TEST_CASE("of pods that are gone nothing stays, of others everything") {
  DataDir data;
  data.AddPod("web", "u-1", 1);
  const auto before = data.Files();
  data.AddPod("gone", "u-2", 2);
  const PodInfo half = data.AddPod("half", "u-3", 1);
  fs::remove_all(PlaceOf(data.path, "node", half).log_directory);  // somebody was killed while removing it
  RemoveOrphanFiles(data.path, {"u-1"});
  CHECK(data.Files() == before);
  CHECK(fs::exists(data.path / "pods/u-1"));
  CHECK_FALSE(fs::exists(data.path / "pods/u-2"));
  CHECK_FALSE(fs::exists(data.path / "pods/u-3"));
}

}  // namespace wherry
