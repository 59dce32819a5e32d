#include "core/agent/warden/sandbox.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace wherry::warden {
namespace {

// Where the new root is put together: the sandbox has a /tmp of its own, so the host's may be covered.
constexpr char kStage[] = "/tmp";
constexpr char kRoot[] = "/tmp/root";
constexpr char kLayers[] = "/tmp/layers";
constexpr int kDeepest = 3;  // levels of directories with mounts in them that are taken apart

// Not the host's, but made for the sandbox.
constexpr const char* kOwn[] = {"proc", "sys", "dev", "tmp", "run"};
constexpr const char* kDevices[] = {"null", "zero", "full", "random", "urandom", "tty"};
// What root could use to change the machine through /proc, or to read its memory.
constexpr const char* kReadOnlyInProc[] = {"bus", "fs", "irq", "sys", "sysrq-trigger"};
constexpr const char* kMaskedInProc[] = {"acpi", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list"};

Refusal Failed(std::string what) { return Refusal{errno == 0 ? EIO : errno, std::move(what)}; }

class RootBuilder {
 public:
  RootBuilder(const Confinement& confinement, bool root) : confinement_(confinement), root_(root) {}

  Refusal Build() {
    Refusal refusal = KeepMountsPrivate();
    if (!refusal) refusal = TakeMounts(confinement_.mounts, &mounts_);
    if (!refusal) refusal = FindPlaces();
    if (!refusal) refusal = TakeHostParts();
    if (!refusal) refusal = MakeStage();
    if (!refusal) refusal = LayerRoot();
    if (!refusal) refusal = MakeOwnDirectories();
    if (!refusal) refusal = HideAndPlace();
    if (!refusal && confinement_.read_only_root) {
      const Fd tree(open(kRoot, O_PATH | O_CLOEXEC));
      if (!MakeReadOnly(tree.get())) refusal = Failed("read-only root");
    }
    if (!refusal) refusal = MountProc();
    if (!refusal) refusal = MountDev();
    if (!refusal && !MoveTree(sys_.get(), std::string(kRoot) + "/sys")) refusal = Failed("/sys");
    if (!refusal) refusal = ChangeRoot(kRoot);
    for (const TakenMount& mount : mounts_) {
      if (!refusal) refusal = Attach(mount, mount.mount.target);
    }
    return refusal;
  }

 private:
  struct Place {
    std::string path;
    bool directory;
    bool missing;
  };

  // Where the volumes come that do not lie in another; and what the host does not have of that.
  Refusal FindPlaces() {
    points_ = MountPoints();
    for (const TakenMount& one : mounts_) {
      const ResolvedPath where = Resolve(one.mount.target);
      const std::string whole = where.whole();
      const auto holds = [&](const Place& place) { return IsWithin(whole, place.path); };
      if (std::any_of(places_.begin(), places_.end(), holds)) continue;
      Refusal refusal = CheckPlace(one, where);
      if (refusal) return refusal;
      places_.push_back({whole, one.directory, !where.missing.empty()});
    }
    return {};
  }

  Refusal TakeHostParts() {
    sys_ = CloneTree(AT_FDCWD, "/sys");
    if (!sys_.valid() || !MakeReadOnly(sys_.get())) return Failed("/sys");
    if (confinement_.host_pid) {
      proc_ = CloneTree(AT_FDCWD, "/proc");
      if (!proc_.valid()) return Failed("/proc");
    }
    for (const char* name : kDevices) {
      devices_.push_back(CloneTree(AT_FDCWD, (std::string("/dev/") + name).c_str()));
      if (!devices_.back().valid()) return Failed(std::string("/dev/") + name);
    }
    return {};
  }

  Refusal MakeStage() {
    std::string options = "mode=755";
    if (confinement_.scratch_bytes != 0) options += ",size=" + std::to_string(confinement_.scratch_bytes);
    if (mount("tmpfs", kStage, "tmpfs", MS_NODEV, options.c_str()) != 0) return Failed("tmpfs");
    if (mkdir(kRoot, 0755) != 0 || mkdir(kLayers, 0755) != 0) return Failed("tmpfs");
    if (mount(kRoot, kRoot, nullptr, MS_BIND, nullptr) != 0) return Failed("tmpfs");
    return {};
  }

  Refusal LayerRoot() {
    DIR* dir = opendir("/");
    if (dir == nullptr) return Failed("read /");
    Refusal refusal;
    while (const dirent* entry = readdir(dir)) {
      const std::string name = entry->d_name;
      const auto is_name = [&](const char* own) { return name == own; };
      if (name == "." || name == ".." || std::any_of(std::begin(kOwn), std::end(kOwn), is_name)) continue;
      refusal = Layer("/" + name, 1);
      if (refusal) break;
    }
    closedir(dir);
    return refusal;
  }

  bool HasMountsWithin(const std::string& path) const {
    return std::any_of(points_.begin(), points_.end(),
                       [&](const std::string& point) { return point != path && IsWithin(point, path); });
  }

  static bool IsEmpty(const std::string& path) {
    DIR* dir = opendir(path.c_str());
    if (dir == nullptr) return false;
    int count = 0;
    while (count < 3 && readdir(dir) != nullptr) ++count;
    closedir(dir);
    return count < 3;
  }

  // Shows one thing of the host, copy on write.
  Refusal Layer(const std::string& path, int depth) {
    const std::string target = kRoot + path;
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) return {};
    if (S_ISLNK(info.st_mode)) {
      char link[PATH_MAX] = {};
      if (readlink(path.c_str(), link, sizeof(link) - 1) <= 0) return {};
      return symlink(link, target.c_str()) == 0 ? Refusal() : Failed("show " + path);
    }
    if (!S_ISDIR(info.st_mode)) return depth == 1 ? Refusal() : ShowReadOnly(path, false);
    if (mkdir(target.c_str(), info.st_mode & 07777) != 0) return Failed("show " + path);
    if (chmod(target.c_str(), info.st_mode & 07777) != 0 || chown(target.c_str(), info.st_uid, info.st_gid) != 0)
      errno = 0;
    // An overlay neither shows mounts within nor, without root, is allowed over them.
    if (HasMountsWithin(path) && depth < kDeepest) return LayerEntries(path, depth);
    if (IsEmpty(path)) return {};
    Refusal refusal = LayerDirectory(path, info);
    return refusal ? ShowReadOnly(path, true) : refusal;
  }

  Refusal LayerEntries(const std::string& path, int depth) {
    DIR* dir = opendir(path.c_str());
    if (dir == nullptr) return {};  // nor may the program look
    Refusal refusal;
    while (const dirent* entry = readdir(dir)) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      refusal = Layer(path + "/" + name, depth + 1);
      if (refusal) break;
    }
    closedir(dir);
    return refusal;
  }

