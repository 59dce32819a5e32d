#pragma once

#include <filesystem>
#include <string>

#include "store/json.h"

namespace wherry {

// What a container may leave behind to be read after its end (core/v1 Container.terminationMessagePath and -Policy).
// Without mounts the path is no file of its own: a file in the container's directory stands for it, the path is
// replaced by it wherever mount paths are, and WHERRY_TERMINATION_LOG tells of it.

// That file, of the container in `directory`.
std::filesystem::path TerminationFile(const std::filesystem::path& directory);
// Makes it anew, empty, for whoever the container runs as. Blocks for small file operations.
void MakeTerminationFile(const std::filesystem::path& directory);

// The message of a run that ended: at most 4096 bytes of the file; when it is empty, the run failed and the policy is
// FallbackToLogsOnError, the last lines of the log instead, at most 80 of them and 2048 bytes. Of a pod with several
// containers each may say 12 KiB / their number. Blocks for small file operations.
std::string TerminationMessage(const Json& container, size_t containers, const std::filesystem::path& directory,
                               const std::filesystem::path& log, int exit_code);

}  // namespace wherry
