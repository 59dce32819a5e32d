// Volumes at their places and the sandbox, with real processes: as root, and as an ordinary user.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/core/agent/runtime/process_host.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

// Root, and a user that is not.
std::vector<int> Users() {
  std::vector<int> users{-1};
  if (Nobody() >= 0) users.push_back(Nobody());
  return users;
}

// False, loudly, where the kernel lets this user have no namespaces: then there is nothing to test.
bool CanMount() {
  const std::string& why = warden::HostFacilities().no_mounts;
  if (why.empty()) return true;
  WARN("SKIPPED: volumes cannot be mounted here: " << why);
  return false;
}

std::set<std::string> Listing(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.insert(entry.path().filename());
  return names;
}

int MountCount() {
  std::ifstream file("/proc/self/mountinfo");
  int count = 0;
  for (std::string line; std::getline(file, line);) ++count;
  return count;
}

// A directory with a file, which the host's user may use.
std::string Volume(const ProcessHost& host, const std::string& name, const std::string& content) {
  const std::string path = host.dir() + "/" + name;
  fs::create_directories(path);
  chmod(path.c_str(), 0777);
  std::ofstream(path + "/file") << content;
  return path;
}

std::string Output(ProcessHost& host, ContainerSpec spec) {
  const std::string id = spec.id;
  host.Start(std::move(spec));
  const ContainerState ended = host.WaitExit(id);
  return host.Log(id) + "exit " + std::to_string(ended.exit_code);
}

}  // namespace

TEST_CASE("volumes are at their mountPath, and the host has nothing of it") {
  if (!CanMount()) return;
  const auto etc = Listing("/etc"), root = Listing("/"), share = Listing("/usr/share");
  const int mounts = MountCount();
  for (const int user : Users()) {
    ProcessHost host(user);
    INFO("user " << user);
    const std::string config = Volume(host, "config", "hello"), data = Volume(host, "data", "data");
    int number = 0;
    for (const bool sandbox : {false, true}) {
      for (const char* target :
           {"/etc/wherry-test/app", "/wherry-test", "/wherry-test/deep/er", "/usr/share/wherry-test/html", "/srv",
            "/opt", "/var/run/wherry-test/secrets", "/var/lib/wherry-test", "/etc/passwd.d"}) {
        INFO(target << (sandbox ? " in the sandbox" : ""));
        ContainerSpec spec =
            host.Shell("c" + std::to_string(number++), "cat " + std::string(target) +
                                                           "/file; echo; ls /etc/passwd /bin/sh; echo x > " + target +
                                                           "/new && rm " + target + "/new && echo written");
        spec.confinement.sandbox = sandbox;
        spec.confinement.mounts = {{config, target, false}};
        CHECK(Output(host, spec) == "hello\n/bin/sh\n/etc/passwd\nwritten\nexit 0");
      }
    }
    // Several at once, one within another, one read-only, one a single file.
    for (const bool sandbox : {false, true}) {
      ContainerSpec spec =
          host.Shell("many" + std::to_string(sandbox),
                     "cat /etc/wherry-a/file /etc/wherry-b/file /etc/wherry-b/sub/file /wherry-file; echo; "
                     "touch /etc/wherry-a/x 2>&1 | grep -o 'Read-only file system'");
      spec.confinement.sandbox = sandbox;
      spec.confinement.mounts = {{config, "/etc/wherry-a", true},
                                 {data, "/etc/wherry-b", false},
                                 {config, "/etc/wherry-b/sub", false},
                                 {config + "/file", "/wherry-file", true}};
      CHECK(Output(host, spec) == "hellodatahellohello\nRead-only file system\nexit 0");
    }
  }
  CHECK(Listing("/etc") == etc);
  CHECK(Listing("/") == root);
  CHECK(Listing("/usr/share") == share);
  CHECK(MountCount() == mounts);
}

