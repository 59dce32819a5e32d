#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/scheduler/plugin.h"

namespace wherry {

// The rules that pods of one schedulerName are placed by.
struct Profile {
  struct Enabled {
    const Plugin* plugin;
    int64_t weight;  // of its score; 0 = it only filters
  };
  std::string scheduler_name;
  std::vector<Enabled> plugins;  // at most 64, in the order they run
};

// Every plugin, with its own weight.
Profile DefaultProfile(std::string scheduler_name = "default-scheduler");

// The profiles that every cluster has (the table in profile.cc).
std::vector<Profile> BuiltInProfiles();

}  // namespace wherry
