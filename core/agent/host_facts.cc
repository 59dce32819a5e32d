// What the node agents read of the machine.
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/agent/node_status.h"

namespace wherry {
namespace {

std::string FirstLine(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// A line "Name:   123 kB" of /proc/meminfo, in bytes; 0 when absent.
int64_t MemInfo(const std::string& name) {
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word) {
    int64_t kilobytes = 0;
    if (word == name + ":" && file >> kilobytes) return kilobytes * 1024;
    file.ignore(4096, '\n');
  }
  return 0;
}

std::string PrettyName() {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    constexpr std::string_view kKey = "PRETTY_NAME=";
    if (!line.starts_with(kKey)) continue;
    std::string value = line.substr(kKey.size());
    std::erase(value, '"');
    return value;
  }
  return "Linux";
}

std::string GoArchitecture(const std::string& machine) {
  static constexpr std::pair<const char*, const char*> kNames[] = {
      {"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "arm"}, {"i686", "386"}, {"ppc64le", "ppc64le"}};
  for (const auto& [uname, go] : kNames) {
    if (machine == uname) return go;
  }
  return machine;
}

// The directory or the nearest parent that exists.
std::string Existing(const std::string& directory) {
  std::filesystem::path path = directory.empty() ? "/" : directory;
  std::error_code error;
  while (!std::filesystem::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  return path.empty() ? "." : path.string();
}

}  // namespace

HostFacts ReadHostFacts(const std::string& data_dir) {
  HostFacts facts;
  facts.cpus = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  facts.memory_bytes = MemInfo("MemTotal");
  struct statvfs disk {};
  if (statvfs(Existing(data_dir).c_str(), &disk) == 0)
    facts.storage_bytes = static_cast<int64_t>(disk.f_blocks * disk.f_frsize);
  facts.machine_id = FirstLine("/etc/machine-id");
  facts.boot_id = FirstLine("/proc/sys/kernel/random/boot_id");
  if (facts.machine_id.empty()) facts.machine_id = "0";
  utsname name{};
  uname(&name);
  facts.kernel_version = name.release;
  facts.architecture = GoArchitecture(name.machine);
  facts.os_image = PrettyName();
  return facts;
}

SignalReadings ReadMachineSignals(const std::string& data_dir) {
  SignalReadings readings;
  const auto put = [&](PressureSignal signal, int64_t available, int64_t capacity) {
    if (capacity > 0) readings[static_cast<size_t>(signal)] = {available, capacity};
  };
  put(PressureSignal::kMemoryAvailable, MemInfo("MemAvailable"), MemInfo("MemTotal"));
  struct statvfs disk {};
  if (statvfs(Existing(data_dir).c_str(), &disk) == 0) {
    put(PressureSignal::kNodefsAvailable, static_cast<int64_t>(disk.f_bavail * disk.f_frsize),
        static_cast<int64_t>(disk.f_blocks * disk.f_frsize));
    // Some file systems make inodes as they need them, and say 0.
    put(PressureSignal::kNodefsInodesFree, static_cast<int64_t>(disk.f_favail), static_cast<int64_t>(disk.f_files));
  }
  // "0.12 0.10 0.09 3/1234 5678": tasks running/existing. Both limits hold.
  const std::string load = FirstLine("/proc/loadavg");
  const size_t slash = load.find('/');
  const int64_t most = std::min(std::atoll(FirstLine("/proc/sys/kernel/pid_max").c_str()),
                                std::atoll(FirstLine("/proc/sys/kernel/threads-max").c_str()));
  if (slash != std::string::npos && most > 0)
    put(PressureSignal::kPidAvailable, std::max<int64_t>(0, most - std::atoll(load.c_str() + slash + 1)), most);
  return readings;
}

}  // namespace wherry
