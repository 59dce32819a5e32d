#include "core/agent/projection.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/kinds/base64.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

// A token is renewed when this much of its life is over, or after a day.
constexpr int kRenewPercent = 80;
constexpr Duration kRenewAtLatest = std::chrono::hours(24);

// The volume's projections, each as one of projected.sources would be.
template <typename Visit>
void ForEachSource(const Json& volume, Visit visit) {
  for (const char* kind : {"configMap", "secret", "downwardAPI"}) {
    if (const Json* source = FindPath(volume, kind)) visit(std::string_view(kind), *source);
  }
  for (const Json& entry : ListAt(volume, "projected.sources")) {
    for (const char* kind : {"configMap", "secret", "downwardAPI", "serviceAccountToken"}) {
      if (const Json* source = FindPath(entry, kind)) visit(std::string_view(kind), *source);
    }
  }
}

bool HasSource(const Json& volume, std::string_view wanted) {
  bool found = false;
  ForEachSource(volume, [&](std::string_view kind, const Json&) { found |= kind == wanted; });
  return found;
}

void AddReference(std::string_view resource, const Json& source, std::set<std::string>& out) {
  std::string name = StringAt(source, "name", StringAt(source, "secretName"));
  if (!name.empty()) out.insert(std::string(resource) + "/" + name);
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

Result<ProjectedFiles> Projected(const EnvSources& sources, const Json& projected, const TokenFor& token_for) {
  ProjectedFiles files;
  const int mode = static_cast<int>(IntAt(projected, "defaultMode", 0644));
  for (const Json& source : ListAt(projected, "sources")) {
    Status added;
    if (const Json* config = FindPath(source, "configMap")) {
      added = AddConfig(sources, *config, resources::kConfigMaps, StringAt(*config, "name"), mode, files);
    } else if (const Json* secret = FindPath(source, "secret")) {
      added = AddConfig(sources, *secret, resources::kSecrets, StringAt(*secret, "name"), mode, files);
    } else if (const Json* downward = FindPath(source, "downwardAPI")) {
      added = AddDownward(sources, *downward, mode, files);
    } else if (const Json* wanted = FindPath(source, "serviceAccountToken")) {
      Result<std::string> token = token_for(*wanted);
      if (!token.ok()) return token.status();
      files[StringAt(*wanted, "path", "token")] = {std::move(*token), mode};
    } else {
      added = Status(Reason::kInvalid, "projected source of an unknown type");
    }
    if (!added.ok()) return added;
  }
  return files;
}

std::string ReadWhole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// fsGroup: the group may read what it is given, and enter its directories.
void GiveToGroup(const fs::path& directory, int64_t group) {
  std::error_code error;
  const auto give = [group](const fs::path& path, mode_t more) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0 || S_ISLNK(info.st_mode)) return;
    if (chown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(group)) != 0) return;
    chmod(path.c_str(), (info.st_mode & 07777) | more);
  };
  give(directory, 02110);
  for (const auto& entry : fs::recursive_directory_iterator(directory, error))
    give(entry.path(), entry.is_directory(error) ? 02110 : 0440);
}

}  // namespace

bool IsInside(const std::string& path) {
  const fs::path parsed(path);
  return !path.empty() && parsed.is_relative() &&
         std::none_of(parsed.begin(), parsed.end(), [](const auto& p) { return p == ".."; });
}

bool IsProjection(const Json& volume) {
  return Has(volume, "configMap") || Has(volume, "secret") || Has(volume, "downwardAPI") || Has(volume, "projected");
}

bool ShowsPod(const Json& volume) { return HasSource(volume, "downwardAPI"); }
bool HasToken(const Json& volume) { return HasSource(volume, "serviceAccountToken"); }

std::set<std::string> ConfigReferencesOfVolume(const Json& volume) {
  std::set<std::string> out;
  ForEachSource(volume, [&](std::string_view kind, const Json& source) {
    if (kind == "configMap") AddReference(resources::kConfigMaps, source, out);
    if (kind == "secret") AddReference(resources::kSecrets, source, out);
  });
  return out;
}

std::set<std::string> ConfigReferences(const Json& pod) {
  std::set<std::string> out;
  for (const Json& volume : ListAt(pod, "spec.volumes")) out.merge(ConfigReferencesOfVolume(volume));
  for (const char* field : {"spec.initContainers", "spec.containers"}) {
    for (const Json& container : ListAt(pod, field)) {
      for (const Json& entry : ListAt(container, "envFrom")) {
        if (const Json* source = FindPath(entry, "configMapRef")) AddReference(resources::kConfigMaps, *source, out);
        if (const Json* source = FindPath(entry, "secretRef")) AddReference(resources::kSecrets, *source, out);
      }
      for (const Json& entry : ListAt(container, "env")) {
        if (const Json* source = FindPath(entry, "valueFrom.configMapKeyRef"))
          AddReference(resources::kConfigMaps, *source, out);
        if (const Json* source = FindPath(entry, "valueFrom.secretKeyRef"))
          AddReference(resources::kSecrets, *source, out);
      }
    }
  }
  return out;
}

