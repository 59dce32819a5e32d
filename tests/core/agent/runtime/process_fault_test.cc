// Programs and machines that misbehave: the container ends or goes on, the others never notice, and nothing is left
// over.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <sstream>

#include "core/agent/warden/cgroups.h"
#include "tests/core/agent/runtime/process_host.h"
#include "tests/support/small_disk.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

// What the warden of `host` holds: descriptors, and children once all containers are gone.
struct Holdings {
  explicit Holdings(ProcessHost& host) : warden(host.runtime().warden_pid()), descriptors(OpenDescriptors(warden)) {}
  int warden, descriptors;
};

bool NothingLeft(ProcessHost& host, const Holdings& before) {
  const std::string pid = std::to_string(before.warden);
  const std::string children = "/proc/" + pid + "/task/" + pid + "/children";
  return host.runtime().warden_pid() == before.warden && host.Until([&] {
    return host.ReadFile(children).empty() && OpenDescriptors(before.warden) == before.descriptors;
  });
}

int GroupCount() {
  int count = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(warden::CgroupBase("pids"), error))
    count += entry.path().filename().string().starts_with("wherry-") ? 1 : 0;
  return count;
}

uint32_t ProcessesOf(ProcessHost& host, const std::string& id) {
  for (const ContainerReading& reading : host.Run<std::vector<ContainerReading>>(host.runtime().Usage())) {
    if (reading.id == id) return reading.processes;
  }
  return 0;
}

// Every process forks, and goes on when it cannot (a shell would end then).
constexpr char kForkBomb[] = "exec perl -e 'while (1) { defined fork or select undef, undef, undef, 0.01 }'";

}  // namespace

TEST_CASE("a fork bomb stays within its limit, where there are control groups") {
  if (warden::CgroupBase("pids").empty()) {
    WARN("SKIPPED: this user has no control groups here");
    return;
  }
  ProcessHost host;
  host.Start(host.Shell("first", "true"));
  host.WaitExit("first");
  const Holdings before(host);
  const int groups = GroupCount();
  ContainerSpec spec = host.Shell("bomb", kForkBomb);
  spec.confinement.pids_limit = 50;
  host.Start(spec);
  REQUIRE(host.Until([&] { return ProcessesOf(host, "bomb") >= 40; }));
  for (int i = 0; i < 20; ++i) {
    CHECK(ProcessesOf(host, "bomb") <= 50);
    const std::string id = "other" + std::to_string(i);
    host.Start(host.Shell(id, "echo $(echo fine)"));  // the others go on
    CHECK(host.WaitExit(id).exit_code == 0);
    CHECK(host.Log(id) == "fine\n");
    CHECK(host.Remove(id).ok());
  }
  CHECK(host.Remove("bomb").ok());
  CHECK(NothingLeft(host, before));
  CHECK(host.Until([&] { return GroupCount() == groups; }));
}

TEST_CASE("without control groups a fork bomb is ended by the warden, and says why") {
  if (Nobody() < 0) {
    WARN("SKIPPED: needs root, to be somebody else");
    return;
  }
  ProcessHost host(Nobody());
  host.Start(host.Shell("first", "true"));
  host.WaitExit("first");
  const Holdings before(host);
  ContainerSpec spec = host.Shell("bomb", "i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i+1)); done; wait");
  spec.confinement.pids_limit = 100;
  ContainerSpec calm = host.Shell("calm", "exec sleep 1000");
  calm.confinement.pids_limit = 100;
  host.Start(spec);
  const int calm_pid = host.Start(calm).pid;
  const ContainerState ended = host.WaitExit("bomb");
  CHECK(ended.exit_code == 137);
  CHECK_FALSE(ended.oom_killed);
  CHECK(ended.killed_for.starts_with("it had "));
  CHECK(ended.killed_for.ends_with(" processes and threads, its limit is 100"));
  CHECK(ProcessRuns(calm_pid));
  CHECK(host.Remove("bomb").ok());
  CHECK(host.Remove("calm").ok());
  CHECK(host.Remove("first").ok());
  CHECK(NothingLeft(host, before));
}

