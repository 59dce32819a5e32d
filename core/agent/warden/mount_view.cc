#include "core/agent/warden/mount_view.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include <sys/mount.h>  // after <linux/mount.h>

namespace wherry::warden {
namespace {

constexpr size_t kManyEntries = 40;

Refusal Failed(std::string what) { return Refusal{errno == 0 ? EIO : errno, std::move(what)}; }

bool WriteWhole(const char* path, const std::string& text) {
  const Fd file(open(path, O_WRONLY | O_CLOEXEC));
  return file.valid() && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::string ThroughFd(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

// One directory of the host that needs places it does not have.
struct View {
  std::string directory;
  struct Place {
    std::string path;  // relative
    bool is_directory;
  };
  std::vector<Place> places;
  std::vector<std::string> shut;  // entries that this user may not look into, replaced by places
};

std::string FirstPart(const std::string& path) { return path.substr(0, path.find('/')); }

// What the directory has, taken as copies before it is covered.
struct Entry {
  std::string name;
  std::string link;  // a symlink's target
  bool is_directory = false;
  Fd tree;
};

Refusal ListEntries(const View& view, std::vector<Entry>* entries) {
  DIR* dir = opendir(view.directory.c_str());
  if (dir == nullptr) return Failed("read " + view.directory);
  Refusal refusal;
  while (const dirent* found = readdir(dir)) {
    Entry entry;
    entry.name = found->d_name;
    if (entry.name == "." || entry.name == "..") continue;
    if (std::find(view.shut.begin(), view.shut.end(), entry.name) != view.shut.end()) continue;
    struct stat info {};
    if (fstatat(dirfd(dir), found->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
    // There are many, and most are root's alone.
    const bool device = S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode);
    if (device && faccessat(dirfd(dir), found->d_name, R_OK, 0) != 0 &&
        faccessat(dirfd(dir), found->d_name, W_OK, 0) != 0) {
      continue;
    }
    if (S_ISLNK(info.st_mode)) {
      char target[PATH_MAX];
      const ssize_t size = readlinkat(dirfd(dir), found->d_name, target, sizeof(target));
      if (size <= 0) continue;
      entry.link.assign(target, static_cast<size_t>(size));
    } else {
      entry.is_directory = S_ISDIR(info.st_mode);
      entry.tree = CloneTree(dirfd(dir), found->d_name);
      if (!entry.tree.valid()) {
        if (errno == ENOENT) continue;
        refusal = Failed("show " + view.directory + "/" + entry.name);
        break;
      }
    }
    entries->push_back(std::move(entry));
  }
  closedir(dir);
  return refusal;
}

size_t CountEntries(const std::string& directory, size_t enough) {
  DIR* dir = opendir(directory.c_str());
  if (dir == nullptr) return 0;
  size_t count = 0;
  while (count < enough && readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

// Of a user namespace's an overlay shows devices that nobody can open.
bool SuitsOverlay(const View& view) {
  if (view.directory == "/" || !view.shut.empty()) return false;
  if (IsWithin(view.directory, "/dev") && geteuid() != 0) return false;
  struct stat info {};
  if (stat(view.directory.c_str(), &info) != 0 || info.st_uid != 0) return false;
  return CountEntries(view.directory, kManyEntries + 3) > kManyEntries + 2;  // "." and ".." are counted
}

Refusal MakePlaces(const View& view, const std::string& base) {
  for (const View::Place& place : view.places) {
    Refusal refusal = MakePlace(base + "/" + place.path, place.is_directory);
    if (refusal) return refusal;
  }
  return {};
}

bool MountTmpfs(const std::string& at, const struct stat& like) {
  char options[64];
  snprintf(options, sizeof(options), "mode=%o,size=16m", like.st_mode & 07777);
  if (mount("tmpfs", at.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options) != 0) return false;
  return chown(at.c_str(), like.st_uid, like.st_gid) == 0 || true;  // an owner we may not name stays ours
}

// An overlay does not show what is mounted within its lower directory: that is put over it again.
Refusal TakeWithin(const std::string& directory, std::vector<Entry>* within) {
  for (const std::string& point : MountPoints()) {
    if (point == directory || !IsWithin(point, directory)) continue;
    const auto holds = [&](const Entry& entry) { return IsWithin(point, entry.name); };
    if (std::any_of(within->begin(), within->end(), holds)) continue;
    Entry entry;
    entry.name = point;
    entry.tree = CloneTree(AT_FDCWD, point.c_str());
    if (!entry.tree.valid()) return Failed("show " + point);
    within->push_back(std::move(entry));
  }
  return {};
}

Refusal ShowByOverlay(const View& view) {
  std::vector<Entry> within;
  Refusal refusal = TakeWithin(view.directory, &within);
  if (refusal) return refusal;
  const Fd lower(open(view.directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat info {};
  if (!lower.valid() || fstat(lower.get(), &info) != 0 || !MountTmpfs(view.directory, info))
    return Failed("show " + view.directory);
  const std::string upper = view.directory + "/upper", work = view.directory + "/work";
  if (mkdir(upper.c_str(), info.st_mode & 07777) != 0 || mkdir(work.c_str(), 0700) != 0)
    return Failed("show " + view.directory);
  if (chown(upper.c_str(), info.st_uid, info.st_gid) != 0) errno = 0;
  refusal = MakePlaces(view, upper);
  if (refusal) return refusal;
  if (!MountOverlay(ThroughFd(lower.get()), upper, work, view.directory)) {
    refusal = Failed("show " + view.directory);
    umount2(view.directory.c_str(), MNT_DETACH);
    return refusal;
  }
  for (const Entry& entry : within) {
    if (!MoveTree(entry.tree.get(), entry.name)) return Failed("show " + entry.name);
  }
  return {};
}

Refusal ShowByBinds(const View& view) {
  const bool root = view.directory == "/";
  struct stat info {};
  if (stat(view.directory.c_str(), &info) != 0) return Failed("show " + view.directory);
  std::vector<Entry> entries;
  Refusal refusal = ListEntries(view, &entries);
  if (refusal) return refusal;
  // The root cannot be covered, only changed; what covers another directory for that moment does not matter.
  const std::string base = root ? "/proc" : view.directory;
  if (!MountTmpfs(base, info)) return Failed("show " + view.directory);
  for (const Entry& entry : entries) {
    const std::string path = base + "/" + entry.name;
    if (!entry.link.empty()) {
      if (symlink(entry.link.c_str(), path.c_str()) != 0) return Failed("show " + entry.name);
      continue;
    }
    refusal = MakePlace(path, entry.is_directory);
    if (refusal) return refusal;
    if (!MoveTree(entry.tree.get(), path)) return Failed("show " + view.directory + "/" + entry.name);
  }
  refusal = MakePlaces(view, base);
  if (refusal || !root) return refusal;
  return ChangeRoot(base);
}

}  // namespace

std::vector<std::string> MountPoints() {
  std::vector<std::string> points;
  FILE* file = fopen("/proc/self/mountinfo", "re");
  char* line = nullptr;
  size_t room = 0;
  while (file != nullptr && getline(&line, &room, file) > 0) {
    std::string point;
    int field = 0;
    for (const char* at = line; *at != '\0' && field < 5; ++at) {
      if (*at == ' ') {
        ++field;
      } else if (field == 4 && *at == '\\' && strlen(at) > 3) {  // \040 and the like
        point += static_cast<char>(strtol(std::string(at + 1, 3).c_str(), nullptr, 8));
        at += 3;
      } else if (field == 4) {
        point += *at;
      }
    }
    points.push_back(std::move(point));
  }
  free(line);
  if (file != nullptr) fclose(file);
  return points;
}

bool IsWithin(const std::string& path, const std::string& directory) {
  if (directory == "/") return true;
  return path.compare(0, directory.size(), directory) == 0 &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

Refusal ChangeRoot(const std::string& root) {
  if (chdir(root.c_str()) != 0) return Failed("enter " + root);
  // The old root is stacked over the new one, and taken off it again: pivot_root(2).
  if (syscall(SYS_pivot_root, ".", ".") != 0) return Failed("pivot_root");
  if (umount2(".", MNT_DETACH) != 0) return Failed("umount the old root");
  return chdir("/") == 0 ? Refusal() : Failed("enter the new root");
}

Refusal MakePlace(const std::string& path, bool directory) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (mkdir(part.c_str(), 0755) != 0 && errno != EEXIST && access(part.c_str(), F_OK) != 0)
      return Failed("make " + part);
  }
  if (directory) {
    if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST && access(path.c_str(), F_OK) != 0)
      return Failed("make " + path);
    return {};
  }
  const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file.valid() && access(path.c_str(), F_OK) != 0) return Failed("make " + path);
  return {};
}

ResolvedPath Resolve(const std::string& path) {
  ResolvedPath resolved;
  resolved.existing = path;
  char real[PATH_MAX];
  while (realpath(resolved.existing.c_str(), real) == nullptr) {
    resolved.closed = errno == EACCES;
    const size_t slash = resolved.existing.rfind('/');
    const std::string last = resolved.existing.substr(slash + 1);
    resolved.missing = resolved.missing.empty() ? last : last + "/" + resolved.missing;
    resolved.existing.resize(slash == 0 ? 1 : slash);
  }
  resolved.existing = real;
  // A directory that may be entered by nobody but others: its own entry is there, what it holds is not to be seen.
  struct stat info {};
  if (!resolved.missing.empty() && resolved.existing != "/" && access(real, X_OK) != 0 && stat(real, &info) == 0 &&
      S_ISDIR(info.st_mode)) {
    const size_t slash = resolved.existing.rfind('/');
    resolved.missing = resolved.existing.substr(slash + 1) + "/" + resolved.missing;
    resolved.existing.resize(slash == 0 ? 1 : slash);
    resolved.closed = true;
  }
  return resolved;
}

Refusal MapUser(uid_t uid, gid_t gid, uid_t own_user, gid_t own_group) {
  if (!WriteWhole("/proc/self/setgroups", "deny") ||
      !WriteWhole("/proc/self/uid_map", std::to_string(uid) + " " + std::to_string(own_user) + " 1") ||
      !WriteWhole("/proc/self/gid_map", std::to_string(gid) + " " + std::to_string(own_group) + " 1"))
    return Failed("user namespace");
  return {};
}

Refusal EnterMountNamespace() {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (user != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return Failed("user namespace");
    Refusal refusal = MapUser(user, group, user, group);
    if (refusal) return refusal;
  } else if (unshare(CLONE_NEWNS) != 0) {
    return Failed("mount namespace");
  }
  return KeepMountsPrivate();
}

// Slaves, not private ones: what the host unmounts is unmounted here too, and nothing keeps its devices busy.
Refusal KeepMountsPrivate() {
  return mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0 ? Refusal() : Failed("mount namespace");
}

Fd CloneTree(int directory, const char* path) {
  return Fd(static_cast<int>(syscall(SYS_open_tree, directory, path,
                                     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW)));
}

bool MoveTree(int tree, const std::string& path) {
  return syscall(SYS_move_mount, tree, "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) ==
         0;
}

bool MakeReadOnly(int tree) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) == 0;
}

bool MountOverlay(const std::string& lower, const std::string& upper, const std::string& work,
                  const std::string& target) {
  // By descriptor: a path may hold any character, options may not.
  const Fd lower_fd(open(lower.c_str(), O_PATH | O_CLOEXEC)), upper_fd(open(upper.c_str(), O_PATH | O_CLOEXEC)),
      work_fd(open(work.c_str(), O_PATH | O_CLOEXEC));
  if (!lower_fd.valid() || !upper_fd.valid() || !work_fd.valid()) return false;
  const std::string options = "lowerdir=" + ThroughFd(lower_fd.get()) + ",upperdir=" + ThroughFd(upper_fd.get()) +
                              ",workdir=" + ThroughFd(work_fd.get());
  return mount("overlay", target.c_str(), "overlay", 0, (options + ",userxattr").c_str()) == 0 ||
         (errno == EINVAL && mount("overlay", target.c_str(), "overlay", 0, options.c_str()) == 0);
}

Refusal TakeMounts(const std::vector<Mount>& mounts, std::vector<TakenMount>* taken) {
  for (const Mount& mount : mounts) {
    TakenMount one;
    one.mount = mount;
    char source[PATH_MAX];  // a hostPath may be a link
    struct stat info {};
    if (realpath(mount.source.c_str(), source) == nullptr) return Failed("take " + mount.source);
    one.tree = CloneTree(AT_FDCWD, source);
    if (!one.tree.valid() || fstat(one.tree.get(), &info) != 0) return Failed("take " + mount.source);
    one.directory = S_ISDIR(info.st_mode);
    if (mount.target == "/") {
      errno = EBUSY;
      return Failed("volume at /");
    }
    if (mount.read_only && !MakeReadOnly(one.tree.get())) return Failed("make " + mount.target + " read-only");
    taken->push_back(std::move(one));
  }
  return {};
}

Refusal Attach(const TakenMount& mount, const std::string& target) {
  Refusal refusal = MakePlace(target, mount.directory);
  if (!refusal && !MoveTree(mount.tree.get(), target)) refusal = Failed("mount " + mount.mount.source);
  if (refusal) refusal.what = "volume at " + mount.mount.target + ": " + refusal.what;
  return refusal;
}

Refusal CheckPlace(const TakenMount& mount, const ResolvedPath& where) {
  struct stat info {};
  errno = 0;
  const bool there = stat(where.existing.c_str(), &info) == 0;
  const bool directory = there && S_ISDIR(info.st_mode);
  if (!there || directory == (mount.directory || !where.missing.empty())) return {};
  errno = directory ? EISDIR : ENOTDIR;
  return Failed("volume at " + mount.mount.target + ": " + where.existing);
}

Refusal ShowMounts(std::vector<TakenMount> mounts) {
  std::map<std::string, View> views;  // parents come before their children
  std::vector<std::string> roots;     // resolved places of mounts that lie in no other
  for (const TakenMount& one : mounts) {
    const ResolvedPath where = Resolve(one.mount.target);
    const std::string whole = where.whole();
    const bool nested =
        std::any_of(roots.begin(), roots.end(), [&](const std::string& root) { return IsWithin(whole, root); });
    if (nested) continue;
    Refusal refusal = CheckPlace(one, where);
    if (refusal) return refusal;
    roots.push_back(whole);
    if (where.missing.empty()) continue;
    View& view = views[where.existing];
    view.directory = where.existing;
    view.places.push_back({where.missing, one.directory});
    if (where.closed) view.shut.push_back(FirstPart(where.missing));
  }
  for (const auto& [directory, view] : views) {
    Refusal refusal = SuitsOverlay(view) ? ShowByOverlay(view) : Refusal{ENOTSUP, ""};
    if (refusal) refusal = ShowByBinds(view);
    if (refusal) return refusal;
  }
  for (const TakenMount& one : mounts) {
    Refusal refusal = Attach(one, one.mount.target);
    if (refusal) return refusal;
  }
  return {};
}

namespace {

// Runs in a child: what ShowMounts does, with nothing to show.
Refusal TryMounts() {
  Refusal refusal = EnterMountNamespace();
  std::vector<TakenMount> taken;
  if (!refusal) refusal = TakeMounts({{"/", "/proc", true}}, &taken);
  if (refusal) return refusal;
  if (mount("tmpfs", "/proc", "tmpfs", 0, nullptr) != 0) return Failed("tmpfs");
  return {};
}

}  // namespace

const Facilities& HostFacilities() {
  static const Facilities facilities = [] {
    Facilities found;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return found;
    const Fd reader(ends[0]);
    Fd writer(ends[1]);
    const pid_t child = fork();
    if (child == 0) {
      const Refusal refusal = TryMounts();
      const std::string text = refusal ? refusal.what + ": " + strerror(refusal.error) : "";
      if (write(writer.get(), text.data(), text.size()) < 0) _exit(1);
      _exit(0);
    }
    writer.reset();
    char text[256];
    ssize_t size = 0;
    while (child > 0 && ((size = read(reader.get(), text, sizeof(text))) > 0 || (size < 0 && errno == EINTR)))
      if (size > 0) found.no_mounts.append(text, static_cast<size_t>(size));
    int status = 1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if ((child < 0 || status != 0) && found.no_mounts.empty()) found.no_mounts = "a child could not be asked";
    return found;
  }();
  return facilities;
}

}  // namespace wherry::warden
