#include "core/agent/pod_volumes.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/agent/claimed_volumes.h"
#include "core/kinds/resources.h"
#include "core/kinds/storage_view.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

Status Refusal(const std::string& volume, const std::string& why) {
  return Status(Reason::kInvalid, "MountVolume.SetUp failed for volume \"" + volume + "\" : " + why);
}

// A relative path without "..", as the API's validation also asks of keys' paths.
bool IsInside(const std::string& path) {
  const fs::path parsed(path);
  return !path.empty() && parsed.is_relative() &&
         std::none_of(parsed.begin(), parsed.end(), [](const auto& p) { return p == ".."; });
}

// Files of a ConfigMap or Secret: all keys, or the `items` asked for.
Status AddConfig(const EnvSources& sources, const Json& source, std::string_view resource, const std::string& name,
                 int default_mode, ProjectedFiles& out) {
  const bool secret = resource == resources::kSecrets;
  const bool optional = BoolAt(source, "optional");
  const JsonPtr config = FindConfig(sources.cache, resource, StringAt(sources.pod, "metadata.namespace"), name);
  if (!config) {
    if (optional) return {};
    return Status(Reason::kInvalid, std::string(secret ? "secret" : "configmap") + " \"" + name + "\" not found");
  }
  const int mode = static_cast<int>(IntAt(source, "defaultMode", default_mode));
  const Json* items = FindPath(source, "items");
  if (!items || !items->is_array() || items->empty()) {
    for (auto& [key, value] : ConfigValues(*config)) out[key] = {value, mode};
    return {};
  }
  for (const Json& item : *items) {
    const std::string key = StringAt(item, "key"), path = StringAt(item, "path");
    std::string value;
    if (!ConfigValue(*config, key, &value)) {
      if (optional) continue;
      return Status(Reason::kInvalid,
                    "references non-existent " + std::string(secret ? "secret" : "config") + " key: " + key);
    }
    if (!IsInside(path)) return Status(Reason::kInvalid, "invalid path: " + path);
    out[path] = {std::move(value), static_cast<int>(IntAt(item, "mode", mode))};
  }
  return {};
}

Status AddDownward(const EnvSources& sources, const Json& source, int default_mode, ProjectedFiles& out) {
  const Json* items = FindPath(source, "items");
  if (!items || !items->is_array()) return {};
  for (const Json& item : *items) {
    const std::string path = StringAt(item, "path");
    if (!IsInside(path)) return Status(Reason::kInvalid, "invalid path: " + path);
    const Json* resource = FindPath(item, "resourceFieldRef");
    Result<std::string> value =
        resource ? ResourceValue(sources, *resource) : FieldValue(sources, StringAt(item, "fieldRef.fieldPath"));
    if (!value.ok()) return value.status();
    out[path] = {std::move(*value), static_cast<int>(IntAt(item, "mode", default_mode))};
  }
  return {};
}

Status AddToken(const EnvSources& sources, const Json& source, const TokenSource& tokens, int mode,
                ProjectedFiles& out) {
  if (!tokens) return Status(Reason::kInvalid, "this cluster issues no service account tokens");
  Result<std::string> token =
      tokens(StringAt(sources.pod, "metadata.namespace"), StringAt(sources.pod, "spec.serviceAccountName", "default"),
             StringAt(source, "audience"), IntAt(source, "expirationSeconds", 3600), sources.pod);
  if (!token.ok()) return token.status();
  out[StringAt(source, "path", "token")] = {std::move(*token), mode};
  return {};
}

Result<ProjectedFiles> Projected(const EnvSources& sources, const Json& projected, const TokenSource& tokens) {
  ProjectedFiles files;
  const int mode = static_cast<int>(IntAt(projected, "defaultMode", 0644));
  const Json* list = FindPath(projected, "sources");
  if (!list || !list->is_array()) return files;
  for (const Json& source : *list) {
    Status added;
    if (const Json* config = FindPath(source, "configMap")) {
      added = AddConfig(sources, *config, resources::kConfigMaps, StringAt(*config, "name"), mode, files);
    } else if (const Json* secret = FindPath(source, "secret")) {
      added = AddConfig(sources, *secret, resources::kSecrets, StringAt(*secret, "name"), mode, files);
    } else if (const Json* downward = FindPath(source, "downwardAPI")) {
      added = AddDownward(sources, *downward, mode, files);
    } else if (const Json* token = FindPath(source, "serviceAccountToken")) {
      added = AddToken(sources, *token, tokens, mode, files);
    } else {
      added = Status(Reason::kInvalid, "projected source of an unknown type");
    }
    if (!added.ok()) return added;
  }
  return files;
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

// Writes a file that may exist already; its mode is exact whatever the umask.
Status WriteFile(const fs::path& path, const std::string& content, int mode) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file || chmod(path.c_str(), static_cast<mode_t>(mode)) != 0)
    return Status(Reason::kInvalid, "cannot write " + path.string());
  return {};
}

