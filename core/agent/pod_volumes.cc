#include "core/agent/pod_volumes.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/agent/claimed_volumes.h"
#include "core/agent/group_ownership.h"
#include "core/kinds/resources.h"
#include "core/kinds/storage_view.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

Status Refusal(const std::string& volume, const std::string& why) {
  return Status(Reason::kInvalid, "MountVolume.SetUp failed for volume \"" + volume + "\" : " + why);
}

// hostPath.type, as the API lists them.
Status CheckHostPath(const std::string& path, const std::string& type) {
  struct stat info {};
  const bool exists = stat(path.c_str(), &info) == 0;
  std::error_code error;
  if (type == "DirectoryOrCreate" && !exists) {
    fs::create_directories(path, error);
    return error ? Status(Reason::kInvalid, "mkdir " + path + ": " + error.message()) : Status();
  }
  if (type == "FileOrCreate" && !exists) {
    std::ofstream(path).flush();
    return access(path.c_str(), F_OK) == 0 ? Status()
                                           : Status(Reason::kInvalid, "open " + path + ": cannot be created");
  }
  struct Row {
    const char* type;
    mode_t format;
    const char* what;
  };
  static constexpr Row kRows[] = {{"Directory", S_IFDIR, "a directory"},
                                  {"DirectoryOrCreate", S_IFDIR, "a directory"},
                                  {"File", S_IFREG, "a file"},
                                  {"FileOrCreate", S_IFREG, "a file"},
                                  {"Socket", S_IFSOCK, "a socket file"},
                                  {"CharDevice", S_IFCHR, "a character device"},
                                  {"BlockDevice", S_IFBLK, "a block device"}};
  for (const Row& row : kRows) {
    if (type == row.type && (!exists || (info.st_mode & S_IFMT) != row.format)) {
      return Status(Reason::kInvalid, "hostPath type check failed: " + path + " is not " + row.what);
    }
  }
  return {};
}

Status MakeEmptyDir(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return Status(Reason::kInvalid, "mkdir " + directory.string() + ": " + error.message());
  chmod(directory.c_str(), 0777);  // as the kubelet: whoever the pod runs as may write
  return {};
}

ProjectionOptions HowToWrite(const Json& pod, const std::string& volume, int64_t group) {
  ProjectionOptions options;
  options.stamp = StringAt(pod, "metadata.resourceVersion", "0");
  options.group = group;
  for (const char* field : {"spec.initContainers", "spec.containers"}) {
    for (const Json& container : ListAt(pod, field)) {
      for (const Json& mount : ListAt(container, "volumeMounts")) {
        options.keep_old |= StringAt(mount, "name") == volume && (Has(mount, "subPath") || Has(mount, "subPathExpr"));
      }
    }
  }
  return options;
}

bool IsWordEnd(char c) {
  return c == '>' || c == '<' || c == '(' || c == '|' || c == '&' || c == '`' || c == ':' || c == ',' || c == ';' ||
         c == ' ' || c == '\n' || c == '"' || c == '\'' || c == '=' || c == ')';
}

}  // namespace

fs::path MemoryVolumes(const fs::path& data_dir) {
  if (access("/dev/shm", W_OK | X_OK) != 0) return {};
  return "/dev/shm/wherry-" + std::to_string(std::hash<std::string>()(data_dir.lexically_normal().string()));
}

Result<std::map<std::string, std::string>> PodVolumes::Prepare(const EnvSources& sources) {
  std::map<std::string, std::string> out;
  for (const Json& volume : ListAt(sources.pod, "spec.volumes")) {
    Result<std::string> path = PrepareOne(sources, volume);
    if (!path.ok()) return path.status();
    out[StringAt(volume, "name")] = std::move(*path);
  }
  return out;
}

