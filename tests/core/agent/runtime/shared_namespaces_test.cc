// What the containers of one pod have together, with real processes: as root, and as an ordinary user.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/core/agent/runtime/process_host.h"

namespace wherry {
namespace {

std::vector<int> Users() {
  std::vector<int> users{-1};
  if (Nobody() >= 0) users.push_back(Nobody());
  return users;
}

bool CanMount() {
  const std::string& why = warden::HostFacilities().no_mounts;
  if (why.empty()) return true;
  WARN("SKIPPED: volumes cannot be mounted here: " << why);
  return false;
}

ContainerSpec Pause(const std::string& id, bool share_pids) {
  ContainerSpec spec;
  spec.id = id;
  spec.argv = {"pause"};
  spec.confinement.sandbox = true;
  spec.confinement.pause = true;
  spec.confinement.hostname = "web-0";
  spec.confinement.host_pid = !share_pids;
  return spec;
}

// A container of the sandbox that shares with others.
ContainerSpec Box(const ProcessHost& host, const std::string& id, const std::string& script, const std::string& shares,
                  const std::string& shares_pids = "") {
  ContainerSpec spec = host.Shell(id, script);
  spec.confinement.sandbox = true;
  spec.confinement.hidden = {host.dir()};
  spec.confinement.shares = shares;
  spec.confinement.shares_pids = shares_pids;
  return spec;
}

std::string Output(ProcessHost& host, ContainerSpec spec) {
  const std::string id = spec.id;
  host.Start(std::move(spec));
  const ContainerState ended = host.WaitExit(id);
  return host.Log(id) + "exit " + std::to_string(ended.exit_code);
}

std::string Exec(ProcessHost& host, const std::string& container, const std::string& script) {
  const std::string path = host.dir() + "/output";
  ExecSpec one;
  one.container_id = container;
  one.exec_id = "e";
  one.argv = {"/bin/sh", "-c", script};
  one.stdio[1] = UniqueFd(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  one.stdio[2] = UniqueFd(dup(one.stdio[1].get()));
  const auto result = host.Run<Result<ExecResult>>(host.runtime().Exec(std::move(one)));
  return result.ok() ? host.ReadFile(path) + "exit " + std::to_string(result->exit_code) : result.status().message();
}

// A process of the machine whose command line contains the text.
int FindProcess(const std::string& text) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "cmdline", std::ios::binary);
    std::string line((std::istreambuf_iterator<char>(file)), {});
    std::replace(line.begin(), line.end(), '\0', ' ');
    if (line.find(text) == 0) return std::stoi(name);
  }
  return 0;
}

const char* kNamespaces = "for n in uts ipc user pid mnt; do readlink /proc/self/ns/$n; done";

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    lines.push_back(text.substr(at, end - at));
  return lines;
}

}  // namespace