  Refusal LayerDirectory(const std::string& path, const struct stat& info) {
    const std::string base = std::string(kLayers) + "/" + std::to_string(layers_++);
    const std::string upper = base + "/upper", work = base + "/work";
    if (mkdir(base.c_str(), 0755) != 0 || mkdir(upper.c_str(), 0755) != 0 || mkdir(work.c_str(), 0700) != 0)
      return Failed("tmpfs");
    // The directory itself looks as the upper one does.
    if (chown(upper.c_str(), info.st_uid, info.st_gid) != 0) errno = 0;
    if (chmod(upper.c_str(), info.st_mode & 07777) != 0) return Failed("tmpfs");
    // Made beforehand: without root nobody could make them in the directories of others.
    for (const Place& place : places_) {
      if (!place.missing || !IsWithin(place.path, path) || place.path == path) continue;
      Refusal refusal = MakePlace(upper + place.path.substr(path.size()), place.directory);
      if (refusal) return refusal;
    }
    return MountOverlay(path, upper, work, kRoot + path) ? Refusal() : Failed("overlay of " + path);
  }

  static Refusal ShowReadOnly(const std::string& path, bool directory) {
    const Fd tree = CloneTree(AT_FDCWD, path.c_str());
    if (!tree.valid() || !MakeReadOnly(tree.get())) return Failed("show " + path);
    Refusal refusal = MakePlace(kRoot + path, directory);
    if (refusal) return refusal;
    return MoveTree(tree.get(), kRoot + path) ? Refusal() : Failed("show " + path);
  }

  static Refusal MakeOwnDirectories() {
    for (const char* name : kOwn) {
      Refusal refusal = MakePlace(std::string(kRoot) + "/" + name, true);
      if (refusal) return refusal;
    }
    const std::string root = kRoot;
    if (mkdir((root + "/run/lock").c_str(), 01777) != 0 || chmod((root + "/run/lock").c_str(), 01777) != 0 ||
        chmod((root + "/tmp").c_str(), 01777) != 0)
      return Failed("/tmp");
    return {};
  }

