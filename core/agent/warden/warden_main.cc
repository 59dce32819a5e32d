#include "core/agent/warden/warden_main.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/agent/warden/fd.h"
#include "core/agent/warden/warden.h"

namespace wherry {
namespace {

constexpr off_t kMaxOwnLog = 1 << 20;

// stdin from nowhere; stdout and stderr, which are silent but for accidents, to <data-dir>/warden.log.
void SetUpStdio(const std::string& data_dir) {
  const warden::Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const std::string path = data_dir + "/warden.log";
  struct stat info {};
  const bool fresh = stat(path.c_str(), &info) == 0 && info.st_size > kMaxOwnLog;
  const warden::Fd log(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (fresh ? O_TRUNC : 0), 0600));
  dup2(null.get(), 0);
  dup2(log.valid() ? log.get() : null.get(), 1);
  dup2(log.valid() ? log.get() : null.get(), 2);
}

}  // namespace

std::optional<int> MaybeRunWarden(int argc, char** argv) {
  if (argc < 2 || strcmp(argv[1], "warden") != 0) return std::nullopt;
  warden::WardenOptions options;
  for (int i = 2; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--data-dir") == 0) {
      options.data_dir = argv[i + 1];
    } else if (strcmp(argv[i], "--idle-seconds") == 0) {
      options.idle_limit = std::chrono::milliseconds(static_cast<int64_t>(atof(argv[i + 1]) * 1000));
    }
  }
  if (options.data_dir.empty()) {
    fprintf(stderr, "usage: %s warden --data-dir DIRECTORY [--idle-seconds N]\n", argv[0]);
    return 2;
  }
  syscall(SYS_close_range, 3U, ~0U, 0U);
  mkdir(options.data_dir.c_str(), 0700);
  SetUpStdio(options.data_dir);
  return warden::RunWarden(options);
}

bool StartWarden(const std::string& data_dir, std::vector<std::string> command) {
  if (command.empty()) {
    errno = EINVAL;
    return false;
  }
  const std::string program = command[0];
  if (program == "/proc/self/exe") command[0] = "wherry";  // what ps shows
  for (const char* arg : {"warden", "--data-dir"}) command.emplace_back(arg);
  command.push_back(data_dir);
  std::vector<char*> argv;
  for (std::string& arg : command) argv.push_back(arg.data());
  argv.push_back(nullptr);

  int failure[2];  // errno of the exec
  if (pipe2(failure, O_CLOEXEC) != 0) return false;
  warden::Fd reader(failure[0]), writer(failure[1]);
  // From here to exec only what POSIX allows in the child of a process with threads.
  const pid_t middle = fork();
  if (middle < 0) return false;
  if (middle == 0) {
    setsid();
    // The grandchild is nobody's child when the middle one is gone: no zombie of it can be left to us.
    const pid_t child = fork();
    if (child != 0) _exit(child < 0 ? 1 : 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execvp(program.c_str(), argv.data());
    const int error = errno;
    if (write(failure[1], &error, sizeof(error)) < 0) _exit(126);
    _exit(127);
  }
  writer.reset();
  int status = 0;
  while (waitpid(middle, &status, 0) < 0 && errno == EINTR) {
  }
  int error = 0;
  ssize_t got = 0;
  while ((got = read(reader.get(), &error, sizeof(error))) < 0 && errno == EINTR) {
  }
  if (got == sizeof(error) || status != 0) {
    errno = got == sizeof(error) ? error : EAGAIN;
    return false;
  }
  return true;
}

}  // namespace wherry
