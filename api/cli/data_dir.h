#pragma once

#include <string>

namespace wherry {

// Where a cluster lives when --data-dir is not given: $WHERRY_DATA_DIR, else "wherry" under $XDG_STATE_HOME, else
// ~/.local/state/wherry.
std::string DefaultDataDir();

}  // namespace wherry
