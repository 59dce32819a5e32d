#include "core/agent/warden/spawn.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/agent/warden/bind_steering.h"
#include "core/agent/warden/confine.h"
#include "core/agent/warden/credentials.h"
#include "core/agent/warden/local_socket.h"
#include "core/agent/warden/mount_view.h"
#include "core/agent/warden/process_tree.h"
#include "core/agent/warden/sandbox.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

namespace wherry::warden {
namespace {

constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

enum class Step : uint8_t {
  kListener,
  kNotSteered,
  kPrepare,
  kConfine,
  kUser,
  kDirectory,
  kExec,
  kInterpreter,
  kTerminal
};

// A packet of the status socket, child to warden.
struct News {
  Step step;
  int32_t error;
  char what[240];  // of kConfine and kUser
};

// ---- In the child, until exec. It is a full copy of a single-threaded process: allocating is fine.

void Tell(int status, Step step, int error, int fd = -1) {
  const News news{step, error, {}};
  SendWithFd(status, &news, sizeof(news), fd);
}

[[noreturn]] void Fail(int status, Step step, int error) {
  Tell(status, step, error);
  _exit(127);
}

void FailIf(const Refusal& refusal, int status, Step step) {
  if (!refusal) return;
  News news{step, refusal.error, {}};
  refusal.what.copy(news.what, sizeof(news.what) - 1);
  SendWithFd(status, &news, sizeof(news), -1);
  _exit(127);
}

void Inherit(const Inheritance& inheritance) {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != inheritance.nofile_soft) {
    files.rlim_cur = inheritance.nofile_soft;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  if (inheritance.restore_oom_score) {
    const Fd file(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    if (write(file.get(), inheritance.oom_score.data(), inheritance.oom_score.size()) < 0) return;
  }
}

void Execute(const SpawnRequest& request, int status) {
  std::vector<char*> argv, envp;
  std::vector<std::string> env;
  std::string path = kDefaultPath;
  env.reserve(request.env.size());
  for (const auto& [name, value] : request.env) {
    env.push_back(name + "=" + value);
    if (name == "PATH") path = value;
  }
  for (const std::string& arg : request.argv)
    argv.push_back(const_cast<char*>(arg.c_str()));  // NOLINT: exec does not write
  for (std::string& entry : env) envp.push_back(entry.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);

  const std::string& program = request.argv[0];
  if (program.find('/') != std::string::npos) {
    execve(program.c_str(), argv.data(), envp.data());
    const int error = errno;
    const bool script = error == ENOENT && access(program.c_str(), F_OK) == 0;
    Fail(status, script ? Step::kInterpreter : Step::kExec, error);
  }
  int error = ENOENT;
  for (size_t at = 0; !program.empty() && at <= path.size();) {
    size_t end = path.find(':', at);
    if (end == std::string::npos) end = path.size();
    const std::string directory = path.substr(at, end - at);
    const std::string file = (directory.empty() ? "." : directory) + "/" + program;
    execve(file.c_str(), argv.data(), envp.data());
    const int why = errno;
    if (why == ENOENT && access(file.c_str(), F_OK) == 0) Fail(status, Step::kInterpreter, why);
    // As execvp(3): a file that may not be run is remembered, the search goes on.
    if (why == EACCES) {
      error = why;
    } else if (why != ENOENT && why != ENOTDIR && why != ENAMETOOLONG) {
      error = why;
      break;
    }
    at = end + 1;
  }
  Fail(status, Step::kExec, error);
}

// What a program starts with besides its request.
struct Start {
  int stdio[3] = {-1, -1, -1};             // -1 = /dev/null
  bool tty = false;                        // stdio[0] becomes its controlling terminal
  pid_t joins = -1;                        // the first process of the container it joins, and dies with the warden
  const Neighbours* neighbours = nullptr;  // of its namespaces, when it is a container's first
};

void SetUpStdio(const Start& start, int status) {
  Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int i = 0; i < 3; ++i) {
    if (dup2(start.stdio[i] >= 0 ? start.stdio[i] : null.get(), i) < 0) Fail(status, Step::kPrepare, errno);
  }
}

// In the sandbox and in volumes a working directory is made; elsewhere it is the host's.
void EnterDirectory(const SpawnRequest& request, int status) {
  const std::string& wanted = request.working_directory;
  // Once with our rights and once with its own: either may be what lets it in.
  bool entered = wanted.empty() || chdir(wanted.c_str()) == 0;
  if (!entered && errno == ENOENT) {
    bool make = request.confinement.sandbox;
    for (const Mount& mount : request.confinement.mounts) make = make || IsWithin(wanted, mount.target);
    if (make) FailIf(MakePlace(wanted, true), status, Step::kConfine);
    entered = make && chdir(wanted.c_str()) == 0;
  }
  FailIf(LimitCapabilities(request.confinement), status, Step::kConfine);
  FailIf(ChangeUser(request), status, Step::kUser);
  if (!entered && chdir(wanted.c_str()) != 0) Fail(status, Step::kDirectory, errno);
}

[[noreturn]] void BeChild(const SpawnRequest& request, uint64_t tag, const Inheritance& inheritance, Parent parent,
                          int status, const Start& start) {
  setsid();
  for (int ignored : {SIGPIPE, SIGHUP, SIGINT}) signal(ignored, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const bool tagged = TagSelf(tag);
  const int tag_error = errno;

  char go = 0;
  if (recv(status, &go, 1, 0) != 1) _exit(127);  // the warden is gone: nobody knows of us, so we must not run
  if (!tagged) Fail(status, Step::kPrepare, tag_error);

  if (!request.confinement.pause) Inherit(inheritance);  // a pause is as dear to us as we are ourselves
  umask(022);
  SetUpStdio(start, status);
  syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);  // all of ours have the flag anyway

  const bool sandbox = request.confinement.sandbox;
  if (request.confinement.pause) FailIf(BePause(request, parent, status), status, Step::kConfine);
  FailIf(
      start.joins > 0 ? EnterContainer(start.joins, request.confinement) : Confine(request, parent, *start.neighbours),
      status, Step::kConfine);
  if (sandbox && parent.user != 0) FailIf(BeKnownAs(request), status, Step::kConfine);
  if (start.tty && ioctl(0, TIOCSCTTY, 0) != 0) Fail(status, Step::kTerminal, errno);
  EnterDirectory(request, status);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) Fail(status, Step::kPrepare, errno);
  if (request.confinement.default_system_calls) FailIf(InstallDefaultFilter(), status, Step::kConfine);
  if (!request.bind_address.empty()) {
    const Fd listener(InstallBindFilter());
    const int error = errno;
    Tell(status, listener.valid() ? Step::kListener : Step::kNotSteered, error, listener.get());
  }
  // Once it is in the session that it stays in.
  if (start.tty && ioctl(0, TIOCSCTTY, 0) != 0) Fail(status, Step::kTerminal, errno);
  // After the change of user, which clears it. What the warden cannot tell the end of must not go on.
  if (start.joins > 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (recv(status, &go, 1, MSG_DONTWAIT) == 0) _exit(127);
  }
  Execute(request, status);
  _exit(127);
}

// ---- In the warden.

// A pipe whose write end is open for reading too: with no warden alive the program then waits at a full pipe instead of
// dying of SIGPIPE, until the next warden reopens it.
int MakePipe(const SpawnRequest& request, Fd* read_end, Fd* write_end, uint64_t* inode) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return errno;
  read_end->reset(ends[0]);
  const Fd plain(ends[1]);
  char path[40];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[1]);
  write_end->reset(open(path, O_RDWR | O_CLOEXEC));
  if (!write_end->valid()) return errno;
  struct stat info {};
  if (fstat(ends[0], &info) != 0) return errno;
  *inode = info.st_ino;
  if (request.run_as_user >= 0 || request.run_as_group >= 0) {
    // So that it can open /dev/stdout. Without the right to do that it does not get the user either.
    const auto user = static_cast<uid_t>(request.run_as_user);
    const auto group = static_cast<gid_t>(request.run_as_group);
    if (fchown(ends[0], user, group) != 0 && errno != EPERM) return errno;
  }
  return 0;
}

