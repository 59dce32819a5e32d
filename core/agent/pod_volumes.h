#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "core/agent/pod_env.h"
#include "store/json.h"
#include "store/status.h"

namespace wherry {

// A token for a pod's service account: {namespace, account, audience, seconds it should last, the pod's document}.
using TokenSource = std::function<Result<std::string>(const std::string& ns, const std::string& account,
                                                      const std::string& audience, int64_t seconds, const Json& pod)>;

// Puts a pod's volumes in place below `directory` (one subdirectory each) and returns where each is: emptyDir and the
// projections (configMap, secret, downwardAPI, projected) live there, hostPath is itself, a claim is the path of its
// volume. Blocks for small file
// operations. Errors read like the kubelet's FailedMount events: `MountVolume.SetUp failed for volume "config" :
// configmap "x" not found`.
class PodVolumes {
 public:
  PodVolumes(std::filesystem::path directory, TokenSource tokens)
      : directory_(std::move(directory)), tokens_(std::move(tokens)) {}

  // `sources.container` is not looked at.
  Result<std::map<std::string, std::string>> Prepare(const EnvSources& sources);
  // Where the volumes are that an earlier Prepare put in place; touches nothing.
  std::map<std::string, std::string> Places(const EnvSources& sources) const;

 private:
  Result<std::string> PrepareOne(const EnvSources& sources, const Json& volume);

  const std::filesystem::path directory_;
  const TokenSource tokens_;
};

// One file of a projection.
struct ProjectedFile {
  std::string content;
  int mode = 0644;
};
using ProjectedFiles = std::map<std::string, ProjectedFile>;  // by relative path

// Writes files the way Kubernetes' atomic writer shows them: a fresh timestamped directory, `..data` switched to it by
// a rename, and a symlink for each first path component. Readers see the old set or the new one, never a mixture.
Status WriteProjection(const std::filesystem::path& directory, const ProjectedFiles& files, const std::string& stamp);

// What a volumeMount shows: the volume, or the subPath in it. kInvalid when the sub-path leads out of the volume, by
// ".." or by a symlink; missing directories on the way are made.
Result<std::string> ResolveSubPath(const std::string& volume, const std::string& sub_path);

// "/etc/app=/data/…/config" pairs of a container's mounts that are not at their mountPath, longest mountPath first.
using MountMap = std::vector<std::pair<std::string, std::string>>;
Result<MountMap> ContainerMounts(const Json& container, const std::map<std::string, std::string>& volumes,
                                 const Environment& env);

// Replaces mount paths in an argument by the places where the volumes are, on word boundaries:
// "--config=/etc/app/x.yaml".
std::string TranslatePaths(std::string text, const MountMap& mounts);

}  // namespace wherry
