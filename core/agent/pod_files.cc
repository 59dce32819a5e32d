#include "core/agent/pod_files.h"

#include <spdlog/spdlog.h>

#include "core/agent/pod_volumes.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

fs::path LinkPath(const fs::path& data_dir, const PodSite& place, const PodInfo& pod, const std::string& container) {
  return data_dir / "nodes" / place.node_name / "containers" /
         (pod.name + "_" + pod.ns + "_" + container + "-" + pod.uid + ".log");
}

}  // namespace

PodSite PlaceOf(const fs::path& data_dir, const std::string& node_name, const PodInfo& pod) {
  PodSite place;
  place.node_name = node_name;
  place.directory = data_dir / "pods" / pod.uid;
  place.log_directory = data_dir / "logs" / (pod.ns + "_" + pod.name + "_" + pod.uid);
  return place;
}

fs::path LogPath(const PodSite& place, const std::string& container, int attempt) {
  return place.log_directory / container / (std::to_string(attempt) + ".log");
}

void MakeRoomForLog(const fs::path& data_dir, const PodSite& place, const PodInfo& pod, const std::string& container,
                    int attempt) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(place.log_directory / container, error)) {
    if (std::atoi(entry.path().filename().c_str()) < attempt - 1) fs::remove(entry.path(), error);
  }
  const fs::path link = LinkPath(data_dir, place, pod, container);
  fs::create_directories(link.parent_path(), error);
  fs::remove(link, error);
  fs::create_symlink(LogPath(place, container, attempt), link, error);
  if (error)
    spdlog::warn("log not linked pod={}/{} link={} error=\"{}\"", pod.ns, pod.name, link.string(), error.message());
}

void RemovePodFiles(const fs::path& data_dir, const PodSite& place, const PodInfo& pod) {
  std::error_code error;
  fs::remove_all(place.directory, error);
  fs::remove_all(place.log_directory, error);
  for (const ContainerInfo& container : pod.containers)
    fs::remove(LinkPath(data_dir, place, pod, container.name), error);
}

void RemoveOrphanFiles(const fs::path& data_dir, const std::set<std::string>& uids) {
  std::vector<fs::path> stale;
  std::error_code error;
  for (const char* folder : {"pods", "logs"}) {
    for (const auto& entry : fs::directory_iterator(data_dir / folder, error)) {
      const std::string name = entry.path().filename().string();
      const size_t mark = name.rfind('_');
      if (!uids.contains(mark == std::string::npos ? name : name.substr(mark + 1))) stale.push_back(entry.path());
    }
  }
  if (const fs::path memory = MemoryVolumes(data_dir); !memory.empty()) {
    for (const auto& entry : fs::directory_iterator(memory, error)) {
      if (!uids.contains(entry.path().filename().string())) stale.push_back(entry.path());
    }
  }
  for (const fs::path& path : stale) fs::remove_all(path, error);
  // Now, for those of the logs that just went lead nowhere as well.
  stale.clear();
  for (const auto& entry : fs::recursive_directory_iterator(data_dir / "nodes", error)) {
    if (entry.is_symlink() && !fs::exists(entry.path(), error)) stale.push_back(entry.path());
  }
  for (const fs::path& path : stale) fs::remove(path, error);
}

}  // namespace wherry