std::string Lower(const char* text) {
  std::string lower(text);
  if (lower.size() > 1 && lower[0] >= 'A' && lower[0] <= 'Z' && !(lower[1] >= 'A' && lower[1] <= 'Z')) {
    lower[0] = static_cast<char>(lower[0] - 'A' + 'a');
  }
  return lower;
}

std::string Explain(const News& news, const SpawnRequest& request) {
  const std::string why = Lower(strerror(news.error));
  const std::string program = "exec: \"" + (request.argv.empty() ? "" : request.argv[0]) + "\": ";
  switch (news.step) {
    case Step::kConfine:
      return (request.confinement.sandbox ? "sandbox: " : "") + std::string(news.what) + ": " + why;
    case Step::kUser:
      return std::string(news.what) + ": " + why;
    case Step::kDirectory:
      return "chdir to working directory \"" + request.working_directory + "\": " + why;
    case Step::kInterpreter:
      return program + "its interpreter was not found: " + why;
    case Step::kExec:
      if (news.error == ENOENT && request.argv[0].find('/') == std::string::npos) {
        return program + "executable file not found in $PATH";
      }
      return program + why;
    case Step::kTerminal:
      return "taking the terminal: " + why;
    default:
      return "preparing the process: " + why;
  }
}

}  // namespace

