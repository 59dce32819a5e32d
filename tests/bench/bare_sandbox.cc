#include "tests/bench/bare_sandbox.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "core/agent/warden/sandbox.h"

namespace wherry::bench {
namespace {

[[noreturn]] void BecomeSandbox(const warden::Confinement& confinement, bool root, uid_t user, gid_t group) {
  if (!root && warden::MapUser(0, 0, user, group)) ::_exit(126);
  if (warden::EnterSandboxRoot(confinement, root)) ::_exit(126);
  // As in a container's: the first process reaps, its child is the program.
  const pid_t program = ::fork();
  if (program == 0) {
    ::execl("/bin/true", "true", nullptr);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(program, &status, 0);
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 127);
}

}  // namespace

double BareSandbox() {
  warden::Confinement confinement;
  confinement.sandbox = true;
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  const bool root = user == 0;
  const auto start = std::chrono::steady_clock::now();
  const auto flags = static_cast<unsigned long>(warden::SandboxFlags(confinement, root) | SIGCHLD);
  // No stack: the child goes on with a copy of this one, as after fork.
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, nullptr, nullptr, nullptr));
  if (child == 0) BecomeSandbox(confinement, root, user, group);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return -1;
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace wherry::bench