bool IsWordEnd(char c) {
  return c == ':' || c == ',' || c == ';' || c == ' ' || c == '\n' || c == '"' || c == '\'' || c == '=' || c == ')';
}

}  // namespace

Result<std::map<std::string, std::string>> PodVolumes::Prepare(const EnvSources& sources) {
  std::map<std::string, std::string> out;
  const Json* volumes = FindPath(sources.pod, "spec.volumes");
  if (!volumes || !volumes->is_array()) return out;
  for (const Json& volume : *volumes) {
    Result<std::string> path = PrepareOne(sources, volume);
    if (!path.ok()) return path.status();
    out[StringAt(volume, "name")] = std::move(*path);
  }
  return out;
}

std::map<std::string, std::string> PodVolumes::Places(const EnvSources& sources) const {
  std::map<std::string, std::string> out;
  const Json* volumes = FindPath(sources.pod, "spec.volumes");
  if (!volumes || !volumes->is_array()) return out;
  for (const Json& volume : *volumes) {
    const std::string name = StringAt(volume, "name");
    out[name] = StringAt(volume, "hostPath.path", (directory_ / name).string());
    if (ClaimOfVolume(volume, "").empty()) continue;
    const Result<ClaimedVolume> claimed =
        FindClaimedVolume(sources.cache, sources.pod, volume, sources.node_name, true);
    if (claimed.ok()) out[name] = claimed->path;
  }
  return out;
}

Result<std::string> PodVolumes::PrepareOne(const EnvSources& sources, const Json& volume) {
  const std::string name = StringAt(volume, "name");
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
    return std::move(claimed->path);
  }
  if (!IsInside(name)) return Refusal(name, "invalid name");
  const fs::path directory = directory_ / name;
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return Refusal(name, "mkdir " + directory.string() + ": " + error.message());
  if (FindPath(volume, "emptyDir")) {
    chmod(directory.c_str(), 0777);  // as the kubelet: whoever the pod runs as may write
    return directory.string();
  }

  Result<ProjectedFiles> files = ProjectedFiles();
  Status added;
  if (const Json* config = FindPath(volume, "configMap")) {
    added = AddConfig(sources, *config, resources::kConfigMaps, StringAt(*config, "name"), 0644, *files);
  } else if (const Json* secret = FindPath(volume, "secret")) {
    added = AddConfig(sources, *secret, resources::kSecrets, StringAt(*secret, "secretName"), 0644, *files);
  } else if (const Json* downward = FindPath(volume, "downwardAPI")) {
    added = AddDownward(sources, *downward, static_cast<int>(IntAt(*downward, "defaultMode", 0644)), *files);
  } else if (const Json* projected = FindPath(volume, "projected")) {
    files = Projected(sources, *projected, tokens_);
    added = files.status();
  } else {
    std::string type = "unknown";
    for (auto it = volume.begin(); it != volume.end(); ++it) {
      if (it.key() != "name") type = it.key();
    }
    return Refusal(name, "volumes of type " + type + " are not offered on this node");
  }
  if (!added.ok()) return Refusal(name, added.message());
  const Status written = WriteProjection(directory, *files, StringAt(sources.pod, "metadata.resourceVersion", "0"));
  if (!written.ok()) return Refusal(name, written.message());
  return directory.string();
}

Status WriteProjection(const fs::path& directory, const ProjectedFiles& files, const std::string& stamp) {
  std::error_code error;
  fs::path fresh = directory / ("..v" + stamp);
  for (int n = 1; fs::exists(fs::symlink_status(fresh)); ++n)
    fresh = directory / ("..v" + stamp + "." + std::to_string(n));
  fs::create_directories(fresh, error);
  if (error) return Status(Reason::kInvalid, "mkdir " + fresh.string() + ": " + error.message());
  std::map<std::string, bool> tops;
  for (const auto& [path, file] : files) {
    const Status written = WriteFile(fresh / path, file.content, file.mode);
    if (!written.ok()) return written;
    tops[fs::path(path).begin()->string()] = true;
  }
  const fs::path data = directory / "..data", next = directory / "..data_tmp";
  const fs::path old = fs::is_symlink(data, error) ? directory / fs::read_symlink(data, error) : fs::path();
  fs::remove(next, error);
  fs::create_symlink(fresh.filename(), next, error);
  if (!error) fs::rename(next, data, error);
  if (error) return Status(Reason::kInvalid, "switch " + data.string() + ": " + error.message());
  for (const auto& [top, unused] : tops) {
    const fs::path link = directory / top;
    if (!fs::exists(fs::symlink_status(link))) fs::create_symlink(fs::path("..data") / top, link, error);
  }
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("..") && entry.is_symlink() && !tops.contains(name)) stale.push_back(entry.path());
  }
  for (const fs::path& link : stale) fs::remove(link, error);
  if (!old.empty() && old != fresh) fs::remove_all(old, error);
  return {};
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