Result<ProjectedFiles> RenderProjection(const EnvSources& sources, const Json& volume, const TokenFor& token_for) {
  ProjectedFiles files;
  Status added;
  if (const Json* config = FindPath(volume, "configMap")) {
    added = AddConfig(sources, *config, resources::kConfigMaps, StringAt(*config, "name"), 0644, files);
  } else if (const Json* secret = FindPath(volume, "secret")) {
    added = AddConfig(sources, *secret, resources::kSecrets, StringAt(*secret, "secretName"), 0644, files);
  } else if (const Json* downward = FindPath(volume, "downwardAPI")) {
    added = AddDownward(sources, *downward, static_cast<int>(IntAt(*downward, "defaultMode", 0644)), files);
  } else if (const Json* projected = FindPath(volume, "projected")) {
    return Projected(sources, *projected, token_for);
  }
  if (!added.ok()) return added;
  return files;
}

ProjectedFiles ReadProjection(const fs::path& directory) {
  ProjectedFiles out;
  std::error_code error;
  const fs::path data = directory / "..data";
  if (!fs::is_symlink(data, error)) return out;
  const fs::path real = directory / fs::read_symlink(data, error);
  for (const auto& entry : fs::recursive_directory_iterator(real, error)) {
    struct stat info {};
    if (lstat(entry.path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    out[entry.path().lexically_relative(real).string()] = {ReadWhole(entry.path()),
                                                           static_cast<int>(info.st_mode & 07777)};
  }
  return out;
}

Time TokenRenewal(const std::string& token) {
  const size_t first = token.find('.'), second = token.find('.', first + 1);
  if (first == std::string::npos || second == std::string::npos) return Time::max();
  std::string text = token.substr(first + 1, second - first - 1), claims;
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  text.append((4 - text.size() % 4) % 4, '=');
  if (!DecodeBase64(text, &claims)) return Time::max();
  const Json parsed = Json::parse(claims, nullptr, false);
  if (!parsed.is_object() || IntAt(parsed, "iat") == 0 || IntAt(parsed, "exp") == 0) return Time::max();
  const Duration life = std::chrono::seconds(IntAt(parsed, "exp") - IntAt(parsed, "iat"));
  return Time(std::chrono::seconds(IntAt(parsed, "iat"))) +
         std::min<Duration>(life * kRenewPercent / 100, kRenewAtLatest);
}

Status WriteProjection(const fs::path& directory, const ProjectedFiles& wanted, const ProjectionOptions& options) {
  std::error_code error;
  ProjectedFiles files = wanted;
  for (auto& [path, file] : files) file.mode |= options.group >= 0 ? 0440 : 0;
  if (fs::is_symlink(directory / "..data", error) && ReadProjection(directory) == files) return {};
  fs::path fresh = directory / ("..v" + options.stamp);
  for (int n = 1; fs::exists(fs::symlink_status(fresh)); ++n)
    fresh = directory / ("..v" + options.stamp + "." + std::to_string(n));
  // What did not come to be whole, on a full disk say, must not stay and make it fuller.
  const auto fail = [&](Status why) {
    std::error_code ignored;
    fs::remove_all(fresh, ignored);
    return why;
  };
  fs::create_directories(fresh, error);
  if (error) return fail(Status(Reason::kInvalid, "mkdir " + fresh.string() + ": " + error.message()));
  std::map<std::string, bool> tops;
  for (const auto& [path, file] : files) {
    const Status written = WriteFile(fresh / path, file.content, file.mode);
    if (!written.ok()) return fail(written);
    tops[fs::path(path).begin()->string()] = true;
  }
  if (options.group >= 0) GiveToGroup(fresh, options.group);
  const fs::path data = directory / "..data", next = directory / "..data_tmp";
  const fs::path old = fs::is_symlink(data, error) ? directory / fs::read_symlink(data, error) : fs::path();
  fs::remove(next, error);
  fs::create_symlink(fresh.filename(), next, error);
  if (!error) fs::rename(next, data, error);
  if (error) return fail(Status(Reason::kInvalid, "switch " + data.string() + ": " + error.message()));
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
  if (!old.empty() && old != fresh && !options.keep_old) fs::remove_all(old, error);
  return {};
}

}  // namespace wherry
