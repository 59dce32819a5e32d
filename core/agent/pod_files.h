#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "core/agent/container_builder.h"
#include "core/agent/pod_plan.h"

namespace wherry {

// The files of a pod's runs below the data directory, besides its volumes. All block for small file operations.

// Where a pod's files are.
PodSite PlaceOf(const std::filesystem::path& data_dir, const std::string& node_name, const PodInfo& pod);

// The log of one run of a container.
std::filesystem::path LogPath(const PodSite& place, const std::string& container, int attempt);

// Before attempt `attempt` starts: the logs of the run before stay for `kubectl logs --previous`, older ones go; and
// <data>/nodes/<node>/containers/<pod>_<ns>_<container>-<uid>.log leads to the new one: where log collectors look, as
// /var/log/containers is.
void MakeRoomForLog(const std::filesystem::path& data_dir, const PodSite& place, const PodInfo& pod,
                    const std::string& container, int attempt);

// Everything of a pod that is gone.
void RemovePodFiles(const std::filesystem::path& data_dir, const PodSite& place, const PodInfo& pod);

// Everything of pods that are gone and have nobody to remove it; `uids` are those that are there.
void RemoveOrphanFiles(const std::filesystem::path& data_dir, const std::set<std::string>& uids);

}  // namespace wherry