TEST_CASE("containers with one pause share what it holds, and nothing else") {
  if (!CanMount()) return;
  for (const int user : Users()) {
    INFO("user " << user);
    ProcessHost host(user);
    const ContainerState pause = host.Start(Pause("p", false));
    CHECK(ProcessRuns(pause.pid));
    host.Start(Box(host, "a", std::string(kNamespaces) + "; hostname; echo $$; exec sleep 1000", "p"));
    REQUIRE(host.Until([&] { return Lines(host.Log("a")).size() == 7; }));
    const auto a = Lines(host.Log("a"));
    CHECK(a[5] == "web-0");
    CHECK(a[6] == "2");  // behind an init of its own
    const auto b = Lines(Output(host, Box(host, "b", std::string(kNamespaces) + "; ps -e -o comm=", "p")));
    REQUIRE(b.size() == 8);
    CHECK(b[0] == a[0]);
    CHECK(b[1] == a[1]);
    CHECK(b[2] == a[2]);
    CHECK(b[3] != a[3]);
    CHECK(b[4] != a[4]);
    // Another pod's are others.
    host.Start(Pause("q", false));
    const auto c = Lines(Output(host, Box(host, "c", kNamespaces, "q")));
    for (const size_t i : {0, 1, 3, 4}) CHECK(c[i] != a[i]);
    CHECK((c[2] != a[2]) == (user >= 0));

    // As for any sandbox: exit codes, signals, orphans, execs.
    CHECK(Output(host, Box(host, "d", "exit 7", "p")) == "exit 7");
    CHECK(Output(host, Box(host, "e", "kill -KILL $$", "p")) == "exit 137");
    host.Start(Box(host, "f",
                   "n=0; trap 'n=$((n+1))' TERM; echo ready; for i in 1 2 3 4 5 6 7 8; do sleep 0.05; done; exit $n",
                   "p"));
    REQUIRE(host.Until([&] { return host.Log("f") == "ready\n"; }));
    CHECK(host.Signal("f", SIGTERM).ok());
    CHECK(host.WaitExit("f").exit_code == 1);  // once
    CHECK(Exec(host, "a", "hostname; cat /proc/1/comm; readlink /proc/self/ns/pid; id -u") ==
          "web-0\nwherry-init\n" + a[3] + "\n0\nexit 0");
    CHECK(host.Signal("a", SIGKILL).ok());
    CHECK(host.WaitExit("a").exit_code == 137);

    // It stays until it is removed, and takes no hint.
    CHECK(host.Signal("p", SIGTERM).ok());
    CHECK(Output(host, Box(host, "g", "exit 3", "p")) == "exit 3");
    CHECK(host.Remove("p").ok());
    CHECK_FALSE(ProcessRuns(pause.pid));
    CHECK(host.StartError(Box(host, "h", "exit 0", "p")) == "CreateContainerError: container \"p\" is not running");
  }
}

TEST_CASE("containers that share processes see each other, and the pause reaps for them") {
  if (!CanMount()) return;
  for (const int user : Users()) {
    INFO("user " << user);
    ProcessHost host(user);
    host.Start(Pause("p", true));
    host.Start(Box(host, "a", "echo $$; exec sleep 1234", "p", "p"));
    REQUIRE(host.Until([&] { return host.Log("a") == "2\n"; }));
    CHECK(Output(host, Box(host, "b", "ps -e -o pid=,comm= > /tmp/ps; sed 's/^ *//' /tmp/ps | grep -v ' ps$'", "p",
                           "p")) == "1 wherry-pause\n2 sleep\n3 sh\nexit 0");
    CHECK(Exec(host, "a", "cat /proc/1/comm; tr '\\0' ' ' < /proc/2/cmdline; echo") ==
          "wherry-pause\nsleep 1234 \nexit 0");
    // What one leaves behind ends with it, not with the pod.
    const std::string left = "sleep 47" + std::to_string(getpid());
    host.Start(Box(
        host, "c",
        "(setsid " + left + " &); sleep 0.1; echo $(ps -e -o ppid=,args= | grep ' " + left + "$' | grep -v sh); exit 5",
        "p", "p"));
    const ContainerState ended = host.WaitExit("c");
    CHECK(ended.exit_code == 5);
    CHECK(host.Log("c") == "1 " + left + "\n");
    CHECK(FindProcess(left) == 0);
    CHECK(host.Find("a")->running);
    // With the pause ends everything that is in it.
    CHECK(host.Signal("p", SIGKILL).ok());
    CHECK(host.WaitExit("a").exit_code == 137);
  }
}

TEST_CASE("a container may join another's processes") {
  if (!CanMount()) return;
  for (const int user : Users()) {
    INFO("user " << user);
    ProcessHost host(user);
    ContainerSpec target = Box(host, "t", "echo secret > /etc/wherry-own; echo ready; exec sleep 1234", "");
    target.confinement.hostname = "web-0";
    host.Start(target);
    REQUIRE(host.Until([&] { return host.Log("t") == "ready\n"; }));
    // As kubectl debug --target: also its files.
    CHECK(Output(host, Box(host, "d",
                           "hostname; cat /proc/1/comm; tr '\\0' ' ' < /proc/2/cmdline; echo; "
                           "test -e /etc/wherry-own || echo own view; cat /proc/2/root/etc/wherry-own",
                           "t", "t")) == "web-0\nwherry-init\nsleep 1234 \nown view\nsecret\nexit 0");
    host.Start(Box(host, "e", "echo ready; exec sleep 1000", "t", "t"));
    REQUIRE(host.Until([&] { return host.Log("e") == "ready\n"; }));
    CHECK(host.Signal("t", SIGKILL).ok());
    CHECK(host.WaitExit("e").exit_code == 137);
    host.WaitExit("t");
    CHECK(host.StartError(Box(host, "f", "exit 0", "t", "t")) ==
          "CreateContainerError: container \"t\" is not running");
  }
}

