#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "core/agent/pod_env.h"
#include "core/agent/projection.h"
#include "store/json.h"
#include "store/status.h"

namespace wherry {

// A pod's volumes below `directory` (one subdirectory each): emptyDir and the projections (configMap, secret,
// downwardAPI, projected) live there, or below `memory` when they are of medium Memory; hostPath is itself, a claim is
// the path of its volume. Blocks for small file operations. Errors read like the kubelet's FailedMount events:
// `MountVolume.SetUp failed for volume "config" : configmap "x" not found`. `sources.container` is not looked at.
class PodVolumes {
 public:
  // `memory` may be empty: then there is none.
  PodVolumes(std::filesystem::path directory, std::filesystem::path memory, TokenSource tokens)
      : directory_(std::move(directory)), memory_(std::move(memory)), tokens_(std::move(tokens)) {}

  // Puts the volumes in place and returns where each is.
  Result<std::map<std::string, std::string>> Prepare(const EnvSources& sources);
  // Where the volumes are that an earlier Prepare put in place.
  std::map<std::string, std::string> Places(const EnvSources& sources) const;

  // Brings the projections up to date that `follows` picks. Tokens that are not due for renewal are kept. One that
  // fails stays as it was; the first error is returned.
  Status Refresh(const EnvSources& sources, const std::function<bool(const Json& volume)>& follows, Time now);
  // When the next token is due; Time::max() = never.
  Time NextRenewal(const Json& pod) const;

 private:
  Result<std::string> PrepareOne(const EnvSources& sources, const Json& volume);
  std::filesystem::path EmptyDir(const Json& volume) const;
  Result<std::string> Issue(const EnvSources& sources, const Json& source) const;
  int64_t GroupOf(const Json& pod) const;

  const std::filesystem::path directory_, memory_;
  const TokenSource tokens_;
};

// Where emptyDirs of medium Memory live for the cluster of a data directory, one subdirectory for each pod's uid; empty
// when this machine has no /dev/shm.
std::filesystem::path MemoryVolumes(const std::filesystem::path& data_dir);

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
