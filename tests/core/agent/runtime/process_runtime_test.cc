#include "core/agent/runtime/process_runtime.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "tests/core/agent/runtime/process_host.h"

namespace wherry {

TEST_CASE("a container runs and its end is told") {
  ProcessHost host;
  const ContainerState started = host.Start(host.Shell("a", "echo hello; echo oops >&2; exit 3"));
  CHECK(started.running);
  CHECK(started.pid > 0);
  const ContainerState ended = host.WaitExit("a");
  CHECK_FALSE(ended.running);
  CHECK(ended.exit_code == 3);
  CHECK(ended.signal == 0);
  CHECK_FALSE(ended.lost);
  CHECK(ended.pid == started.pid);
  CHECK(ended.finished_at >= ended.started_at);
  const std::string log = host.ReadFile(host.dir() + "/a.log");
  CHECK(log.find("Z stdout F hello\n") != std::string::npos);
  CHECK(log.find("Z stderr F oops\n") != std::string::npos);
  CHECK(host.exit_calls == 1);
}

TEST_CASE("an id is started once, until it is removed") {
  ProcessHost host;
  host.Start(host.Shell("a", "exit 0"));
  CHECK(host.StartError(host.Shell("a", "exit 0")) == "CreateContainerError: container \"a\" was started before");
  host.WaitExit("a");
  CHECK(host.StartError(host.Shell("a", "exit 0")) == "CreateContainerError: container \"a\" was started before");
  REQUIRE(host.Find("a").has_value());
  CHECK(host.Remove("a").ok());
  CHECK_FALSE(host.Find("a").has_value());
  CHECK(host.Remove("a").ok());
  host.Start(host.Shell("a", "exit 0"));
}

TEST_CASE("signals") {
  struct Case {
    const char* script;
    int signal;
    int exit_code;
    int ended_by;
  };
  const Case cases[] = {
      {"echo ready; exec sleep 1000", SIGTERM, 143, SIGTERM},
      {"trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done", SIGTERM, 7, 0},
      {"trap '' TERM; echo ready; while :; do sleep 1; done", SIGKILL, 137, SIGKILL},
      {"echo ready; exec sleep 1000", SIGINT, 130, SIGINT},
      {"kill -SEGV $$", 0, 139, SIGSEGV},
  };
  ProcessHost host;
  int number = 0;
  for (const Case& c : cases) {
    const std::string id = "c" + std::to_string(number++);
    INFO(c.script);
    host.Start(host.Shell(id, c.script));
    if (c.signal != 0) {
      REQUIRE(host.Until([&] { return host.Log(id) == "ready\n"; }));
      CHECK(host.Signal(id, c.signal).ok());
    }
    const ContainerState ended = host.WaitExit(id);
    CHECK(ended.exit_code == c.exit_code);
    CHECK(ended.signal == c.ended_by);
    CHECK(host.Signal(id, SIGTERM).ok());  // it has ended already
  }
  CHECK(host.Signal("unknown", SIGTERM).message() == "container \"unknown\" not found");
}

TEST_CASE("a program that does not start says why, and leaves its id free") {
  ProcessHost host;
  const std::string file = host.dir() + "/not-executable";
  const std::string script = host.dir() + "/bad-interpreter";
  fclose(fopen(file.c_str(), "w"));
  FILE* out = fopen(script.c_str(), "w");
  fputs("#!/no/such/shell\n", out);
  fclose(out);
  chmod(script.c_str(), 0755);
  struct Case {
    std::vector<std::string> argv;
    std::string directory;
    std::string expected;
  };
  const Case cases[] = {
      {{"nginxx"}, "/", "RunContainerError: exec: \"nginxx\": executable file not found in $PATH"},
      {{"/no/such"}, "/", "RunContainerError: exec: \"/no/such\": no such file or directory"},
      {{file}, "/", "RunContainerError: exec: \"" + file + "\": permission denied"},
      {{"/"}, "/", "RunContainerError: exec: \"/\": permission denied"},
      {{script},
       "/",
       "RunContainerError: exec: \"" + script + "\": its interpreter was not found: no such file or directory"},
      {{"true"}, "/no/dir", "RunContainerError: chdir to working directory \"/no/dir\": no such file or directory"},
      {{}, "/", "CreateContainerError: no command specified"},
      {{""}, "/", "CreateContainerError: no command specified"},
      {{std::string("a\0b", 3)},
       "/",
       "CreateContainerError: the command, its environment and its paths may not contain a NUL"},
  };
  for (const Case& c : cases) {
    ContainerSpec spec = host.Shell("a", "");
    spec.argv = c.argv;
    spec.working_directory = c.directory;
    CHECK(host.StartError(spec) == c.expected);
  }
  CHECK_FALSE(host.Find("a").has_value());
  CHECK(host.Run<std::vector<ContainerState>>(host.runtime().List()).empty());
  ContainerSpec spec = host.Shell("a", "");
  spec.log_path = "/proc/no/log";
  CHECK(host.StartError(spec) == "CreateContainerError: log \"/proc/no/log\": No such file or directory");
  host.Start(host.Shell("a", "exit 0"));
  CHECK(host.WaitExit("a").exit_code == 0);
  CHECK(host.exit_calls == 1);
}

TEST_CASE("what a program is given: exactly its environment, no descriptors, no signals, its directory") {
  ProcessHost host;
  ContainerSpec spec = host.Shell("a",
                                  "env; pwd; umask; ls /proc/self/fd | wc -l; readlink /proc/self/fd/0;"
                                  "grep -E '^(SigBlk|SigIgn|NoNewPrivs)' /proc/self/status; ulimit -n");
  spec.env = {{"PATH", "/usr/bin:/bin"}, {"A", "1=2 three"}};
  spec.working_directory = "/usr";
  spec.argv[0] = "sh";
  host.Start(spec);
  CHECK(host.WaitExit("a").exit_code == 0);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  CHECK(host.Log("a") ==
        "A=1=2 three\nPATH=/usr/bin:/bin\nPWD=/usr\n/usr\n0022\n4\n/dev/null\nSigBlk:\t0000000000000000\n"
        "SigIgn:\t0000000000000000\nNoNewPrivs:\t1\n" +
            std::to_string(files.rlim_cur) + "\n");
}

TEST_CASE("a flood of output is rotated away and grows no memory") {
  ProcessHost host;
  const auto peak_kb = [&] {
    const std::string status = host.ReadFile("/proc/" + std::to_string(host.runtime().warden_pid()) + "/status");
    return std::stol(status.substr(status.find("VmHWM:") + 6));
  };
  host.Start(host.Shell("small", "echo x"));
  host.WaitExit("small");
  const long before = peak_kb();
  ContainerSpec spec = host.Shell("a", "yes 'twenty-nine bytes in a line.' | head -c 50000000; echo; echo last");
  spec.log_max_bytes = 1 << 20;
  spec.log_max_files = 3;
  host.Start(spec);
  host.Start(host.Shell("b", "echo meanwhile"));  // does not wait for the flood to end
  host.WaitExit("b");
  host.WaitExit("a");
  CHECK(peak_kb() - before < 2048);
  const std::string log = host.ReadFile(spec.log_path);
  CHECK(log.size() <= (1 << 20));
  CHECK(log.substr(log.size() - 5) == "last\n");
  CHECK(host.ReadFile(spec.log_path + ".1").size() <= (1 << 20));
  CHECK(host.ReadFile(spec.log_path + ".2").size() > (1 << 19));
  CHECK(host.ReadFile(spec.log_path + ".3").empty());
}

TEST_CASE("many containers at once") {
  ProcessHost host;
  for (int i = 0; i < 40; ++i) host.Start(host.Shell("c" + std::to_string(i), "exit " + std::to_string(i)));
  for (int i = 0; i < 40; ++i) CHECK(host.WaitExit("c" + std::to_string(i)).exit_code == i);
}

}  // namespace wherry