std::map<std::string, std::string> PodVolumes::Places(const EnvSources& sources) const {
  std::map<std::string, std::string> out;
  for (const Json& volume : ListAt(sources.pod, "spec.volumes")) {
    const std::string name = StringAt(volume, "name");
    out[name] = StringAt(volume, "hostPath.path", (directory_ / name).string());
    if (Has(volume, "emptyDir")) {
      out[name] = EmptyDir(volume).string();
      std::error_code gone;
      if (!fs::exists(out[name], gone)) (void)MakeEmptyDir(out[name]);  // memory that a reboot has emptied
    }
    if (ClaimOfVolume(volume, "").empty()) continue;
    const Result<ClaimedVolume> claimed =
        FindClaimedVolume(sources.cache, sources.pod, volume, sources.node_name, true);
    if (claimed.ok()) out[name] = claimed->path;
  }
  return out;
}

Result<std::string> PodVolumes::PrepareOne(const EnvSources& sources, const Json& volume) {
  const std::string name = StringAt(volume, "name");
  const int64_t group = GroupOf(sources.pod);
  if (const Json* host = FindPath(volume, "hostPath")) {
    const std::string path = StringAt(*host, "path");
    const Status checked = CheckHostPath(path, StringAt(*host, "type"));
    if (!checked.ok()) return Refusal(name, checked.message());
    return path;
  }
  if (!ClaimOfVolume(volume, "").empty()) {
    Result<ClaimedVolume> claimed = FindClaimedVolume(sources.cache, sources.pod, volume, sources.node_name, false);
    if (!claimed.ok()) return Refusal(name, claimed.status().message());
    const Status checked = CheckHostPath(claimed->path, claimed->host_path_type);
    if (!checked.ok()) return Refusal(name, checked.message());
    if (access(claimed->path.c_str(), F_OK) != 0) return Refusal(name, "path \"" + claimed->path + "\" does not exist");
    const Status given = group >= 0 ? GiveTreeToGroup(claimed->path, group) : Status();
    if (!given.ok()) return Refusal(name, given.message());
    return std::move(claimed->path);
  }
  if (!IsInside(name)) return Refusal(name, "invalid name");
  if (Has(volume, "emptyDir")) {
    const fs::path directory = EmptyDir(volume);
    const Status made = MakeEmptyDir(directory);
    if (!made.ok()) return Refusal(name, made.message());
    const Status given = group >= 0 ? GiveTreeToGroup(directory, group) : Status();
    if (!given.ok()) return Refusal(name, given.message());
    return directory.string();
  }
  if (!IsProjection(volume)) {
    std::string type = "unknown";
    for (auto it = volume.begin(); it != volume.end(); ++it) {
      if (it.key() != "name") type = it.key();
    }
    return Refusal(name, "volumes of type " + type + " are not offered on this node");
  }
  const fs::path directory = directory_ / name;
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return Refusal(name, "mkdir " + directory.string() + ": " + error.message());
  const Result<ProjectedFiles> files =
      RenderProjection(sources, volume, [&](const Json& source) { return Issue(sources, source); });
  if (!files.ok()) return Refusal(name, files.status().message());
  const Status written = WriteProjection(directory, *files, HowToWrite(sources.pod, name, group));
  if (!written.ok()) return Refusal(name, written.message());
  return directory.string();
}

Status PodVolumes::Refresh(const EnvSources& sources, const std::function<bool(const Json&)>& follows, Time now) {
  Status outcome;
  for (const Json& volume : ListAt(sources.pod, "spec.volumes")) {
    if (!IsProjection(volume) || !follows(volume)) continue;
    const fs::path directory = directory_ / StringAt(volume, "name");
    const ProjectedFiles shown = ReadProjection(directory);
    const Result<ProjectedFiles> files = RenderProjection(sources, volume, [&](const Json& source) {
      auto it = shown.find(StringAt(source, "path", "token"));
      if (it != shown.end() && now < TokenRenewal(it->second.content)) return Result<std::string>(it->second.content);
      return Issue(sources, source);
    });
    Status step = files.status();
    if (step.ok()) {
      step =
          WriteProjection(directory, *files, HowToWrite(sources.pod, StringAt(volume, "name"), GroupOf(sources.pod)));
    }
    if (!step.ok() && outcome.ok()) outcome = Refusal(StringAt(volume, "name"), step.message());
  }
  return outcome;
}

