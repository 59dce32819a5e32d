#pragma once

#include <span>
#include <string_view>

namespace wherry {

// The text of core/agent/images/*.yaml.
std::span<const std::string_view> EmbeddedImages();

}  // namespace wherry
