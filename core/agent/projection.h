#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "core/agent/pod_env.h"
#include "core/runtime/time.h"
#include "store/json.h"
#include "store/status.h"

namespace wherry {

// A token for a pod's service account: {namespace, account, audience, seconds it should last, the pod's document}.
using TokenSource = std::function<Result<std::string>(const std::string& ns, const std::string& account,
                                                      const std::string& audience, int64_t seconds, const Json& pod)>;

// One file of a projection.
struct ProjectedFile {
  std::string content;
  int mode = 0644;
  bool operator==(const ProjectedFile&) const = default;
};
using ProjectedFiles = std::map<std::string, ProjectedFile>;  // by relative path

// Whether a volume is one: configMap, secret, downwardAPI or projected.
bool IsProjection(const Json& volume);
// What it shows besides objects of configuration: the pod's own labels and annotations …
bool ShowsPod(const Json& volume);
// … and tokens of its service account, which do not last.
bool HasToken(const Json& volume);

// The ConfigMaps and Secrets that a pod's volumes and environment name, as "configmaps/<name>" and "secrets/<name>".
std::set<std::string> ConfigReferences(const Json& pod);
// The same, of one volume.
std::set<std::string> ConfigReferencesOfVolume(const Json& volume);

// Gives the token for a serviceAccountToken source.
using TokenFor = std::function<Result<std::string>(const Json& source)>;

// What a projection is to show now. Errors say what is missing: `configmap "x" not found`.
Result<ProjectedFiles> RenderProjection(const EnvSources& sources, const Json& volume, const TokenFor& token_for);

// When a token (a JWT) is to be replaced: after 80 % of its life, or a day. Time::max() when it does not tell.
Time TokenRenewal(const std::string& token);

// Writes files the way Kubernetes' atomic writer shows them: a fresh timestamped directory, `..data` switched to it by
// a rename, and a symlink for each first path component. Readers see the old set or the new one, never a mixture.
// Nothing is touched when the files are there already.
struct ProjectionOptions {
  std::string stamp = "0";
  int64_t group = -1;     // >= 0: the files are given to that group, which may read them (fsGroup)
  bool keep_old = false;  // files that were mounted by subPath stay as they were
};
Status WriteProjection(const std::filesystem::path& directory, const ProjectedFiles& files,
                       const ProjectionOptions& options = {});

// A relative path without "..", as the API's validation also asks of keys' paths.
bool IsInside(const std::string& path);

// The files that a projection shows at present.
ProjectedFiles ReadProjection(const std::filesystem::path& directory);

}  // namespace wherry