TEST_CASE("each container is who it should be, though they share a user namespace") {
  if (!CanMount()) return;
  for (const int user : Users()) {
    INFO("user " << user);
    ProcessHost host(user);
    host.Start(Pause("p", true));
    ContainerSpec other =
        Box(host, "a", "id -u; id -g; grep CapEff /proc/self/status; echo ready; exec sleep 1000", "p", "p");
    other.run_as_user = 1234;
    other.run_as_group = 1235;
    host.Start(other);
    REQUIRE(host.Until([&] { return host.Log("a").ends_with("ready\n"); }));
    CHECK(host.Log("a") == "1234\n1235\nCapEff:\t0000000000000000\nready\n");
    CHECK(Exec(host, "a", "id -u; id -g; cat /proc/1/comm") == "1234\n1235\nwherry-pause\nexit 0");
    CHECK(Output(host, Box(host, "b", "id -u; id -g", "p")) == "0\n0\nexit 0");
  }
}

TEST_CASE("binds are steered from shared namespaces too") {
  if (!CanMount()) return;
  for (const int user : Users()) {
    INFO("user " << user);
    ProcessHost host(user);
    host.Start(Pause("p", true));
    for (int i = 1; i <= 3; ++i) {
      ContainerSpec spec =
          Box(host, "c" + std::to_string(i), "exec /usr/bin/python3 -m http.server 18080", "p", i == 1 ? "" : "p");
      spec.bind_address = "127.88.8." + std::to_string(i);
      spec.working_directory = "/tmp";
      if (i == 3) spec.run_as_user = spec.run_as_group = 1234;
      host.Start(spec);
    }
    for (int i = 1; i <= 3; ++i) {
      const std::string address = "127.88.8." + std::to_string(i);
      CHECK(host.Until([&] { return HttpGet(address, 18080).find("200 OK") != std::string::npos; }));
    }
  }
}

TEST_CASE("a pause and those that share with it survive the warden") {
  if (!CanMount()) return;
  for (const int user : Users()) {
    INFO("user " << user);
    ProcessHost host(user);
    const ContainerState pause = host.Start(Pause("p", true));
    const ContainerState a = host.Start(Box(host, "a", "echo ready; exec sleep 1234", "p", "p"));
    REQUIRE(host.Until([&] { return host.Log("a") == "ready\n"; }));
    const int warden = host.runtime().warden_pid();
    kill(warden, SIGKILL);
    REQUIRE(host.Until([&] { return host.runtime().warden_pid() != 0 && host.runtime().warden_pid() != warden; }));
    REQUIRE(host.Find("p").has_value());
    CHECK(host.Find("p")->running);
    CHECK(host.Find("p")->pid == pause.pid);
    CHECK(host.Find("a")->pid == a.pid);
    CHECK(host.StartError(Pause("p", true)) == "CreateContainerError: container \"p\" was started before");
    CHECK(Output(host, Box(host, "b", "cat /proc/1/comm; tr '\\0' ' ' < /proc/2/cmdline; echo", "p", "p")) ==
          "wherry-pause\nsleep 1234 \nexit 0");
    CHECK(Exec(host, "a", "cat /proc/1/comm") == "wherry-pause\nexit 0");
    CHECK(host.Remove("a").ok());
    CHECK_FALSE(ProcessRuns(a.pid));
    CHECK(ProcessRuns(pause.pid));
    CHECK(host.Remove("p").ok());
    CHECK_FALSE(ProcessRuns(pause.pid));
  }
}

}  // namespace wherry
