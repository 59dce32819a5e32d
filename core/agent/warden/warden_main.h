#pragma once

#include <optional>
#include <string>
#include <vector>

namespace wherry {

// The program's main calls this first, before any thread exists: when the command line is the internal
// `wherry warden --data-dir D [--idle-seconds N]`, it is the warden until that ends, and the result is its exit status.
std::optional<int> MaybeRunWarden(int argc, char** argv);

// Starts a warden for `data_dir` as a process of its own: not our child, in no group or session of ours, with none of
// our descriptors. Does nothing harmful when one runs already. `command` is the program and what goes before "warden";
// empty = the warden that is carried within this program (embedded_warden.h), run from memory, or this very program
// where there is none or the host runs nothing from memory. Returns when it has been started, not when it listens;
// false with errno when it could not be. Any thread; blocks for about a millisecond.
bool StartWarden(const std::string& data_dir, std::vector<std::string> command = {});

}  // namespace wherry