Time PodVolumes::NextRenewal(const Json& pod) const {
  Time next = Time::max();
  for (const Json& volume : ListAt(pod, "spec.volumes")) {
    if (!HasToken(volume)) continue;
    const ProjectedFiles shown = ReadProjection(directory_ / StringAt(volume, "name"));
    for (const Json& source : ListAt(volume, "projected.sources")) {
      const Json* token = FindPath(source, "serviceAccountToken");
      auto it = token ? shown.find(StringAt(*token, "path", "token")) : shown.end();
      if (it != shown.end()) next = std::min(next, TokenRenewal(it->second.content));
    }
  }
  return next;
}

fs::path PodVolumes::EmptyDir(const Json& volume) const {
  const bool memory = StringAt(volume, "emptyDir.medium") == "Memory" && !memory_.empty();
  return (memory ? memory_ : directory_) / StringAt(volume, "name");
}

Result<std::string> PodVolumes::Issue(const EnvSources& sources, const Json& source) const {
  if (!tokens_) return Status(Reason::kInvalid, "this cluster issues no service account tokens");
  return tokens_(StringAt(sources.pod, "metadata.namespace"),
                 StringAt(sources.pod, "spec.serviceAccountName", "default"), StringAt(source, "audience"),
                 IntAt(source, "expirationSeconds", 3600), sources.pod);
}

// fsGroup: only root can give files to a group.
int64_t PodVolumes::GroupOf(const Json& pod) const {
  return geteuid() == 0 ? IntAt(pod, "spec.securityContext.fsGroup", -1) : -1;
}

Result<std::string> ResolveSubPath(const std::string& volume, const std::string& sub_path) {
  if (sub_path.empty()) return volume;
  if (!IsInside(sub_path))
    return Status(Reason::kInvalid, "subPath \"" + sub_path + "\" must be a relative path without '..'");
  std::error_code error;
  const fs::path root = fs::weakly_canonical(volume, error);
  fs::path target = root / sub_path;
  // Made before it is resolved, so that nothing that appears later can lead elsewhere than what was checked now.
  if (!fs::exists(fs::symlink_status(target))) {
    const fs::path parent = fs::weakly_canonical(target.parent_path(), error);
    const auto [rest, unused] = std::mismatch(root.begin(), root.end(), parent.begin(), parent.end());
    if (rest == root.end()) fs::create_directories(target, error);
  }
  const fs::path real = fs::weakly_canonical(target, error);
  const auto [rest, unused] = std::mismatch(root.begin(), root.end(), real.begin(), real.end());
  if (error || rest != root.end())
    return Status(Reason::kInvalid, "subPath \"" + sub_path + "\" leads out of the volume");
  return real.string();
}

Result<MountMap> ContainerMounts(const Json& container, const std::map<std::string, std::string>& volumes,
                                 const Environment& env) {
  MountMap out;
  const Json* mounts = FindPath(container, "volumeMounts");
  if (!mounts || !mounts->is_array()) return out;
  for (const Json& mount : *mounts) {
    auto volume = volumes.find(StringAt(mount, "name"));
    if (volume == volumes.end()) continue;  // refused by validation
    const std::string expression = StringAt(mount, "subPathExpr");
    const std::string sub_path = expression.empty() ? StringAt(mount, "subPath") : ExpandVariables(expression, env);
    Result<std::string> place = ResolveSubPath(volume->second, sub_path);
    if (!place.ok()) {
      return ContainerRefusal(
          "CreateContainerConfigError",
          "failed to prepare subPath for volumeMount \"" + StringAt(mount, "name") + "\": " + place.status().message());
    }
    std::string path = StringAt(mount, "mountPath");
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    out.emplace_back(std::move(path), std::move(*place));
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  return out;
}

std::string TranslatePaths(std::string text, const MountMap& mounts) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    bool replaced = false;
    if (i == 0 || IsWordEnd(text[i - 1])) {
      for (const auto& [from, to] : mounts) {
        if (from == to || from == "/" || text.compare(i, from.size(), from) != 0) continue;
        const size_t end = i + from.size();
        if (end < text.size() && text[end] != '/' && !IsWordEnd(text[end])) continue;
        out += to;
        i = end;
        replaced = true;
        break;
      }
    }
    if (!replaced) out += text[i++];
  }
  return out;
}

}  // namespace wherry
