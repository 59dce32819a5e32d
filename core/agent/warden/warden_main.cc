#include "core/agent/warden/warden_main.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/agent/warden/embedded_warden.h"
#include "core/agent/warden/fd.h"
#include "core/agent/warden/warden.h"

namespace wherry {
namespace {

constexpr off_t kMaxOwnLog = 1 << 20;
constexpr unsigned kMemfdExec = 0x10;  // MFD_EXEC, which Debian 12's headers do not have yet

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

// The carried program as a file in memory; invalid when there is none.
warden::Fd CarriedProgram() {
  std::string_view bytes = EmbeddedWarden();
  if (bytes.empty()) return {};
  warden::Fd file(memfd_create("wherry-warden", MFD_CLOEXEC | kMemfdExec));
  if (!file.valid() && errno == EINVAL) file.reset(memfd_create("wherry-warden", MFD_CLOEXEC));  // Linux before 6.3
  while (file.valid() && !bytes.empty()) {
    const ssize_t n = write(file.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return {};
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  // Reading it has made it resident here, where it is not needed again.
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(EmbeddedWarden().data()) + page - 1) & ~(page - 1);
  const uintptr_t end = reinterpret_cast<uintptr_t>(EmbeddedWarden().data() + EmbeddedWarden().size()) & ~(page - 1);
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  return file;
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
  prctl(PR_SET_NAME, "wherry-warden");  // from memory it would be known by a descriptor's number
  mkdir(options.data_dir.c_str(), 0700);
  SetUpStdio(options.data_dir);
  return warden::RunWarden(options);
}

bool StartWarden(const std::string& data_dir, std::vector<std::string> command) {
  // Where running from memory is not allowed, the exec fails, and the way through /proc/self/exe is tried next.
  const warden::Fd carried = command.empty() ? CarriedProgram() : warden::Fd();
  if (command.empty()) command = {"/proc/self/exe"};
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
    if (carried.valid()) execveat(carried.get(), "", argv.data(), environ, AT_EMPTY_PATH);
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
