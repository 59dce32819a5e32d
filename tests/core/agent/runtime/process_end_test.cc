// A container leaves no process behind, whatever it did to hide one.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <sstream>

#include "tests/core/agent/runtime/process_host.h"

namespace wherry {
namespace {

// The script `body`, in which $P is a file for pids; then it waits until `count` pids are there and runs `end`.
ContainerSpec Leaving(ProcessHost& host, const std::string& id, const std::string& body, int count,
                      const std::string& end) {
  const std::string file = host.dir() + "/" + id + ".pids";
  ContainerSpec spec = host.Shell(id, body + "; while [ $(cat $P 2>/dev/null | wc -l) -lt " + std::to_string(count) +
                                          " ]; do sleep 0.01; done; echo ready; " + end);
  spec.env.emplace_back("P", file);
  return spec;
}

std::vector<int> Pids(ProcessHost& host, const std::string& id) {
  std::vector<int> pids;
  std::istringstream text(host.ReadFile(host.dir() + "/" + id + ".pids"));
  for (int pid = 0; text >> pid;) pids.push_back(pid);
  return pids;
}

bool Ready(ProcessHost& host, const std::string& id) {
  return host.Until([&] { return host.Log(id) == "ready\n"; });
}

bool AnyRuns(const std::vector<int>& pids) { return std::any_of(pids.begin(), pids.end(), ProcessRuns); }

// Double-forks into a session of its own with a cleared environment.
constexpr char kDaemon[] =
    "env -i P=$P setsid /bin/sh -c '(/bin/sh -c \"echo \\$\\$ >> $P; exec env -i sleep 1000\" &)'";

}  // namespace

TEST_CASE("what the first process leaves behind is dead when its end is told") {
  struct Case {
    const char* name;
    std::string script;
    int pids;
    int exit_code;
  };
  const Case cases[] = {
      {"background", "sleep 1000 & echo $! >> $P", 1, 4},
      {"daemon", kDaemon, 1, 5},
      {"stubborn", "sh -c \"trap '' TERM HUP INT; echo \\$\\$ >> $P; while :; do sleep 1; done\" &", 1, 6},
      {"tree", "for i in 1 2 3; do (sleep 1000 & echo $! >> $P; setsid sleep 1000 & echo $! >> $P; wait) & done", 6, 0},
  };
  ProcessHost host;
  for (const Case& c : cases) {
    INFO(c.name);
    std::string script = c.script;
    if (script.back() == '&') script += " true";
    host.Start(Leaving(host, c.name, script, c.pids, "exit " + std::to_string(c.exit_code)));
    CHECK(host.WaitExit(c.name).exit_code == c.exit_code);
    const std::vector<int> pids = Pids(host, c.name);
    CHECK(pids.size() == static_cast<size_t>(c.pids));
    CHECK_FALSE(AnyRuns(pids));
  }
}

TEST_CASE("SIGKILL ends a container with all its daemons, others live on") {
  ProcessHost host;
  host.Start(Leaving(host, "other", kDaemon, 1, "exec sleep 1000"));
  host.Start(Leaving(host, "a", std::string("trap '' TERM; ") + kDaemon, 1, "while :; do sleep 1; done"));
  REQUIRE(Ready(host, "a"));
  REQUIRE(Ready(host, "other"));
  const std::vector<int> pids = Pids(host, "a"), others = Pids(host, "other");
  CHECK(host.Signal("a", SIGTERM).ok());
  CHECK(AnyRuns(pids));
  CHECK(host.Signal("a", SIGKILL).ok());
  CHECK(host.WaitExit("a").signal == SIGKILL);
  CHECK_FALSE(AnyRuns(pids));
  CHECK(AnyRuns(others));
}

TEST_CASE("removing a running container kills it first") {
  ProcessHost host;
  const ContainerState state = host.Start(Leaving(host, "a", kDaemon, 1, "exec sleep 1000"));
  REQUIRE(Ready(host, "a"));
  std::vector<int> pids = Pids(host, "a");
  pids.push_back(state.pid);
  CHECK(host.Remove("a").ok());
  CHECK_FALSE(AnyRuns(pids));
  CHECK_FALSE(host.Find("a").has_value());
}

TEST_CASE("a program that forks as fast as it can is ended") {
  ProcessHost host;
  // Each generation forks the next and exits: a moving target.
  host.Start(host.Shell("a", "n=0; f() { (f &); }; f & while [ $n -lt 100000 ]; do n=$((n+1)); done; exit 0"));
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
