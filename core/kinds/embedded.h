#pragma once

#include <span>
#include <string_view>

namespace wherry {

// The text of core/kinds/schemas/*.kinds, in the order the build lists them: what a file refers to by enum comes before
// it.
std::span<const std::string_view> EmbeddedSchemas();

}  // namespace wherry
