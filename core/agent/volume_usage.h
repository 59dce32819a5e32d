#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/runtime/task.h"
#include "store/json.h"

namespace wherry {

// An emptyDir that may only grow so far.
struct VolumeLimit {
  std::string volume;
  std::filesystem::path path;
  int64_t bytes = 0;
  std::string text;  // the limit as the pod writes it
};

// Those of a pod; `places` tells where its volumes are.
std::vector<VolumeLimit> VolumeLimits(const Json& pod, const std::map<std::string, std::string>& places);

// What is in a directory takes on its file system, links not followed. Lets others run after every few hundred entries;
// gives up, with what it has, once `enough` is passed.
struct DirectoryUse {
  int64_t bytes = 0, entries = 0;
};
Task<DirectoryUse> MeasureDirectory(std::filesystem::path directory, int64_t enough);

}  // namespace wherry
