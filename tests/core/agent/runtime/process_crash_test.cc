// The server may die, the warden may die, both may: no program is harmed, nothing runs twice, no end goes unnoticed.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "core/agent/warden/journal.h"
#include "tests/core/agent/runtime/process_host.h"

namespace wherry {
namespace {

void KillWarden(ProcessHost& host) {
  host.Find("-");
  const int warden = host.runtime().warden_pid();
  REQUIRE(warden > 0);
  kill(warden, SIGKILL);
  REQUIRE(host.Until([&] { return !ProcessRuns(warden); }));
}

// A script that says "tick" until <dir>/<name> exists, then exits with the code.
std::string TickUntil(const ProcessHost& host, const std::string& name, int code) {
  return "while [ ! -e " + host.dir() + "/" + name + " ]; do echo tick; sleep 0.01; done; echo end; exit " +
         std::to_string(code);
}

void Touch(const ProcessHost& host, const std::string& name) { fclose(fopen((host.dir() + "/" + name).c_str(), "w")); }

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

TEST_CASE("a new server adopts what runs and learns what ended without it") {
  ProcessHost host;
  const ContainerState stays = host.Start(host.Shell("stays", TickUntil(host, "go", 8)));
  const ContainerState ends = host.Start(host.Shell("ends", TickUntil(host, "end", 5)));
  host.Start(host.Shell("ended-before", "exit 2"));
  host.WaitExit("ended-before");
  const int warden = host.runtime().warden_pid();
  host.DropServer();
  Touch(host, "end");
  REQUIRE(host.Until([&] { return !ProcessRuns(ends.pid); }));

  host.StartServer();
  CHECK(host.WaitExit("ends").exit_code == 5);
  CHECK(host.WaitExit("ended-before").exit_code == 2);
  CHECK(host.runtime().warden_pid() == warden);
  const auto found = host.Find("stays");
  REQUIRE(found.has_value());
  CHECK(found->running);
  CHECK(found->pid == stays.pid);
  CHECK(found->started_at == stays.started_at);
  CHECK(host.StartError(host.Shell("stays", "exit 0")) ==
        "CreateContainerError: container \"stays\" was started before");
  Touch(host, "go");
  CHECK(host.WaitExit("stays").exit_code == 8);
  CHECK(EndsWith(host.Log("stays"), "tick\nend\n"));
}

TEST_CASE("a warden that is killed is replaced; programs and logs go on") {
  ProcessHost host;
  const ContainerState a = host.Start(host.Shell("a", TickUntil(host, "go", 8)));
  host.Start(host.Shell("ended", "exit 2"));
  host.WaitExit("ended");
  KillWarden(host);
  const int first = host.runtime().warden_pid();
  const auto found = host.Find("a");
  REQUIRE(found.has_value());
  CHECK(host.runtime().warden_pid() != first);
  CHECK(found->running);
  CHECK(found->pid == a.pid);
  CHECK(ProcessRuns(a.pid));
  CHECK(host.Find("ended")->exit_code == 2);
  const size_t size = host.Log("a").size();
  CHECK(host.Until([&] { return host.Log("a").size() > size; }));

  Touch(host, "go");
  const ContainerState end = host.WaitExit("a");
  CHECK(end.lost);
  CHECK(end.exit_code == 255);
  CHECK(EndsWith(host.Log("a"), "tick\nend\n"));
  host.Start(host.Shell("b", "exit 1"));
  CHECK(host.WaitExit("b").exit_code == 1);
}

TEST_CASE("a warden that ends again and again is replaced ever more slowly, and works when it lives") {
  ProcessHost host;
  host.Find("-");
  std::set<int> killed;  // a killed one may run for a moment yet
  const auto begin = std::chrono::steady_clock::now();
  host.Until([&] {
    const int warden = host.runtime().warden_pid();
    if (warden > 0 && ProcessRuns(warden)) {
      kill(warden, SIGKILL);
      killed.insert(warden);
    }
    return std::chrono::steady_clock::now() - begin > std::chrono::seconds(2);
  });
  // The first, three that follow at once, then after 0.25 s, 0.5 s, 1 s …
  CHECK(killed.size() >= 2);
  CHECK(killed.size() <= 7);
  host.Start(host.Shell("a", "exit 1"));
  CHECK(host.WaitExit("a").exit_code == 1);
}

TEST_CASE("what ends while there is no warden is lost, and leaves nothing behind") {
  ProcessHost host;
  const ContainerState a = host.Start(host.Shell("a", "setsid sleep 1000 & echo $!; " + TickUntil(host, "go", 8)));
  REQUIRE(host.Until([&] { return host.Log("a").find("tick") != std::string::npos; }));
  const int daemon = std::stoi(host.Log("a"));
  REQUIRE(ProcessRuns(daemon));
  host.Find("-");
  const int warden = host.runtime().warden_pid();
  host.DropServer();  // nobody starts another warden meanwhile
  kill(warden, SIGKILL);
  REQUIRE(host.Until([&] { return !ProcessRuns(warden); }));
  Touch(host, "go");
  REQUIRE(host.Until([&] { return !ProcessRuns(a.pid); }));
  CHECK(ProcessRuns(daemon));

  host.StartServer();
  const ContainerState end = host.WaitExit("a");
  CHECK(end.lost);
  CHECK(end.exit_code == 255);
  CHECK_FALSE(ProcessRuns(daemon));
}

TEST_CASE("an adopted container takes signals") {
  ProcessHost host;
  const ContainerState a =
      host.Start(host.Shell("a", "setsid sleep 1000 & trap '' TERM; echo $!; while :; do sleep 1; done"));
  const ContainerState b = host.Start(host.Shell("b", "echo ready; sleep 1000"));
  REQUIRE(host.Until([&] { return !host.Log("a").empty() && !host.Log("b").empty(); }));
  const int daemon = std::stoi(host.Log("a"));
  KillWarden(host);
  CHECK(host.Signal("b", SIGTERM).ok());
  host.WaitExit("b");
  CHECK(host.Signal("a", SIGTERM).ok());
  CHECK(ProcessRuns(a.pid));
  CHECK(host.Signal("a", SIGKILL).ok());
  host.WaitExit("a");
  CHECK_FALSE(ProcessRuns(a.pid));
  CHECK_FALSE(ProcessRuns(daemon));
  CHECK_FALSE(ProcessRuns(b.pid));
}

TEST_CASE("a program that writes while there is no warden waits, and no line is lost") {
  ProcessHost host;
  // 20,000 lines are more than a pipe holds.
  host.Start(host.Shell("a", "while [ ! -e " + host.dir() + "/go ]; do sleep 0.01; done; seq 20000; exit 3"));
  host.Find("-");
  const int warden = host.runtime().warden_pid();
  host.DropServer();
  kill(warden, SIGKILL);
  REQUIRE(host.Until([&] { return !ProcessRuns(warden); }));
  Touch(host, "go");
  host.StartServer();
  host.WaitExit("a");
  const std::string log = host.Log("a");
  CHECK(std::count(log.begin(), log.end(), '\n') == 20000);
  CHECK(EndsWith(log, "\n20000\n"));
}

TEST_CASE("records of another boot are lost and touch no process") {
  ProcessHost host;
  const ContainerState a = host.Start(host.Shell("a", "exec sleep 1000"));
  host.DropServer();
  ProcessHost other;  // its journal gets a record that names our living process, of an earlier boot
  other.Start(other.Shell("x", "exit 0"));
  other.WaitExit("x");
  CHECK(other.Remove("x").ok());
  const int warden = other.runtime().warden_pid();
  other.DropServer();
  kill(warden, SIGKILL);
  REQUIRE(other.Until([&] { return !ProcessRuns(warden); }));
  std::vector<warden::Record> records;
  warden::Journal journal;
  const int other_directory = open(other.dir().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  std::filesystem::copy_file(host.dir() + "/warden.journal", other.dir() + "/copy");
  std::filesystem::rename(other.dir() + "/copy", other.dir() + "/warden.journal");
  REQUIRE(journal.Open(other_directory, &records) == 0);
  REQUIRE(records.size() == 1);
  records[0].boot_id = "another boot";
  REQUIRE(journal.Put(records[0]) == 0);
  close(other_directory);
  other.StartServer();
  const ContainerState end = other.WaitExit("a");
  CHECK(end.lost);
  CHECK(end.exit_code == 255);
  CHECK(ProcessRuns(a.pid));
}

TEST_CASE("an idle warden ends by itself, and what it knew is not lost") {
  ProcessHost host;
  host.Start(host.Shell("a", "exit 6"));
  host.WaitExit("a");
  const int first = host.runtime().warden_pid();
  host.DropServer();
  kill(first, SIGKILL);  // the first has the usual limit of ten seconds; the next one gets a short one
  REQUIRE(host.Until([&] { return !ProcessRuns(first); }));
  const std::string command =
      host.warden_command().back() + " warden --data-dir " + host.dir() + " --idle-seconds 0.05";
  CHECK(system(command.c_str()) == 0);  // comes back: it has ended
  host.StartServer();
  CHECK(host.WaitExit("a").exit_code == 6);
  CHECK_FALSE(host.exits["a"].lost);
}

TEST_CASE("there is one warden for a directory") {
  ProcessHost host;
  host.Find("-");
  const std::string command = host.warden_command().back() + " warden --data-dir " + host.dir();
  CHECK(system(command.c_str()) == 0);  // at once: another one is there
  const int warden = host.runtime().warden_pid();
  host.DropServer();
  host.StartServer();
  host.Find("-");
  CHECK(host.runtime().warden_pid() == warden);
}

}  // namespace wherry
