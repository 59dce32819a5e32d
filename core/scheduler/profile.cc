#include "core/scheduler/profile.h"

#include <span>

#include "core/scheduler/plugins/plugins.h"

namespace wherry {
namespace {

// A profile as its differences from the default one: plugins whose scores weigh otherwise there, 0 = not at all.
struct Weight {
  const Plugin* plugin;
  int64_t weight;
};
struct Variant {
  const char* scheduler_name;
  std::span<const Weight> weights;
};

// Few nodes full rather than all of them half empty.
constexpr Weight kPacking[] = {
    {&plugins::kLeastAllocated, 0},
    {&plugins::kBalancedAllocation, 0},
    {&plugins::kMostAllocated, 5},
};

constexpr Variant kVariants[] = {
    {"default-scheduler", {}},
    {"bin-packing-scheduler", kPacking},
};

}  // namespace

Profile DefaultProfile(std::string scheduler_name) {
  Profile profile;
  profile.scheduler_name = std::move(scheduler_name);
  for (const Plugin* plugin : AllPlugins()) profile.plugins.push_back({plugin, plugin->weight});
  return profile;
}

std::vector<Profile> BuiltInProfiles() {
  std::vector<Profile> profiles;
  for (const Variant& variant : kVariants) {
    Profile profile = DefaultProfile(variant.scheduler_name);
    for (const Weight& weight : variant.weights) {
      for (Profile::Enabled& enabled : profile.plugins) {
        if (enabled.plugin == weight.plugin) enabled.weight = weight.weight;
      }
    }
    profiles.push_back(std::move(profile));
  }
  return profiles;
}

}  // namespace wherry
