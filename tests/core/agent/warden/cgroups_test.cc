#include "core/agent/warden/cgroups.h"

#include <catch2/catch.hpp>

namespace wherry::warden {

TEST_CASE("the control group of this process, by controller") {
  const char* kV1Mounts =
      "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
      "30 1 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "31 1 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
      "32 1 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
  const char* kV1Groups = "8:cpu,cpuacct:/\n4:memory:/a/b\n0::/x\n";
  const char* kV2Mounts = "30 1 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
  const char* kInContainer = "30 1 0:30 /docker/c /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
  struct Case {
    const char* controller;
    const char* groups;
    const char* mounts;
    const char* path;
    int version;
  };
  const Case cases[] = {
      {"memory", kV1Groups, kV1Mounts, "/sys/fs/cgroup/memory/a/b", 1},
      {"cpu", kV1Groups, kV1Mounts, "/sys/fs/cgroup/cpu,cpuacct", 1},
      {"pids", kV1Groups, kV1Mounts, "/sys/fs/cgroup/unified/x", 2},
      {"memory", "0::/user.slice/u.service\n", kV2Mounts, "/sys/fs/cgroup/user.slice/u.service", 2},
      {"memory", "0::/\n", kV2Mounts, "/sys/fs/cgroup", 2},
      {"memory", "4:memory:/docker/c\n", kInContainer, "/sys/fs/cgroup/memory", 1},
      {"memory", "4:memory:/docker/c/d\n", kInContainer, "/sys/fs/cgroup/memory/d", 1},
      {"memory", "", "", "", 2},
      {"memory", "0::/x\n", "1 0 8:1 / / rw - ext4 /dev/sda rw\n", "", 2},
  };
  for (const Case& c : cases) {
    INFO(c.controller << " in " << c.groups);
    int version = 0;
    CHECK(FindCgroup(c.controller, c.groups, c.mounts, &version) == c.path);
    CHECK(version == c.version);
  }
}

}  // namespace wherry::warden
