#include "core/agent/warden/limits_watch.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "core/agent/warden/micros.h"
#include "core/agent/warden/process_tree.h"

namespace wherry::warden {
namespace {

// A tagged process with children and memory of its own, until it goes out of scope.
class Tagged {
 public:
  Tagged(int children, size_t memory) {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    pid_ = fork();
    if (pid_ == 0) Live(children, memory, ready[1]);
    close(ready[1]);
    char byte = 0;
    REQUIRE(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
  }
  ~Tagged() {
    KillMembers({pid_});
    waitpid(pid_, nullptr, 0);
  }
  Tagged(const Tagged&) = delete;
  Tagged& operator=(const Tagged&) = delete;

  const uint64_t tag = NewTag();

 private:
  [[noreturn]] void Live(int children, size_t memory, int ready) const {
    TagSelf(tag);
    if (memory > 0) {
      void* pages = mmap(nullptr, memory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (pages != MAP_FAILED) std::memset(pages, 1, memory);
    }
    bool first = true;
    for (int i = 0; i < children && first; ++i) first = fork() != 0;
    if (first && write(ready, "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  pid_t pid_ = -1;
};

Confinement Limits(int64_t memory, int64_t pids) {
  Confinement limits;
  limits.memory_limit = memory;
  limits.pids_limit = pids;
  return limits;
}

TEST_CASE("who is within its limits or has none is not looked for") {
  LimitsWatch watch;
  CHECK(watch.due_us() == INT64_MAX);
  watch.Add(1, 7, Limits(0, 0), {});
  CHECK(watch.due_us() == INT64_MAX);

  const Tagged calm(1, 0);
  watch.Add(2, calm.tag, Limits(int64_t{1} << 30, 50), {});
  CHECK(watch.due_us() > MonotonicMicros());
  CHECK(watch.due_us() <= MonotonicMicros() + 1'000'000);
  CHECK(watch.Look().empty());
  watch.Remove(2);
  watch.Remove(2);
  CHECK(watch.due_us() == INT64_MAX);
}

TEST_CASE("too many processes are found and counted") {
  const Tagged busy(4, 0), calm(0, 0);
  LimitsWatch watch;
  watch.Add(1, calm.tag, Limits(0, 2), {});
  watch.Add(2, busy.tag, Limits(0, 2), {});
  const std::vector<LimitsWatch::Excess> found = watch.Look();
  REQUIRE(found.size() == 1);
  CHECK(found[0].serial == 2);
  CHECK_FALSE(found[0].out_of_memory);
  CHECK(found[0].pids.find("its limit is 2") != std::string::npos);
  watch.Remove(2);
  CHECK(watch.Look().empty());
}

TEST_CASE("too much memory is found") {
  constexpr int64_t kMiB = 1 << 20;
  const Tagged large(0, 64 * kMiB), small(0, 0);
  LimitsWatch watch;
  watch.Add(1, large.tag, Limits(32 * kMiB, 0), {});
  watch.Add(2, small.tag, Limits(256 * kMiB, 0), {});
  const std::vector<LimitsWatch::Excess> found = watch.Look();
  REQUIRE(found.size() == 1);
  CHECK(found[0].serial == 1);
  CHECK(found[0].out_of_memory);
  CHECK(found[0].pids.empty());
}

}  // namespace
}  // namespace wherry::warden
