#include "core/agent/warden/confine.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/agent/warden/sandbox.h"

namespace wherry::warden {
namespace {

Refusal Failed(std::string what) { return Refusal{errno == 0 ? EIO : errno, std::move(what)}; }

// What a process that lives on without an exec must not hold open: the warden's lock above all, and the status socket
// that tells by its end that the program runs.
void CloseAllButStdio() { syscall(SYS_close_range, 3U, ~0U, 0U); }

void TakeSignals() {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Waits for the program and ends as it did.
[[noreturn]] void EndAs(pid_t program) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  CloseAllButStdio();
  int status = 0;
  while (waitpid(program, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

constexpr struct {
  const char* name;
  int flag;
} kNamespaces[] = {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS}, {"uts", CLONE_NEWUTS}, {"ipc", CLONE_NEWIPC}};

ino_t NamespaceOf(const std::string& process, const char* name) {
  struct stat info {};
  return stat(("/proc/" + process + "/ns/" + name).c_str(), &info) == 0 ? info.st_ino : 0;
}

// Those of `kinds` in which `process` is and we are not; -1 when it is gone.
int Foreign(pid_t process, int kinds) {
  int flags = 0;
  for (const auto& one : kNamespaces) {
    if ((kinds & one.flag) == 0) continue;
    const ino_t theirs = NamespaceOf(std::to_string(process), one.name);
    if (theirs == 0) return -1;
    if (theirs != NamespaceOf("self", one.name)) flags |= one.flag;
  }
  return flags;
}

// The number that a pidfd stands for; 0 when the process is gone.
pid_t PidOf(const Fd& pidfd) {
  char path[48], text[512] = {};
  snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd.get());
  const Fd info(open(path, O_RDONLY | O_CLOEXEC));
  if (!info.valid() || read(info.get(), text, sizeof(text) - 1) <= 0) return 0;
  const char* at = strstr(text, "Pid:");
  const long pid = at == nullptr ? 0 : strtol(at + 4, nullptr, 10);
  return pid > 0 ? static_cast<pid_t>(pid) : 0;
}

bool SameNamespace(const Fd& theirs, const char* ours) {
  struct stat one {
  }, other{};
  return fstat(theirs.get(), &one) == 0 && stat(ours, &other) == 0 && one.st_ino == other.st_ino;
}

// From a child of the warden to the sandbox of a pod: in the namespaces that it shares, with a mount namespace of its
// own, and on as the first process of its PID namespace or one more of another's. The caller stays behind outside of
// that one and is the container's first process for everybody: whom signals go to, and who ends as the program does.
Refusal EnterPod(const Confinement& confinement, const Neighbours& neighbours) {
  const pid_t process = PidOf(neighbours.process);
  const int flags = process == 0 ? -1 : Foreign(process, CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWIPC);
  errno = ESRCH;
  if (flags < 0 || (flags != 0 && setns(neighbours.process.get(), flags) != 0)) return Failed("join the pod");
  bool moves = false;
  if (neighbours.pids.valid()) {
    moves = !SameNamespace(neighbours.pids, "/proc/self/ns/pid");
    if (moves && setns(neighbours.pids.get(), CLONE_NEWPID) != 0) return Failed("join the processes");
  } else if (!confinement.host_pid) {
    moves = true;
    if (unshare(CLONE_NEWPID) != 0) return Failed("pid namespace");
  }
  if (unshare(CLONE_NEWNS) != 0) return Failed("mount namespace");
  // Others look at its namespaces through it.
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  if (!moves) return {};
  HoldSignals();
  const pid_t first = fork();
  if (first < 0) return Failed("fork");
  if (first > 0) {
    CloseAllButStdio();
    BeInit(first);
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  setsid();
  return {};
}

}  // namespace

Refusal Confine(const SpawnRequest& request, Parent parent, const Neighbours& neighbours) {
  const Confinement& confinement = request.confinement;
  Refusal refusal;
  if (confinement.sandbox) {
    const bool root = parent.user == 0;
    if (neighbours.process.valid()) {
      refusal = EnterPod(confinement, neighbours);
    } else if (!root) {
      const auto user = static_cast<uid_t>(request.run_as_user < 0 ? 0 : request.run_as_user);
      const auto group = static_cast<gid_t>(request.run_as_group < 0 ? 0 : request.run_as_group);
      refusal = MapUser(user, group, parent.user, parent.group);
    }
    if (!refusal) refusal = EnterSandboxRoot(confinement, root);
    if (refusal) return refusal;
    if (neighbours.pids.valid()) {  // the reaping is its neighbour's
      TakeSignals();
      return {};
    }
    HoldSignals();
    const pid_t program = fork();
    if (program < 0) return Failed("fork");
    if (program > 0) {
      CloseAllButStdio();
      BeInit(program);
    }
    setsid();
    TakeSignals();
  } else if (!confinement.mounts.empty()) {
    refusal = EnterMountNamespace();
    std::vector<TakenMount> mounts;
    if (!refusal) refusal = TakeMounts(confinement.mounts, &mounts);
    if (!refusal) refusal = ShowMounts(std::move(mounts));
  }
  return refusal;
}

Refusal BePause(const SpawnRequest& request, Parent parent, int status) {
  const std::string& hostname = request.confinement.hostname;
  if (parent.user != 0) {
    Refusal refusal = MapUser(0, 0, parent.user, parent.group);
    if (refusal) return refusal;
  }
  if (!hostname.empty() && sethostname(hostname.data(), hostname.size()) != 0) return Failed("hostname");
  HoldSignals();
  prctl(PR_SET_NAME, "wherry-pause");
  if (chdir("/") != 0) return Failed("enter /");
  close(status);
  CloseAllButStdio();
  sigset_t all;
  sigfillset(&all);
  for (;;) {
    if (sigwaitinfo(&all, nullptr) != SIGCHLD) continue;
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}

Refusal BeKnownAs(const SpawnRequest& request) {
  const auto user = static_cast<uid_t>(request.run_as_user < 0 ? 0 : request.run_as_user);
  const auto group = static_cast<gid_t>(request.run_as_group < 0 ? 0 : request.run_as_group);
  const uid_t known_user = geteuid();
  const gid_t known_group = getegid();
  if (user == known_user && group == known_group) return {};
  if (unshare(CLONE_NEWUSER) != 0) return Failed("user namespace");
  return MapUser(user, group, known_user, known_group);
}

// Of one that joined others the first process stays outside: where its children are the program is.
std::string PidNamespaceOf(pid_t first, const Confinement& confinement) {
  return "/proc/" + std::to_string(first) + (confinement.joins() ? "/ns/pid_for_children" : "/ns/pid");
}

Refusal EnterContainer(pid_t first, const Confinement& confinement) {
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, first, 0)));
  const int flags = Foreign(first, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC);
  const Fd pids(open(PidNamespaceOf(first, confinement).c_str(), O_RDONLY | O_CLOEXEC));
  if (!pidfd.valid() || !pids.valid() || flags < 0) return Failed("join the container");
  const bool moves = !SameNamespace(pids, "/proc/self/ns/pid");
  if (flags != 0 && setns(pidfd.get(), flags) != 0) return Failed("join the container");
  if (!moves) return {};
  // Children are in the pid namespace, we are not.
  if (setns(pids.get(), CLONE_NEWPID) != 0) return Failed("join the container");
  const pid_t program = fork();
  if (program < 0) return Failed("fork");
  if (program > 0) EndAs(program);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  setsid();
  return {};
}

}  // namespace wherry::warden
