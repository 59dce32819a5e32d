#include "core/agent/warden/cgroups.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "core/agent/warden/fd.h"

namespace wherry::warden {
namespace {

constexpr int64_t kPeriodUs = 100'000;

std::string Read(const std::string& path) {
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char chunk[4096];
  ssize_t n = 0;
  while (file.valid() && (n = read(file.get(), chunk, sizeof(chunk))) > 0) text.append(chunk, static_cast<size_t>(n));
  return text;
}

bool Write(const std::string& path, const std::string& text) {
  const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file.valid() && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::vector<std::string> Split(const std::string& text, const char* separators) {
  std::vector<std::string> parts;
  size_t at = 0;
  while ((at = text.find_first_not_of(separators, at)) != std::string::npos) {
    const size_t end = std::min(text.find_first_of(separators, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end;
  }
  return parts;
}

bool HasWord(const std::string& text, const std::string& word) {
  const std::vector<std::string> words = Split(text, " ,\n");
  return std::find(words.begin(), words.end(), word) != words.end();
}

// The value of "key value" in a file of such lines, or -1.
int64_t ValueOf(const std::string& text, const std::string& key) {
  for (const std::string& line : Split(text, "\n")) {
    if (line.compare(0, key.size() + 1, key + " ") == 0) return strtoll(line.c_str() + key.size(), nullptr, 10);
  }
  return -1;
}

std::string Parent(const std::string& path) { return path.substr(0, path.rfind('/')); }

// Version 2: a group whose children have the controller. A group with processes in it cannot hand controllers on, so
// one of those above it may be the one.
std::string FindBase(const std::string& own, const std::string& controller) {
  for (std::string at = own; Exists(at + "/cgroup.subtree_control"); at = Parent(at)) {
    if (access(at.c_str(), W_OK) != 0 || access((at + "/cgroup.procs").c_str(), W_OK) != 0) break;
    if (!HasWord(Read(at + "/cgroup.subtree_control"), controller))
      Write(at + "/cgroup.subtree_control", "+" + controller);
    if (HasWord(Read(at + "/cgroup.subtree_control"), controller)) return at;
  }
  return "";
}

std::string FindBase(const std::string& controller) {
  int version = 0;
  const std::string own = FindCgroup(controller, Read("/proc/self/cgroup"), Read("/proc/self/mountinfo"), &version);
  if (own.empty()) return "";
  if (version == 2) return FindBase(own, controller);
  return access(own.c_str(), W_OK) == 0 ? own : "";
}

}  // namespace

std::string FindCgroup(const std::string& controller, const std::string& cgroups, const std::string& mounts,
                       int* version) {
  // "4:memory:/path", or "0::/path" for version 2.
  std::string path, unified;
  bool found = false;
  for (const std::string& line : Split(cgroups, "\n")) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controllers.empty()) unified = line.substr(second + 1);
    if (HasWord(controllers, controller)) {
      path = line.substr(second + 1);
      found = true;
    }
  }
  *version = found ? 1 : 2;
  if (!found) path = unified;
  if (path.empty()) return "";
  // "36 25 0:30 /root /point options - type source super-options"
  for (const std::string& line : Split(mounts, "\n")) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> fields = Split(line.substr(0, dash), " "), rest = Split(line.substr(dash + 3), " ");
    if (fields.size() < 5 || rest.size() < 3) continue;
    const std::string &root = fields[3], &point = fields[4], &type = rest[0], &options = rest[2];
    if (type != (found ? "cgroup" : "cgroup2") || (found && !HasWord(options, controller))) continue;
    if (root != "/" && path.compare(0, root.size(), root) == 0) path.erase(0, root.size());
    return path == "/" || path.empty() ? point : point + path;
  }
  return "";
}

const std::string& CgroupBase(const std::string& controller) {
  static std::map<std::string, std::string> bases;
  const auto [it, fresh] = bases.emplace(controller, "");
  if (fresh) it->second = FindBase(controller);
  return it->second;
}

std::vector<std::string> MakeCgroups(const Confinement& limits, uint64_t tag, pid_t pid) {
  struct Setting {
    const char* controller;
    int64_t limit;
    const char* file2;
    std::string text2;
    const char* file1;
    std::string text1;
  };
  const std::string quota = std::to_string(std::max<int64_t>(1000, limits.cpu_limit * kPeriodUs / 1000));
  const std::string memory = std::to_string(limits.memory_limit), pids = std::to_string(limits.pids_limit);
  const Setting settings[] = {
      {"memory", limits.memory_limit, "memory.max", memory, "memory.limit_in_bytes", memory},
      {"cpu", limits.cpu_limit, "cpu.max", quota + " " + std::to_string(kPeriodUs), "cpu.cfs_quota_us", quota},
      {"pids", limits.pids_limit, "pids.max", pids, "pids.max", pids}};
  char name[40];
  snprintf(name, sizeof(name), "/wherry-%016llx", static_cast<unsigned long long>(tag));
  std::vector<std::string> made;
  for (const Setting& setting : settings) {
    if (setting.limit <= 0) continue;
    const std::string& base = CgroupBase(setting.controller);
    if (base.empty()) continue;
    const std::string path = base + name;
    const bool fresh = mkdir(path.c_str(), 0755) == 0;
    if (!fresh && errno != EEXIST) continue;
    const bool set =
        Write(path + "/" + setting.file2, setting.text2) || Write(path + "/" + setting.file1, setting.text1);
    if (set && Write(path + "/cgroup.procs", std::to_string(pid))) {
      if (fresh) made.push_back(path);
      if (setting.text2 == memory) Write(path + "/memory.oom.group", "1");
    } else if (fresh) {
      rmdir(path.c_str());
    }
  }
  return made;
}

bool HasMemoryLimit(const std::vector<std::string>& cgroups) {
  return std::any_of(cgroups.begin(), cgroups.end(), [](const std::string& path) {
    return Exists(path + "/memory.max") || Exists(path + "/memory.limit_in_bytes");
  });
}

bool HasPidsLimit(const std::vector<std::string>& cgroups) {
  return std::any_of(cgroups.begin(), cgroups.end(), [](const std::string& path) {
    const std::string most = Read(path + "/pids.max");
    return !most.empty() && most.compare(0, 3, "max") != 0;
  });
}

void JoinCgroups(const std::vector<std::string>& cgroups, pid_t pid) {
  for (const std::string& path : cgroups) Write(path + "/cgroup.procs", std::to_string(pid));
}

int64_t OomKills(const std::vector<std::string>& cgroups) {
  int64_t kills = 0;
  for (const std::string& path : cgroups) {
    kills = std::max(kills, ValueOf(Read(path + "/memory.events"), "oom_kill"));
    kills = std::max(kills, ValueOf(Read(path + "/memory.oom_control"), "oom_kill"));
  }
  return kills;
}

int64_t MemoryInUse(const std::vector<std::string>& cgroups) {
  for (const std::string& path : cgroups) {
    std::string used = Read(path + "/memory.current");
    const bool first = used.empty();
    if (first) used = Read(path + "/memory.usage_in_bytes");
    if (used.empty()) continue;
    const std::string stat = Read(path + "/memory.stat");
    const int64_t idle = ValueOf(stat, first ? "total_inactive_file" : "inactive_file");
    return std::max<int64_t>(0, strtoll(used.c_str(), nullptr, 10) - std::max<int64_t>(0, idle));
  }
  return -1;
}

bool RemoveCgroups(const std::vector<std::string>& cgroups) {
  bool all = true;
  for (const std::string& path : cgroups) all = (rmdir(path.c_str()) == 0 || errno == ENOENT) && all;
  return all;
}

}  // namespace wherry::warden
