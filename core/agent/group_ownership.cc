#include "core/agent/group_ownership.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

namespace wherry {
namespace {

namespace fs = std::filesystem;

Status GiveFile(int directory, const char* name, gid_t group);

// Everything in an open directory; links are not followed.
Status GiveDirectory(int directory, gid_t group) {
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd/" + std::to_string(directory), error))
    names.push_back(entry.path().filename());
  for (const std::string& name : names) {
    const Status given = GiveFile(directory, name.c_str(), group);
    if (!given.ok()) return given;
  }
  return {};
}

Status GiveFile(int directory, const char* name, gid_t group) {
  const int fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return {};  // gone meanwhile
  struct stat info {};
  Status status;
  if (fstat(fd, &info) == 0 && !S_ISLNK(info.st_mode)) {
    const bool is_directory = S_ISDIR(info.st_mode);
    const mode_t mode = (info.st_mode & 07777) | (is_directory ? 02770 : 0660);
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    if (fchownat(fd, "", static_cast<uid_t>(-1), group, AT_EMPTY_PATH) != 0 || chmod(path.c_str(), mode) != 0)
      status = Status(Reason::kInvalid, "fsGroup " + std::to_string(group) + ": " + name + ": " + std::strerror(errno));
    if (status.ok() && is_directory) {
      const int inner = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (inner >= 0) status = GiveDirectory(inner, group);
      if (inner >= 0) close(inner);
    }
  }
  close(fd);
  return status;
}

}  // namespace

Status GiveTreeToGroup(const std::string& path, int64_t group) {
  struct stat top {};
  if (stat(path.c_str(), &top) == 0 && top.st_gid == static_cast<gid_t>(group) && (top.st_mode & 02770) == 02770)
    return {};
  return GiveFile(AT_FDCWD, path.c_str(), static_cast<gid_t>(group));
}

}  // namespace wherry
