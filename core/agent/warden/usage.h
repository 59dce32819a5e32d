#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace wherry::warden {

// What the processes with a tag take, by one look at every process of the machine.
struct TaggedUsage {
  uint64_t cpu_us = 0;        // of those that live, and of the children they waited for
  uint64_t memory_bytes = 0;  // resident
  uint32_t processes = 0;
  uint32_t threads = 0;  // of all of them
  std::vector<int> pids;
};
std::unordered_map<uint64_t, TaggedUsage> LookAtTags();
// How many processes and threads the machine has: a small file. 0 = not known.
uint64_t TasksOfMachine();
// The same memory with shared pages counted by halves, thirds …: dearer, and fairer to programs that fork.
uint64_t ProportionalMemory(const std::vector<int>& pids);

}  // namespace wherry::warden
