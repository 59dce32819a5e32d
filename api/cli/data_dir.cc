#include "api/cli/data_dir.h"

#include <cstdlib>

namespace wherry {

std::string DefaultDataDir() {
  if (const char* dir = std::getenv("WHERRY_DATA_DIR"); dir && *dir) return dir;
  if (const char* state = std::getenv("XDG_STATE_HOME"); state && *state) return std::string(state) + "/wherry";
  const char* home = std::getenv("HOME");
  return std::string(home && *home ? home : "/tmp") + "/.local/state/wherry";
}

}  // namespace wherry
