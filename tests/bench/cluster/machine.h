#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace wherry::bench {

using Seconds = std::chrono::duration<double>;
using Steady = std::chrono::steady_clock;

// Seconds from `start` to now.
double Since(Steady::time_point start);

// Says why and ends the program: a bench that cannot go on has no figures.
[[noreturn]] void Die(const std::string& why);

std::string ReadFile(const std::string& path);

// CPU seconds of a process so far.
double CpuOf(pid_t pid);
double ResidentMib(pid_t pid);
// The processes whose command line holds `text`.
std::vector<pid_t> ProcessesWith(const std::string& text);

// Starts a program by posix_spawn; argv[0] is its path.
pid_t StartProgram(const std::vector<std::string>& argv);
// The value below which `share` of them lie (0.5 = the median). Not of nothing.
double Quantile(std::vector<double> values, double share);

}  // namespace wherry::bench
