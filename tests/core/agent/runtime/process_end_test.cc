// A container leaves no process behind, whatever it did to hide one.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <sstream>

#include "tests/core/agent/runtime/process_host.h"

namespace wherry {
namespace {

// The numbers the container has printed, once there are `count` of them.
std::vector<int> PidsInLog(ProcessHost& host, const std::string& id, size_t count) {
  std::vector<int> pids;
  REQUIRE(host.Until([&] {
    pids.clear();
    std::istringstream text(host.Log(id));
    for (int pid = 0; text >> pid;) pids.push_back(pid);
    return pids.size() >= count;
  }));
  return pids;
}

bool AnyRuns(const std::vector<int>& pids) {
  return std::any_of(pids.begin(), pids.end(), ProcessRuns);
}

// Double-forks into a session of its own with a cleared environment, and prints its pid.
constexpr char kDaemon[] = "env -i setsid /bin/sh -c '(/bin/sh -c \"echo \\$\\$; exec sleep 1000\" &)' & wait; ";

}  // namespace

TEST_CASE("what the first process leaves behind is dead when its end is told") {
  struct Case {
    const char* name;
    std::string script;
    size_t pids;
    int exit_code;
  };
  const Case cases[] = {
      {"background", "sleep 1000 & echo $!; exit 4", 1, 4},
      {"daemon", std::string(kDaemon) + "exit 5", 1, 5},
      {"stubborn",
       "sh -c \"trap '' TERM HUP INT; echo \\$\\$; while :; do sleep 1; done\" & sleep 0.05; exit 6", 1,
       6},
      {"tree", "for i in 1 2 3; do (sleep 1000 & echo $!; setsid sleep 1000 & echo $!; wait) & done; sleep 0.1; exit 0",
       6, 0},
  };
  ProcessHost host;
  for (const Case& c : cases) {
    INFO(c.name);
    host.Start(host.Shell(c.name, c.script));
    CHECK(host.WaitExit(c.name).exit_code == c.exit_code);
    const std::vector<int> pids = PidsInLog(host, c.name, c.pids);
    CHECK_FALSE(AnyRuns(pids));
  }
}

TEST_CASE("SIGKILL ends a container with all its daemons, others live on") {
  ProcessHost host;
  host.Start(host.Shell("other", std::string(kDaemon) + "exec sleep 1000"));
  host.Start(host.Shell("a", std::string(kDaemon) + "trap '' TERM; while :; do sleep 1; done"));
  const std::vector<int> pids = PidsInLog(host, "a", 1), others = PidsInLog(host, "other", 1);
  CHECK(host.Signal("a", SIGTERM).ok());
  CHECK(AnyRuns(pids));
  CHECK(host.Signal("a", SIGKILL).ok());
  CHECK(host.WaitExit("a").signal == SIGKILL);
  CHECK_FALSE(AnyRuns(pids));
  CHECK(AnyRuns(others));
}

TEST_CASE("removing a running container kills it first") {
  ProcessHost host;
  const ContainerState state = host.Start(host.Shell("a", std::string(kDaemon) + "exec sleep 1000"));
  std::vector<int> pids = PidsInLog(host, "a", 1);
  pids.push_back(state.pid);
  CHECK(host.Remove("a").ok());
  CHECK_FALSE(AnyRuns(pids));
  CHECK_FALSE(host.Find("a").has_value());
}

TEST_CASE("a program that forks as fast as it can is ended") {
  ProcessHost host;
  // Each generation forks the next and exits: a moving target.
  host.Start(host.Shell("a", "echo 1 > /dev/null; f() { (f &) ; }; f & sleep 0.2; echo done; exit 0"));
  CHECK(host.WaitExit("a").exit_code == 0);
  CHECK(host.Remove("a").ok());
}

TEST_CASE("closing stdout and stderr is no end") {
  ProcessHost host;
  host.Start(
      host.Shell("a", "echo before; exec >&- 2>&-; while [ ! -e " + host.dir() + "/go ]; do sleep 0.01; done; exit 9"));
  REQUIRE(host.Until([&] { return host.Log("a") == "before\n"; }));
  fclose(fopen((host.dir() + "/go").c_str(), "w"));
  CHECK(host.WaitExit("a").exit_code == 9);
}

TEST_CASE("stopping the warden kills everything") {
  ProcessHost host;
  const int warden = (host.Find("-"), host.runtime().warden_pid());
  std::vector<int> pids;
  for (int i = 0; i < 10; ++i) {
    pids.push_back(host.Start(host.Shell("c" + std::to_string(i), "trap '' TERM; sleep 1000; true")).pid);
  }
  CHECK(host.Run<Status>(host.runtime().StopWarden()).ok());
  CHECK_FALSE(AnyRuns(pids));
  CHECK(host.Until([&] { return !ProcessRuns(warden); }));
  host.DropServer();
}

TEST_CASE("five hundred ends leak neither descriptors nor processes") {
  ProcessHost host;
  const auto cycle = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const std::string id = "c" + std::to_string(i);
      ContainerSpec spec = host.Shell(id, "exit 0");
      spec.bind_address = "127.77.0.1";
      host.Start(spec);
      host.WaitExit(id);
      CHECK(host.Remove(id).ok());
      host.exits.clear();
    }
  };
  cycle(5);
  const int warden = host.runtime().warden_pid();
  const int before = OpenDescriptors(warden), before_here = OpenDescriptors(getpid());
  cycle(500);
  CHECK(host.runtime().warden_pid() == warden);
  CHECK(OpenDescriptors(warden) == before);
  CHECK(OpenDescriptors(getpid()) == before_here);
  const std::string file = "/proc/" + std::to_string(warden) + "/task/" + std::to_string(warden) + "/children";
  CHECK(host.Until([&] { return host.ReadFile(file).empty(); }));
}

}  // namespace wherry
