#include "core/agent/warden/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/agent/warden/fd.h"
#include "core/agent/warden/process_tree.h"

namespace wherry::warden {
namespace {

// A small file of /proc, cut off at the buffer's end.
bool ReadSmall(const char* path, char* buffer, size_t size) {
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return false;
  const ssize_t n = read(file.get(), buffer, size - 1);
  if (n <= 0) return false;
  buffer[n] = '\0';
  return true;
}

// utime, stime, cutime, cstime, num_threads and rss are fields 14 to 17, 20 and 24 of /proc/PID/stat; the name in
// parentheses may hold anything.
bool AddProcess(int pid, TaggedUsage* usage) {
  static const uint64_t tick_us = 1'000'000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  static const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  char path[32], text[1024];
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  if (!ReadSmall(path, text, sizeof(text))) return false;
  const char* at = strrchr(text, ')');
  if (at == nullptr || at[1] == '\0' || at[2] == 'Z') return false;
  at += 2;
  for (int field = 3; field <= 24; ++field) {
    if (field >= 14 && field <= 17) usage->cpu_us += strtoull(at, nullptr, 10) * tick_us;
    if (field == 20) usage->threads += static_cast<uint32_t>(strtoul(at, nullptr, 10));
    if (field == 24) usage->memory_bytes += strtoull(at, nullptr, 10) * page;
    at = strchr(at, ' ');
    if (at == nullptr) return field >= 24;
    ++at;
  }
  usage->pids.push_back(pid);
  ++usage->processes;
  return true;
}

}  // namespace

std::unordered_map<uint64_t, TaggedUsage> LookAtTags() {
  std::unordered_map<uint64_t, TaggedUsage> found;
  DIR* dir = opendir("/proc");
  if (dir == nullptr) return found;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    const int pid = atoi(entry->d_name);
    const uint64_t tag = TagOf(pid);
    // Untagged processes have no limit there, or none was set for them.
    if (tag == 0 || tag == ~uint64_t{0}) continue;
    AddProcess(pid, &found[tag]);
  }
  closedir(dir);
  return found;
}

uint64_t TasksOfMachine() {
  char text[128];
  // "0.12 0.10 0.09 3/1234 5678": running/existing.
  const char* slash = ReadSmall("/proc/loadavg", text, sizeof(text)) ? strchr(text, '/') : nullptr;
  return slash == nullptr ? 0 : strtoull(slash + 1, nullptr, 10);
}

uint64_t ProportionalMemory(const std::vector<int>& pids) {
  uint64_t sum = 0;
  for (const int pid : pids) {
    char path[48], text[2048];
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
    if (!ReadSmall(path, text, sizeof(text))) continue;
    const char* line = strstr(text, "\nPss:");
    if (line != nullptr) sum += strtoull(line + 5, nullptr, 10) * 1024;
  }
  return sum;
}

}  // namespace wherry::warden
