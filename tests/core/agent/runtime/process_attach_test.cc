// Attaching to containers, with the real warden.
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/core/agent/runtime/process_host.h"

namespace wherry {
namespace {

struct Watcher {
  UniqueFd out, err, in;
  std::string seen, errors;
  bool ended = false;

  void Drain() {
    char buffer[4096];
    ssize_t n = 0;
    while ((n = read(out.get(), buffer, sizeof buffer)) > 0) seen.append(buffer, static_cast<size_t>(n));
    ended = n == 0;
    while (err.valid() && (n = read(err.get(), buffer, sizeof buffer)) > 0)
      errors.append(buffer, static_cast<size_t>(n));
  }
  void Write(const std::string& text) {
    REQUIRE(write(in.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
};

void MakePipe(UniqueFd& ours, UniqueFd& theirs) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  ours.reset(ends[0]);
  theirs.reset(ends[1]);
}

Watcher Attach(ProcessHost& host, const std::string& id) {
  Watcher watcher;
  AttachSpec spec;
  spec.container_id = id;
  MakePipe(watcher.out, spec.out);
  MakePipe(watcher.err, spec.err);
  auto input = host.Run<Result<UniqueFd>>(host.runtime().Attach(std::move(spec)));
  INFO(input.status().message());
  REQUIRE(input.ok());
  watcher.in = std::move(*input);
  return watcher;
}

bool Shows(ProcessHost& host, Watcher& watcher, const std::string& text) {
  return host.Until([&] {
    watcher.Drain();
    return watcher.seen.find(text) != std::string::npos;
  });
}

}  // namespace

TEST_CASE("who attaches sees what comes from then on, and feeds stdin until it is closed") {
  ProcessHost host;
  ContainerSpec spec =
      host.Shell("c", "echo before; while read line; do echo got $line; echo err $line >&2; done; echo bye");
  spec.open_stdin = true;
  host.Start(spec);
  REQUIRE(host.Until([&] { return host.Log("c") == "before\n"; }));
  Watcher first = Attach(host, "c");
  Watcher second = Attach(host, "c");
  first.Write("one\n");
  CHECK(Shows(host, first, "got one\n"));
  CHECK(Shows(host, second, "got one\n"));
  second.in.reset();
  first.Write("two\n");
  CHECK(Shows(host, second, "got two\n"));
  CHECK(host.Find("c")->running);
  first.in.reset();
  CHECK(host.Run<Status>(host.runtime().CloseStdin("c")).ok());
  CHECK(host.WaitExit("c").exit_code == 0);
  CHECK(Shows(host, first, "bye\n"));
  CHECK(host.Until([&] {
    first.Drain();
    return first.ended;
  }));
  CHECK(first.seen == "got one\ngot two\nbye\n");
  CHECK(first.errors == "err one\nerr two\n");
  AttachSpec late;
  late.container_id = "c";
  const auto refused = host.Run<Result<UniqueFd>>(host.runtime().Attach(std::move(late)));
  CHECK_FALSE(refused.ok());
}

TEST_CASE("a container without stdin reads nothing") {
  ProcessHost host;
  host.Start(host.Shell("c", "cat; sleep 1000"));
  Watcher watcher = Attach(host, "c");
  CHECK_FALSE(watcher.in.valid());
}

TEST_CASE("a container with a terminal") {
  ProcessHost host;
  ContainerSpec spec = host.Shell("c", "tty; trap 'stty size' WINCH; while :; do read line && echo got $line; done");
  spec.tty = spec.open_stdin = true;
  host.Start(spec);
  Watcher watcher = Attach(host, "c");
  REQUIRE(host.Until([&] { return host.Log("c").find("/dev/pts/") != std::string::npos; }));
  watcher.Write("hello\n");
  CHECK(Shows(host, watcher, "got hello\r\n"));
  const winsize size{44, 99, 0, 0};
  REQUIRE(ioctl(watcher.in.get(), TIOCSWINSZ, &size) == 0);
  CHECK(Shows(host, watcher, "44 99\r\n"));
  // The log has it too, as stdout.
  CHECK(host.Until([&] { return host.Log("c").find("got hello") != std::string::npos; }));

  // Neither a new warden nor a new server takes the terminal away.
  const int warden = host.runtime().warden_pid();
  kill(warden, SIGKILL);
  Watcher again;
  REQUIRE(host.Until([&] { return host.runtime().warden_pid() != 0 && host.runtime().warden_pid() != warden; }));
  again = Attach(host, "c");
  REQUIRE(again.in.valid());
  again.Write("back\n");
  CHECK(Shows(host, again, "got back\r\n"));
  host.DropServer();
  host.StartServer();
  Watcher third = Attach(host, "c");
  third.Write("third\n");
  CHECK(Shows(host, third, "got third\r\n"));
  third.Write("\x03");
  host.WaitExit("c");
}

TEST_CASE("who does not read holds the program up, and lets it go on by leaving") {
  ProcessHost host;
  host.Start(host.Shell("c", "sleep 0.2; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end"));
  {
    Watcher lazy = Attach(host, "c");
    usleep(600'000);
    CHECK(host.Find("c")->running);
  }
  CHECK(host.WaitExit("c").exit_code == 0);

  // A slow one gets everything.
  host.Start(host.Shell("d", "sleep 0.2; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end"));
  Watcher slow = Attach(host, "d");
  CHECK(Shows(host, slow, "end\n"));
  CHECK(slow.seen.size() == 3000000 + 5);
  CHECK(host.WaitExit("d").exit_code == 0);
}

}  // namespace wherry
