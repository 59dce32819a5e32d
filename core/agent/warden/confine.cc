#include "core/agent/warden/confine.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>

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
} kNamespaces[] = {
    {"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS}, {"pid", CLONE_NEWPID}, {"uts", CLONE_NEWUTS}, {"ipc", CLONE_NEWIPC}};

ino_t NamespaceOf(const std::string& process, const char* name) {
  struct stat info {};
  return stat(("/proc/" + process + "/ns/" + name).c_str(), &info) == 0 ? info.st_ino : 0;
}

}  // namespace

Refusal Confine(const SpawnRequest& request, Parent parent) {
  const Confinement& confinement = request.confinement;
  Refusal refusal;
  if (confinement.sandbox) {
    const bool root = parent.user == 0;
    if (!root) {
      const auto user = static_cast<uid_t>(request.run_as_user < 0 ? 0 : request.run_as_user);
      const auto group = static_cast<gid_t>(request.run_as_group < 0 ? 0 : request.run_as_group);
      refusal = MapUser(user, group, parent.user, parent.group);
    }
    if (!refusal) refusal = EnterSandboxRoot(confinement, root);
    if (refusal) return refusal;
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

Refusal EnterContainer(pid_t first) {
  const std::string process = std::to_string(first);
  int flags = 0;
  for (const auto& one : kNamespaces) {
    const ino_t theirs = NamespaceOf(process, one.name);
    if (theirs == 0) return Failed("join the container");
    if (theirs != NamespaceOf("self", one.name)) flags |= one.flag;
  }
  if (flags == 0) return {};
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, first, 0)));
  if (!pidfd.valid() || setns(pidfd.get(), flags) != 0) return Failed("join the container");
  if ((flags & CLONE_NEWPID) == 0) return {};
  // Children are in the pid namespace, we are not.
  const pid_t program = fork();
  if (program < 0) return Failed("fork");
  if (program > 0) EndAs(program);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  setsid();
  return {};
}

}  // namespace wherry::warden