TEST_CASE("what is in a directory that got a place stays the real thing") {
  if (!CanMount()) return;
  for (const int user : Users()) {
    ProcessHost host(user);
    const std::string config = Volume(host, "config", "hello"), project = Volume(host, "project", "old");
    fs::create_directories(project + "/sub");
    chmod((project + "/sub").c_str(), 0777);
    chmod((project + "/file").c_str(), 0666);
    ContainerSpec spec = host.Shell(
        "a", "echo new > " + project + "/file; echo s > " + project + "/sub/s; cat " + project + "/config/file");
    spec.confinement.mounts = {{config, project + "/config", false}};
    CHECK(Output(host, spec) == "hello\nexit 0");
    CHECK(host.ReadFile(project + "/file") == "new\n");
    CHECK(host.ReadFile(project + "/sub/s") == "s\n");
    CHECK(Listing(project) == std::set<std::string>{"file", "sub"});
  }
}

TEST_CASE("a file in /dev, which stays what it is") {
  if (!CanMount()) return;
  const auto dev = Listing("/dev");
  const int mounts = MountCount();
  for (const int user : Users()) {
    ProcessHost host(user);
    INFO("user " << user);
    const std::string file = Volume(host, "log", "") + "/file";
    chmod(file.c_str(), 0666);
    ContainerSpec spec =
        host.Shell("a",
                   "echo bye > /dev/termination-log; echo gone > /dev/null; head -c 3 /dev/zero | wc -c; head -c 1 "
                   "/dev/urandom | wc -c; "
                   "echo own > /dev/shm/wherry-own; ls /dev/pts/ptmx; stat -c %F /dev/tty /dev/null; ls -A /dev > " +
                       fs::path(file).parent_path().string() + "/names");
    spec.confinement.mounts = {{file, "/dev/termination-log", false}};
    CHECK(Output(host, spec) == "3\n1\n/dev/pts/ptmx\ncharacter special file\ncharacter special file\nexit 0");
    CHECK(host.ReadFile(file) == "bye\n");
    CHECK(host.ReadFile("/dev/shm/wherry-own") == "own\n");
    fs::remove("/dev/shm/wherry-own");
    std::set<std::string> seen;
    std::ifstream names(fs::path(file).parent_path() / "names");
    for (std::string name; std::getline(names, name);) seen.insert(name);
    CHECK(seen.erase("termination-log") == 1);
    if (user < 0) CHECK(seen == dev);  // an ordinary user misses what is root's
    CHECK(std::includes(dev.begin(), dev.end(), seen.begin(), seen.end()));
  }
  CHECK(Listing("/dev") == dev);
  CHECK(MountCount() == mounts);
}

TEST_CASE("a volume that changes changes for a program that runs") {
  if (!CanMount()) return;
  for (const bool sandbox : {false, true}) {
    ProcessHost host(Nobody());
    const std::string volume = Volume(host, "config", "unused");
    fs::create_directory(volume + "/..1");
    std::ofstream(volume + "/..1/key") << "one";
    fs::create_symlink("..1", volume + "/..data");
    fs::create_symlink("..data/key", volume + "/key");
    ContainerSpec spec = host.Shell(
        "a", "cat /etc/wherry-app/key; echo; while ! grep -q two /etc/wherry-app/key; do sleep 0.01; done; echo seen");
    spec.confinement.sandbox = sandbox;
    spec.confinement.mounts = {{volume, "/etc/wherry-app", true}};
    host.Start(spec);
    REQUIRE(host.Until([&] { return host.Log("a") == "one\n"; }));
    fs::create_directory(volume + "/..2");
    std::ofstream(volume + "/..2/key") << "two";
    fs::create_symlink("..2", volume + "/..data_tmp");
    fs::rename(volume + "/..data_tmp", volume + "/..data");
    fs::remove_all(volume + "/..1");
    CHECK(host.WaitExit("a").exit_code == 0);
    CHECK(host.Log("a") == "one\nseen\n");
  }
}

