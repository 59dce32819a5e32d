// Programs that join containers, with the real warden.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <memory>

#include "tests/core/agent/runtime/process_host.h"

namespace wherry {
namespace {

struct Run {
  std::optional<Result<ExecResult>> result;
  UniqueFd in, out, err;  // our ends
  std::string output;

  // Takes what has been written; true at the end of the stream.
  bool Drain() {
    char buffer[4096];
    for (;;) {
      const ssize_t n = read(out.get(), buffer, sizeof(buffer));
      if (n > 0) {
        output.append(buffer, static_cast<size_t>(n));
      } else {
        return n == 0 || errno != EAGAIN;
      }
    }
  }
};

Task<> Finish(Task<Result<ExecResult>> task, std::shared_ptr<Run> run) {
  Result<ExecResult> result = co_await std::move(task);
  run->result.emplace(std::move(result));
}

int next_exec = 0;

std::shared_ptr<Run> StartExec(ProcessHost& host, const std::string& container, std::vector<std::string> argv,
                               const std::string& exec_id = "e" + std::to_string(++next_exec)) {
  auto run = std::make_shared<Run>();
  ExecSpec spec;
  spec.container_id = container;
  spec.exec_id = exec_id;
  spec.argv = std::move(argv);
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  run->out.reset(ends[0]);
  spec.stdio[1].reset(ends[1]);
  spec.stdio[2].reset(fcntl(ends[1], F_DUPFD_CLOEXEC, 3));
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  spec.stdio[0].reset(ends[0]);
  run->in.reset(ends[1]);
  host.Launch(Finish(host.runtime().Exec(std::move(spec)), run));
  return run;
}

std::shared_ptr<Run> Shell(ProcessHost& host, const std::string& container, const std::string& script,
                           const std::string& exec_id = "e" + std::to_string(++next_exec)) {
  return StartExec(host, container, {"sh", "-c", script}, exec_id);
}

// "exit code/signal" or the error.
std::string End(ProcessHost& host, const std::shared_ptr<Run>& run) {
  if (!host.Until([&] { return run->result.has_value(); })) return "does not end";
  run->Drain();
  if (!run->result->ok()) return run->result->status().message();
  return std::to_string((*run->result)->exit_code) + "/" + std::to_string((*run->result)->signal);
}

ContainerSpec Sleeper(ProcessHost& host, const std::string& id) { return host.Shell(id, "exec sleep 1000"); }

}  // namespace

TEST_CASE("an exec runs with its container's environment and tells its end") {
  ProcessHost host;
  ContainerSpec spec = Sleeper(host, "c");
  spec.env.emplace_back("COLOUR", "blue");
  spec.working_directory = host.dir();
  const ContainerState container = host.Start(spec);

  auto run = Shell(host, "c", "echo $COLOUR; pwd; cat; exit 7");
  const std::string text = "through stdin\n";
  REQUIRE(write(run->in.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  run->in.reset();
  CHECK(End(host, run) == "7/0");
  CHECK(run->output == "blue\n" + host.dir() + "\nthrough stdin\n");

  CHECK(End(host, Shell(host, "c", "kill -TERM $$")) == "143/15");
  CHECK(End(host, Shell(host, "c", "exit 0")) == "0/0");
  // Known as part of the container, a session of its own, no new privileges.
  run = Shell(host, "c",
              "grep locks /proc/self/limits; grep locks /proc/" + std::to_string(container.pid) +
                  "/limits; grep NoNewPrivs /proc/self/status; cut -d' ' -f6 /proc/$$/stat; echo $$");
  CHECK(End(host, run) == "0/0");
  std::vector<std::string> lines;
  for (size_t at = 0, end; (end = run->output.find('\n', at)) != std::string::npos; at = end + 1) {
    lines.push_back(run->output.substr(at, end - at));
  }
  REQUIRE(lines.size() == 5);
  CHECK(lines[0] == lines[1]);
  CHECK(lines[2] == "NoNewPrivs:\t1");
  CHECK(lines[3] == lines[4]);
}

TEST_CASE("execs without descriptors do not take those of others") {
  ProcessHost host;
  host.Start(Sleeper(host, "c"));
  std::vector<std::shared_ptr<Run>> runs;
  for (int i = 0; i < 20; ++i) {
    if (i % 2 == 0) {
      runs.push_back(std::make_shared<Run>());
      ExecSpec spec;
      spec.container_id = "c";
      spec.exec_id = "silent" + std::to_string(i);
      spec.argv = {"sh", "-c", "echo lost; read line || exit 9"};
      host.Launch(Finish(host.runtime().Exec(std::move(spec)), runs.back()));
    } else {
      runs.push_back(Shell(host, "c", "echo " + std::to_string(i)));
    }
  }
  for (int i = 0; i < 20; ++i) {
    const auto& run = runs[static_cast<size_t>(i)];
    REQUIRE(host.Until([&] { return run->result.has_value(); }));
    if (i % 2 == 0) {
      CHECK((*run->result)->exit_code == 9);
    } else {
      CHECK(End(host, run) == "0/0");
      CHECK(run->output == std::to_string(i) + "\n");
    }
  }
}

TEST_CASE("an exec that cannot run says why") {
  ProcessHost host;
  host.Start(Sleeper(host, "c"));
  CHECK(End(host, StartExec(host, "c", {"no-such-program"})) ==
        "exec: \"no-such-program\": executable file not found in $PATH");
  CHECK(End(host, StartExec(host, "c", {"/etc/passwd"})) == "exec: \"/etc/passwd\": permission denied");
  CHECK(End(host, StartExec(host, "c", {})) == "no command specified");
  CHECK(End(host, Shell(host, "other", "true")) == "container \"other\" is not running");
  CHECK(host.Signal("c", SIGKILL).ok());
  host.WaitExit("c");
  CHECK(End(host, Shell(host, "c", "true")) == "container \"c\" is not running");
}

TEST_CASE("an exec ends when it is stopped, with its container and with its server") {
  ProcessHost host;
  host.Start(Sleeper(host, "c"));
  const auto pid_of = [&](const std::shared_ptr<Run>& run) {
    host.Until([&] {
      run->Drain();
      return run->output.find('\n') != std::string::npos;
    });
    return std::atoi(run->output.c_str());
  };
  const std::string script = "sleep 1000 & echo $!; wait";

  auto run = Shell(host, "c", script, "one");
  auto other = Shell(host, "c", script, "two");
  int child = pid_of(run);
  const int others_child = pid_of(other);
  REQUIRE(ProcessRuns(child));
  CHECK(host.Run<Status>(host.runtime().StopExec("one")).ok());
  CHECK(End(host, run) == "137/9");
  CHECK(host.Until([&] { return !ProcessRuns(child); }));
  CHECK(ProcessRuns(others_child));
  CHECK(host.Run<Status>(host.runtime().StopExec("one")).ok());

  // Its server goes; the container stays.
  host.DropServer();
  CHECK(End(host, other) == "the process runtime is closed");
  CHECK(host.Until([&] { return !ProcessRuns(others_child); }));
  host.StartServer();
  REQUIRE(host.Find("c"));
  CHECK(host.Find("c")->running);

  run = Shell(host, "c", script);
  child = pid_of(run);
  CHECK(host.Signal("c", SIGKILL).ok());
  CHECK(End(host, run) == "137/9");
  host.WaitExit("c");
  CHECK_FALSE(ProcessRuns(child));
}

TEST_CASE("what an exec leaves behind belongs to the container") {
  ProcessHost host;
  host.Start(Sleeper(host, "c"));
  auto run = Shell(host, "c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!");
  CHECK(End(host, run) == "0/0");
  const int pid = std::atoi(run->output.c_str());
  CHECK(ProcessRuns(pid));
  CHECK(host.Signal("c", SIGKILL).ok());
  host.WaitExit("c");
  CHECK_FALSE(ProcessRuns(pid));
}

TEST_CASE("an exec dies with the warden, and the container takes new ones afterwards") {
  ProcessHost host;
  ContainerSpec spec = Sleeper(host, "c");
  spec.env.emplace_back("COLOUR", "blue");
  host.Start(spec);
  auto run = Shell(host, "c", "echo $$; exec sleep 1000");
  REQUIRE(host.Until([&] {
    run->Drain();
    return !run->output.empty();
  }));
  kill(host.runtime().warden_pid(), SIGKILL);
  CHECK(End(host, run) == "the connection to the warden broke, which ended the program");
  CHECK(host.Until([&] { return !ProcessRuns(std::atoi(run->output.c_str())); }));
  run = Shell(host, "c", "echo $COLOUR");
  CHECK(End(host, run) == "0/0");
  CHECK(run->output == "blue\n");
}

TEST_CASE("an exec with a terminal") {
  ProcessHost host;
  host.Start(Sleeper(host, "c"));
  int master = -1, terminal = -1;
  const winsize size{33, 77, 0, 0};
  REQUIRE(openpty(&master, &terminal, nullptr, nullptr, &size) == 0);
  fcntl(master, F_SETFD, FD_CLOEXEC);
  fcntl(master, F_SETFL, O_NONBLOCK);
  fcntl(terminal, F_SETFD, FD_CLOEXEC);
  auto run = std::make_shared<Run>();
  run->out.reset(master);
  ExecSpec spec;
  spec.container_id = "c";
  spec.exec_id = "tty";
  spec.tty = true;
  spec.argv = {"sh", "-c", "trap 'stty size' WINCH; stty size; tty < /dev/tty; echo $TERM; sleep 1000 & wait; wait"};
  for (int i = 0; i < 3; ++i) spec.stdio[static_cast<size_t>(i)].reset(fcntl(terminal, F_DUPFD_CLOEXEC, 3));
  close(terminal);
  host.Launch(Finish(host.runtime().Exec(std::move(spec)), run));
  const auto shows = [&](const std::string& text) {
    const bool found = host.Until([&] {
      run->Drain();
      return run->output.find(text) != std::string::npos;
    });
    INFO(run->output);
    CHECK(found);
  };
  shows("33 77\r\n/dev/");
  shows("xterm\r\n");
  const winsize larger{44, 99, 0, 0};
  REQUIRE(ioctl(master, TIOCSWINSZ, &larger) == 0);
  shows("44 99\r\n");
  REQUIRE(write(master, "\x03", 1) == 1);
  CHECK(End(host, run) == "130/2");
}

TEST_CASE("a server that an exec is bound in is steered to the pod's address") {
  ProcessHost host;
  ContainerSpec spec = Sleeper(host, "c");
  spec.bind_address = "127.77.9.1";
  host.Start(spec);
  const std::string script =
      "import socket; s = socket.socket(); s.bind(('', 47113)); print(s.getsockname()[0], flush=True)";
  auto run = StartExec(host, "c", {"/usr/bin/python3", "-c", script});
  CHECK(End(host, run) == "0/0");
  CHECK(run->output == "127.77.9.1\n");
}

}  // namespace wherry