namespace {

// A terminal: `near` is ours, `far` the program's.
int MakeTerminal(const SpawnRequest& request, Fd* near, Fd* far) {
  near->reset(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  const int unlocked = 0;
  if (!near->valid() || ioctl(near->get(), TIOCSPTLCK, &unlocked) != 0) return errno;
  far->reset(ioctl(near->get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!far->valid()) return errno;
  if (request.run_as_user >= 0 &&
      fchown(far->get(), static_cast<uid_t>(request.run_as_user), static_cast<gid_t>(-1)) != 0 && errno != EPERM) {
    return errno;
  }
  return 0;
}

int ForkWith(const SpawnRequest& request, uint64_t tag, const Inheritance& inheritance, const Start& start,
             Birth* birth) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) return errno;
  birth->status.reset(sockets[0]);
  const Fd child_status(sockets[1]);
  const Parent parent{geteuid(), getegid()};
  if (request.confinement.default_system_calls) {
    const int error = PrepareDefaultFilter();
    if (error != 0) return error;
  }
  // Its first process must be born into a pid namespace: glibc's fork has no flags. We have but one thread.
  const bool sandbox = request.confinement.sandbox && start.neighbours != nullptr && !start.neighbours->process.valid();
  const long flags = SandboxFlags(request.confinement, parent.user == 0) | SIGCHLD;
  birth->pid = sandbox ? static_cast<pid_t>(syscall(SYS_clone, flags, nullptr, nullptr, nullptr, nullptr)) : fork();
  if (birth->pid < 0) return errno;
  if (birth->pid == 0) {
    birth->status.reset();  // our own end must not keep us waiting when the warden is gone
    BeChild(request, tag, inheritance, parent, child_status.get(), start);
  }
  return 0;
}

}  // namespace

int Fork(const SpawnRequest& request, uint64_t tag, const Inheritance& inheritance, const Neighbours& neighbours,
         Birth* birth) {
  Fd write_ends[2], input;
  Start start;
  start.neighbours = &neighbours;
  if (request.confinement.pause) return ForkWith(request, tag, inheritance, start, birth);
  if (request.tty) {
    const int error = MakeTerminal(request, &birth->log[0], &input);
    if (error != 0) return error;
    birth->input.reset(fcntl(birth->log[0].get(), F_DUPFD_CLOEXEC, 3));
    for (int& fd : start.stdio) fd = input.get();
    start.tty = true;
    return ForkWith(request, tag, inheritance, start, birth);
  }
  if (request.open_stdin) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno;
    input.reset(ends[0]);
    birth->input.reset(ends[1]);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    start.stdio[0] = ends[0];
  }
  for (int i = 0; i < 2; ++i) {
    const int error = MakePipe(request, &birth->log[i], &write_ends[i], &birth->log_pipe[i]);
    if (error != 0) return error;
    start.stdio[i + 1] = write_ends[i].get();
  }
  return ForkWith(request, tag, inheritance, start, birth);
}

int ForkInto(const SpawnRequest& request, uint64_t tag, const Inheritance& inheritance, const Joining& joining,
             Birth* birth) {
  Start start;
  for (int i = 0; i < 3; ++i) {
    start.stdio[i] = joining.stdio[i].get();
    // So that it can open /dev/stdout, or its terminal.
    if (joining.stdio[i].valid() && request.run_as_user >= 0) {
      if (fchown(joining.stdio[i].get(), static_cast<uid_t>(request.run_as_user), static_cast<gid_t>(-1)) != 0 &&
          errno != EPERM) {
        return errno;
      }
    }
  }
  start.tty = joining.tty;
  start.joins = joining.container;
  return ForkWith(request, tag, inheritance, start, birth);
}

void Go(const Birth& birth) {
  const char go = 1;
  if (send(birth.status.get(), &go, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) return;  // it has died; its exit tells
}

BirthNews ReadNews(const Birth& birth, const SpawnRequest& request) {
  BirthNews result;
  News news{};
  bool lost = false;
  std::vector<Fd> attached;
  const ssize_t got = ReceiveWithFds(birth.status.get(), &news, sizeof(news), &attached, &lost);
  if (!attached.empty()) result.listener = std::move(attached[0]);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return result;
  if (got != sizeof(news)) {
    result.kind = BirthNews::kRunning;
  } else if (news.step == Step::kListener) {
    result.kind = result.listener.valid() ? BirthNews::kListener : BirthNews::kNotSteered;
    result.error = EMFILE;
  } else if (news.step == Step::kNotSteered) {
    result.kind = BirthNews::kNotSteered;
    result.error = news.error;
  } else {
    result.kind = BirthNews::kFailed;
    news.what[sizeof(news.what) - 1] = '\0';
    result.message = Explain(news, request);
    result.not_made = news.step == Step::kConfine;
  }
  return result;
}

Fd ReopenPipe(pid_t member, uint64_t pipe) {
  const std::string directory = "/proc/" + std::to_string(member) + "/fd/";
  const std::string wanted = "pipe:[" + std::to_string(pipe) + "]";
  DIR* dir = opendir(directory.c_str());
  if (dir == nullptr) return Fd();
  Fd found;
  while (const dirent* entry = readdir(dir)) {
    const std::string link = directory + entry->d_name;
    char target[64];
    const ssize_t size = readlink(link.c_str(), target, sizeof(target));
    if (size <= 0 || std::string_view(target, static_cast<size_t>(size)) != wanted) continue;
    found.reset(open(link.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (found.valid()) break;
  }
  closedir(dir);
  return found;
}

}  // namespace wherry::warden