TEST_CASE("an ordinary user's plain process stays that user, without capabilities") {
  if (!CanMount() || Nobody() < 0) return;
  ProcessHost host(Nobody());
  const std::string config = Volume(host, "config", "hello");
  ContainerSpec spec =
      host.Shell("a", "id -u; id -g; grep -E 'CapEff|CapPrm' /proc/self/status; stat -c %U /etc/passwd");
  spec.confinement.mounts = {{config, "/etc/wherry-test", false}};
  CHECK(Output(host, spec) == "65534\n65534\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nnobody\nexit 0");
}

TEST_CASE("the sandbox: namespaces, a view of the host that forgets, an init that reaps") {
  if (!CanMount()) return;
  for (const int user : Users()) {
    ProcessHost host(user);
    INFO("user " << user);
    const std::string data = Volume(host, "data", "data");
    const auto shell = [&](const std::string& id, const std::string& script) {
      ContainerSpec spec = host.Shell(id, script);
      spec.confinement.sandbox = true;
      spec.confinement.hostname = "web-0";
      spec.confinement.hidden = {host.dir()};
      return spec;
    };
    CHECK(Output(host, shell("a", "id -u; hostname; echo $$; ls -A /tmp /run; test -e " + data + " || echo hidden")) ==
          "0\nweb-0\n2\n/run:\nlock\n\n/tmp:\n" +
              (host.dir().starts_with("/tmp/") ? fs::path(host.dir()).filename().string() + "\n" : std::string()) +
              "hidden\nexit 0");
    // The only processes are its own; orphans are reaped.
    CHECK(Output(host,
                 shell("b", "(sleep 0.05 & ) ; sleep 0.2; ps -e -o comm= > /tmp/ps; sort /tmp/ps | tr '\\n' ' '")) ==
          "ps sh wherry-init \nexit 0");
    // Written everywhere, and gone afterwards.
    CHECK(Output(host,
                 shell("c",
                       "for d in / /etc /usr /var /tmp /run /dev/shm; do echo x > $d/wherry-test || echo no $d; done; "
                       "cat /etc/wherry-test; > /dev/null; ls /dev/pts/ptmx")) == "x\n/dev/pts/ptmx\nexit 0");
    CHECK_FALSE(fs::exists("/etc/wherry-test"));
    CHECK_FALSE(fs::exists("/usr/wherry-test"));
    ContainerSpec read_only =
        shell("d", "echo x 2>&1 > /etc/wherry-test; touch /x /tmp/x; echo y > /data/y && cat /data/y");
    read_only.confinement.read_only_root = true;
    read_only.confinement.mounts = {{data, "/data", false}};
    const std::string refused = Output(host, read_only);
    CHECK(refused.find("Read-only file system") != std::string::npos);
    // What it says on stdout and on stderr is logged in any order.
    CHECK(refused.find("y\n") != std::string::npos);
    CHECK_THAT(refused, Catch::EndsWith("exit 0"));
    CHECK(host.ReadFile(data + "/y") == "y\n");
    // The exit code is the program's, a signal's too; both reach it.
    CHECK(Output(host, shell("e", "exit 7")) == "exit 7");
    CHECK(Output(host, shell("f", "kill -KILL $$")) == "exit 137");
    host.Start(shell("g", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done"));
    REQUIRE(host.Until([&] { return host.Log("g") == "ready\n"; }));
    CHECK(host.Signal("g", SIGTERM).ok());
    CHECK(host.WaitExit("g").exit_code == 5);
    host.Start(shell("h", "trap '' TERM; setsid sleep 1000 & echo ready; sleep 1000"));
    REQUIRE(host.Until([&] { return host.Log("h") == "ready\n"; }));
    CHECK(host.Signal("h", SIGTERM).ok());
    CHECK(host.Signal("h", SIGKILL).ok());
    CHECK(host.WaitExit("h").exit_code == 137);
    // What cannot be made says so.
    ContainerSpec bad = shell("i", "exit 0");
    bad.confinement.mounts = {{data, "/etc/passwd/data", false}};
    CHECK(host.StartError(bad).find("CreateContainerError: sandbox: ") == 0);
    ContainerSpec no_directory = shell("j", "pwd");
    no_directory.working_directory = "/srv/made/here";
    CHECK(Output(host, no_directory) == "/srv/made/here\nexit 0");
    CHECK(host.StartError([&] {
      ContainerSpec spec = shell("k", "");
      spec.argv = {"/no/such/program"};
      return spec;
    }()) == "RunContainerError: exec: \"/no/such/program\": no such file or directory");
  }
}

TEST_CASE("execs join the container: its processes, its files, its user") {
  if (!CanMount()) return;
  for (const int user : Users()) {
    for (const bool sandbox : {false, true}) {
      INFO("user " << user << " sandbox " << sandbox);
      ProcessHost host(user);
      const std::string data = Volume(host, "data", "hello");
      ContainerSpec spec = host.Shell("c", "echo own > /dev/shm/wherry-own; echo ready; exec sleep 1000");
      spec.confinement.sandbox = sandbox;
      spec.confinement.hostname = sandbox ? "web-0" : "";
      spec.confinement.mounts = {{data, "/etc/wherry-app", true}};
      if (user < 0) spec.run_as_user = spec.run_as_group = 1234;
      host.Start(spec);
      REQUIRE(host.Until([&] { return host.Log("c") == "ready\n"; }));
      const auto exec = [&](const std::string& script) {
        const std::string path = host.dir() + "/output";
        ExecSpec one;
        one.container_id = "c";
        one.exec_id = "e";
        one.argv = {"/bin/sh", "-c", script};
        one.stdio[1] = UniqueFd(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
        one.stdio[2] = UniqueFd(dup(one.stdio[1].get()));
        const auto result = host.Run<Result<ExecResult>>(host.runtime().Exec(std::move(one)));
        return result.ok() ? host.ReadFile(path) + "exit " + std::to_string(result->exit_code)
                           : result.status().message();
      };
      const std::string id = user < 0 ? "1234" : sandbox ? "0" : "65534";
      CHECK(exec("cat /etc/wherry-app/file; echo; cat /dev/shm/wherry-own; id -u; exit 3") ==
            "hello\nown\n" + id + "\nexit 3");
      if (sandbox) CHECK(exec("hostname; cat /proc/1/comm; ps -e | grep -c sleep") == "web-0\nwherry-init\n1\nexit 0");
      CHECK(exec("kill -TERM $$") == "exit 143");
      CHECK(host.Signal("c", SIGKILL).ok());
      host.WaitExit("c");
      if (!sandbox) fs::remove("/dev/shm/wherry-own");
    }
  }
}

TEST_CASE("too much memory ends a container, and says so") {
  // Kept by the kernel where there are control groups for us, else by looking.
  for (const int user : Users()) {
    for (const bool sandbox : {false, true}) {
      if (sandbox && !CanMount()) continue;
      INFO("user " << user << " sandbox " << sandbox);
      ProcessHost host(user);
      const std::string eat =
          "exec /usr/bin/python3 -c 'import time\nx = [bytes([i]) * 1000000 for i in range(200)]\ntime.sleep(60)'";
      ContainerSpec spec = host.Shell("fat", eat);
      spec.confinement.memory_limit = 50 << 20;
      spec.confinement.sandbox = sandbox;
      ContainerSpec lean = host.Shell("lean", "kill -KILL $$");
      lean.confinement.memory_limit = 50 << 20;
      host.Start(spec);
      host.Start(lean);
      const ContainerState ended = host.WaitExit("fat");
      CHECK(ended.exit_code == 137);
      CHECK(ended.oom_killed);
      CHECK_FALSE(host.WaitExit("lean").oom_killed);
    }
  }
}

TEST_CASE("what containers take is told, and belongs to the right one") {
  ProcessHost host(Nobody());
  host.Start(host.Shell("busy", "while :; do :; done"));
  host.Start(host.Shell("idle", "exec sleep 1000"));
  std::map<std::string, ContainerReading> usages;
  REQUIRE(host.Until([&] {
    usages.clear();
    for (ContainerReading& usage : host.Run<std::vector<ContainerReading>>(host.runtime().Usage()))
      usages[usage.id] = usage;
    return usages["busy"].cpu > std::chrono::milliseconds(200);
  }));
  CHECK(usages.size() == 2);
  CHECK(usages["idle"].cpu < std::chrono::milliseconds(100));
  CHECK(usages["idle"].processes == 1);
  CHECK(usages["idle"].memory_bytes > 100'000);
  CHECK(usages["busy"].memory_bytes < 100'000'000);
}

TEST_CASE("the default system calls leave programs alone and the machine too") {
  for (const bool sandbox : {false, true}) {
    if (sandbox && !CanMount()) continue;
    ProcessHost host;
    ContainerSpec spec = host.Shell(
        "a",
        "unshare -m true 2>&1; mount -t tmpfs x /srv 2>&1 | head -1; (true & wait) && echo forks; "
        "/usr/bin/python3 -c 'import threading; t = threading.Thread(target=print, args=[\"threads\"]); t.start()'");
    spec.confinement.sandbox = sandbox;
    spec.confinement.default_system_calls = true;
    const std::string output = Output(host, spec);
    INFO(output);
    CHECK(output.find("unshare failed: Operation not permitted") != std::string::npos);
    CHECK(output.find("permission denied") != std::string::npos);
    CHECK(output.find("forks\nthreads\nexit 0") != std::string::npos);
    ContainerSpec dropped = host.Shell("b", "grep CapBnd /proc/self/status; chown 1 /tmp 2>/dev/null || echo no");
    dropped.confinement.limit_capabilities = true;
    if (Nobody() >= 0) CHECK(Output(host, dropped) == "CapBnd:\t0000000000000000\nno\nexit 0");
  }
}

TEST_CASE("binds are steered from within, also after the warden was killed") {
  if (!CanMount()) return;
  const std::string serve =
      "exec /usr/bin/python3 -c 'import http.server,time,os\n"
      "while not os.path.exists(\"/etc/wherry-app/go\"): time.sleep(0.01)\n"
      "http.server.test(http.server.SimpleHTTPRequestHandler, port=18080)'";
  for (const int user : Users()) {
    for (const bool sandbox : {false, true}) {
      INFO("user " << user << " sandbox " << sandbox);
      ProcessHost host(user);
      const std::string volume = Volume(host, "config", "hello");
      for (int i = 1; i <= 2; ++i) {
        ContainerSpec spec = host.Shell("c" + std::to_string(i), serve);
        spec.bind_address = "127.88.7." + std::to_string(i);
        spec.confinement.sandbox = sandbox;
        spec.confinement.mounts = {{volume, "/etc/wherry-app", true}};
        spec.working_directory = "/etc/wherry-app";
        host.Start(spec);
      }
      const int warden = host.runtime().warden_pid();
      kill(warden, SIGKILL);
      REQUIRE(host.Until([&] { return host.runtime().warden_pid() != 0 && host.runtime().warden_pid() != warden; }));
      std::ofstream(volume + "/go") << "go";
      for (int i = 1; i <= 2; ++i) {
        const std::string address = "127.88.7." + std::to_string(i);
        CHECK(host.Until([&] { return HttpGet(address, 18080).find("200 OK") != std::string::npos; }));
      }
      for (int i = 1; i <= 2; ++i) {
        const std::string id = "c" + std::to_string(i);
        CHECK(host.Signal(id, SIGKILL).ok());
        CHECK(host.WaitExit(id).lost);
      }
    }
  }
}

}  // namespace wherry