  Refusal HideAndPlace() {
    for (const std::string& directory : confinement_.hidden) {
      const std::string target = kRoot + directory;
      Refusal refusal = MakePlace(target, true);
      if (refusal) return refusal;
      if (mount("tmpfs", target.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m") != 0)
        return Failed("hide " + directory);
    }
    for (const Place& place : places_) {
      if (IsWithin(place.path, "/dev") || IsWithin(place.path, "/proc") || IsWithin(place.path, "/sys")) continue;
      Refusal refusal = MakePlace(kRoot + place.path, place.directory);
      if (refusal) return refusal;
    }
    return {};
  }

  Refusal MountProc() {
    const std::string target = std::string(kRoot) + "/proc";
    if (proc_.valid()) return MoveTree(proc_.get(), target) ? Refusal() : Failed("/proc");
    if (mount("proc", target.c_str(), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
      return Failed("mount /proc");
    if (!root_) return {};  // an ordinary user may do nothing there
    for (const char* name : kReadOnlyInProc) {
      const std::string path = target + "/" + name;
      const Fd tree = CloneTree(AT_FDCWD, path.c_str());
      if (!tree.valid()) continue;
      if (!MakeReadOnly(tree.get()) || !MoveTree(tree.get(), path)) return Failed("/proc/" + std::string(name));
    }
    for (const char* name : kMaskedInProc) {
      const std::string path = target + "/" + name;
      struct stat info {};
      if (stat(path.c_str(), &info) != 0) continue;
      const bool masked = S_ISDIR(info.st_mode) ? mount("tmpfs", path.c_str(), "tmpfs", MS_RDONLY, "size=4k") == 0
                                                : mount("/dev/null", path.c_str(), nullptr, MS_BIND, nullptr) == 0;
      if (!masked) return Failed("/proc/" + std::string(name));
    }
    return {};
  }

  Refusal MountDev() {
    const std::string dev = std::string(kRoot) + "/dev";
    if (mount("tmpfs", dev.c_str(), "tmpfs", MS_NOSUID, "mode=755,size=64k") != 0) return Failed("/dev");
    size_t number = 0;
    for (const char* name : kDevices) {
      const std::string path = dev + "/" + name;
      Refusal refusal = MakePlace(path, false);
      if (refusal) return refusal;
      if (!MoveTree(devices_[number++].get(), path)) return Failed(path);
    }
    if (mkdir((dev + "/pts").c_str(), 0755) != 0 || mkdir((dev + "/shm").c_str(), 01777) != 0 ||
        mount("devpts", (dev + "/pts").c_str(), "devpts", MS_NOSUID | MS_NOEXEC,
              "newinstance,ptmxmode=0666,mode=620") != 0)
      return Failed("/dev/pts");
    if (mount("tmpfs", (dev + "/shm").c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=64m") != 0)
      return Failed("/dev/shm");
    const std::pair<const char*, const char*> links[] = {{"pts/ptmx", "ptmx"},
                                                         {"/proc/self/fd", "fd"},
                                                         {"/proc/self/fd/0", "stdin"},
                                                         {"/proc/self/fd/1", "stdout"},
                                                         {"/proc/self/fd/2", "stderr"}};
    for (const auto& [to, name] : links) {
      if (symlink(to, (dev + "/" + name).c_str()) != 0) return Failed("/dev");
    }
    return {};
  }

  const Confinement& confinement_;
  const bool root_;
  std::vector<TakenMount> mounts_;
  std::vector<Place> places_;
  std::vector<std::string> points_;
  std::vector<Fd> devices_;
  Fd sys_, proc_;
  int layers_ = 0;
};

}  // namespace

int SandboxFlags(const Confinement& confinement, bool root) {
  return (confinement.pause ? 0 : CLONE_NEWNS) | CLONE_NEWUTS | (confinement.host_pid ? 0 : CLONE_NEWPID) |
         (confinement.host_ipc ? 0 : CLONE_NEWIPC) | (root ? 0 : CLONE_NEWUSER);
}

Refusal EnterSandboxRoot(const Confinement& confinement, bool root) {
  Refusal refusal = RootBuilder(confinement, root).Build();
  if (!refusal && !confinement.hostname.empty() &&
      sethostname(confinement.hostname.data(), confinement.hostname.size()) != 0)
    refusal = Failed("hostname");
  return refusal;
}

void HoldSignals() {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
}

void BeInit(pid_t program) {
  prctl(PR_SET_NAME, "wherry-init");
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);  // for sandboxes in the host's pid namespace
  sigset_t all;
  sigfillset(&all);
  for (;;) {
    siginfo_t info{};
    const int number = sigwaitinfo(&all, &info);
    if (number == SIGCHLD) {
      int status = 0;
      pid_t ended = 0;
      while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
        if (ended != program) continue;
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
      }
    } else if (number > 0 && kill(-program, number) != 0) {
      kill(program, number);  // it has not come to its own session yet
    }
  }
}

}  // namespace wherry::warden
