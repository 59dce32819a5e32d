#include "core/agent/warden/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "core/agent/warden/fd.h"

namespace wherry::warden {
namespace {

// A file of /proc, up to `limit` bytes; "" when it is not there.
std::string ReadProc(const char* path, size_t limit = 1 << 20) {
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  std::string text;
  if (!file.valid()) return text;
  char chunk[4096];
  ssize_t n = 0;
  while (text.size() < limit && (n = read(file.get(), chunk, sizeof(chunk))) > 0)
    text.append(chunk, static_cast<size_t>(n));
  return text;
}

void ParsePids(const std::string& text, std::vector<pid_t>* pids) {
  const char* at = text.c_str();
  char* end = nullptr;
  for (long pid = strtol(at, &end, 10); end != at; pid = strtol(at, &end, 10)) {
    pids->push_back(static_cast<pid_t>(pid));
    at = end;
  }
}

std::vector<pid_t> NumbersIn(const char* directory) {
  std::vector<pid_t> numbers;
  DIR* dir = opendir(directory);
  if (dir == nullptr) return numbers;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') numbers.push_back(atoi(entry->d_name));
  }
  closedir(dir);
  return numbers;
}

void AddDescendants(pid_t pid, std::set<pid_t>* found) {
  if (pid == getpid() || !found->insert(pid).second) return;
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/task", pid);
  std::vector<pid_t> children;
  for (pid_t thread : NumbersIn(path)) {
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, thread);
    ParsePids(ReadProc(path), &children);
  }
  for (pid_t child : children) AddDescendants(child, found);
}

// State and start time from /proc/<pid>/stat. The name in parentheses may hold anything.
bool ReadStat(pid_t pid, char* state, uint64_t* start) {
  char path[32];
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  const std::string text = ReadProc(path);
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= text.size()) return false;
  const char* at = text.c_str() + name_end + 2;
  *state = *at;
  for (int field = 3; field < 22; ++field) {
    at = strchr(at, ' ');
    if (at == nullptr) return false;
    ++at;
  }
  *start = strtoull(at, nullptr, 10);
  return true;
}

bool Alive(pid_t pid) {
  char state = 'X';
  uint64_t start = 0;
  return ReadStat(pid, &state, &start) && state != 'Z' && state != 'X';
}

}  // namespace

uint64_t NewTag() {
  rlimit now{};
  getrlimit(RLIMIT_LOCKS, &now);
  const uint64_t top = now.rlim_max == RLIM_INFINITY ? uint64_t{1} << 62 : now.rlim_max;
  uint64_t random = 0;
  while (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
  }
  return top / 2 + random % (top / 2) + 1;
}

bool TagSelf(uint64_t tag) {
  const rlimit limit{tag, tag};
  return setrlimit(RLIMIT_LOCKS, &limit) == 0;
}

uint64_t TagOf(pid_t pid) {
  rlimit limit{};
  if (prlimit(pid, RLIMIT_LOCKS, nullptr, &limit) == 0) return limit.rlim_cur;
  if (errno != EPERM) return 0;
  // Another user's process: the file is open to all.
  char path[32];
  snprintf(path, sizeof(path), "/proc/%d/limits", pid);
  const std::string text = ReadProc(path);
  const size_t line = text.find("Max file locks");
  return line == std::string::npos ? 0 : strtoull(text.c_str() + line + strlen("Max file locks"), nullptr, 10);
}

uint64_t StartTimeOf(pid_t pid) {
  char state = 'X';
  uint64_t start = 0;
  if (!ReadStat(pid, &state, &start) || state == 'Z' || state == 'X') return 0;
  return start;
}

std::string BootId() {
  std::string id = ReadProc("/proc/sys/kernel/random/boot_id");
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

bool OwnChildren(std::vector<pid_t>* children) {
  static const bool known = access("/proc/thread-self/children", R_OK) == 0;
  if (!known) return false;
  ParsePids(ReadProc("/proc/thread-self/children", 16 << 20), children);
  return true;
}

std::vector<pid_t> FindMembers(uint64_t tag) {
  std::set<pid_t> found;
  for (pid_t pid : NumbersIn("/proc")) {
    if (TagOf(pid) == tag) AddDescendants(pid, &found);
  }
  std::vector<pid_t> members;
  for (pid_t pid : found) {
    if (Alive(pid)) members.push_back(pid);
  }
  return members;
}

int KillMembers(const std::vector<pid_t>& roots) {
  // A pidfd pins each process from the moment we meet it until it is killed, so that its number cannot become
  // another's.
  std::map<pid_t, Fd> stopped;
  bool grew = true;
  for (int round = 0; grew && round < 64; ++round) {
    std::set<pid_t> found;
    for (pid_t root : roots) AddDescendants(root, &found);
    grew = false;
    for (pid_t pid : found) {
      if (stopped.count(pid) != 0 || !Alive(pid)) continue;
      Fd pinned(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
      if (!pinned.valid()) continue;  // gone, or out of descriptors: the next call finds it again
      syscall(SYS_pidfd_send_signal, pinned.get(), SIGSTOP, nullptr, 0);
      stopped.emplace(pid, std::move(pinned));
      grew = true;
    }
  }
  for (const auto& [pid, pinned] : stopped) syscall(SYS_pidfd_send_signal, pinned.get(), SIGKILL, nullptr, 0);
  return static_cast<int>(stopped.size());
}

}  // namespace wherry::warden
