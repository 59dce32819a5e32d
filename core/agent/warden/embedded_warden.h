#pragma once

#include <string_view>

namespace wherry {

// The warden as a small static program of its own, carried within every program that starts wardens: a few hundred KiB
// resident where the whole binary would take ten times that, and programs that embed wherry need not be able to turn
// into a warden themselves. "" in builds that cannot have it (sanitizers do not link statically).
std::string_view EmbeddedWarden();

}  // namespace wherry