TEST_CASE("an exec counts for its container's limits") {
  if (warden::CgroupBase("pids").empty()) {
    WARN("SKIPPED: this user has no control groups here");
    return;
  }
  ProcessHost host;
  ContainerSpec spec = host.Shell("a", "exec sleep 1000");
  spec.confinement.pids_limit = 20;
  host.Start(spec);
  ExecSpec exec;
  exec.container_id = "a";
  exec.exec_id = "e";
  exec.argv = {"/bin/sh", "-c", "i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done"};
  const auto result = host.Run<Result<ExecResult>>(host.runtime().Exec(std::move(exec)));
  REQUIRE(result.ok());
  CHECK(result->exit_code == 2);  // the shell gives up when it cannot fork
  CHECK(ProcessesOf(host, "a") <= 20);
  CHECK(host.Remove("a").ok());
}

TEST_CASE("zombies, closed descriptors and a blocked SIGTERM leave nothing behind") {
  ProcessHost host;
  host.Start(host.Shell("first", "true"));
  host.WaitExit("first");
  CHECK(host.Remove("first").ok());
  const Holdings before(host);
  const char* const scripts[] = {
      "for i in 1 2 3 4 5 6 7 8 9 10; do (exit 0) & done; exec sleep 1000",          // nobody waits for these
      "exec <&- >&- 2>&-; exec sleep 1000",                                          // no descriptors at all
      "trap '' TERM HUP INT QUIT; while :; do sleep 1000; done",                     // will not go
      "setsid sh -c '(setsid sleep 1000 >/dev/null 2>&1 <&- &) ' ; exec sleep 1000"  // went away from home
  };
  for (const char* script : scripts) {
    INFO(script);
    host.Start(host.Shell("a", script));
    CHECK(host.Signal("a", SIGTERM).ok());
    CHECK(host.Remove("a").ok());
    CHECK_FALSE(host.Find("a").has_value());
    CHECK(NothingLeft(host, before));
  }
}

TEST_CASE("programs that cannot be started leak nothing, however often") {
  ProcessHost host;
  host.Start(host.Shell("first", "true"));
  host.WaitExit("first");
  CHECK(host.Remove("first").ok());
  const Holdings before(host);
  const int groups = GroupCount(), here = OpenDescriptors(getpid());
  for (int i = 0; i < 100; ++i) {
    ContainerSpec spec = host.Shell("a", "");
    spec.argv = {i % 2 == 0 ? "/no/such" : "/etc/passwd"};
    if (i % 3 == 0) spec.working_directory = "/no/dir";
    spec.confinement.pids_limit = 100;
    CHECK(host.StartError(spec).starts_with("RunContainerError: "));
  }
  CHECK(NothingLeft(host, before));
  CHECK(OpenDescriptors(getpid()) == here);
  CHECK(host.Until([&] { return GroupCount() == groups; }));
}

TEST_CASE("a full disk holds up no program, starts none that nobody would know of, and heals") {
  SmallDisk disk("4m");
  if (!disk.ok()) return;
  ProcessHost host;
  const std::string go = "/dev/shm/" + fs::path(host.dir()).filename().string();
  host.Start(host.Shell("talks", "echo before; while [ ! -e " + go +
                                     " ]; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done; "
                                     "while [ ! -e " +
                                     go + ".on ]; do sleep 0.01; done; echo after; exit 3"));
  REQUIRE(host.Until([&] { return host.Log("talks").starts_with("before\n"); }));
  disk.Fill();
  // The journal's last page takes a few more.
  Status refused;
  for (int i = 0; i < 100 && refused.ok(); ++i)
    refused =
        host.Run<Result<ContainerState>>(host.runtime().Start(host.Shell("n" + std::to_string(i), "true"))).status();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.details().causes.at(0).reason == "CreateContainerError");
  CHECK(refused.message().ends_with("No space left on device"));
  CHECK(ProcessRuns(host.Find("talks")->pid));  // and writes on, into nothing
  disk.MakeRoom();
  fclose(fopen(go.c_str(), "w"));
  fclose(fopen((go + ".on").c_str(), "w"));
  CHECK(host.WaitExit("talks").exit_code == 3);
  fs::remove(go);
  fs::remove(go + ".on");
  const std::string log = host.Log("talks");
  CHECK(log.find(" log lines were lost: the log could not be written\n") != std::string::npos);
  CHECK(log.ends_with("after\n"));
  host.Start(host.Shell("new", "true"));
  CHECK(host.WaitExit("new").exit_code == 0);
}

}  // namespace wherry
