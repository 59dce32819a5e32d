#pragma once

#include <string>
#include <vector>

#include "core/registry/client.h"

namespace wherry {

// On Image objects that came with wherry.
inline constexpr std::string_view kShippedKey = "wherry.dev/shipped";

// The Image objects of core/agent/images/*.yaml, with their label.
std::vector<Json> ShippedImages();

// Creates the shipped Image objects that the cluster does not have. Those it has are left as they are, also when
// somebody changed them.
Task<Status> InstallShippedImages(Client& client);

}  // namespace wherry
