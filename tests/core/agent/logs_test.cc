#include "core/agent/logs.h"

#include <unistd.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace wherry {
namespace {

namespace fs = std::filesystem;

struct Logs {
  Logs() {
    std::string pattern = (fs::temp_directory_path() / "wherry-logs-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    directory = pattern;
    path = (directory / "0.log").string();
  }
  ~Logs() { fs::remove_all(directory); }

  void Append(const std::string& file, const std::string& text) { std::ofstream(file, std::ios::app) << text; }
  void Line(const std::string& file, int second, const std::string& text, const char* stream = "stdout",
            const char* tag = "F") {
    char head[64];
    std::snprintf(head, sizeof head, "2023-11-14T22:13:%02d.123456789Z %s %s ", second, stream, tag);
    Append(file, head + text + "\n");
  }
  void Settle() {
    do {
      io.restart();
      while (io.poll() > 0) {
      }
    } while (clock.FireNext(Duration::zero()));
  }
  std::string ReadAll(LogOptions options) {
    LogStream stream(clock, path, std::move(options), [] { return true; });
    std::string all;
    bool done = false;
    asio::co_spawn(io, Drain(stream, &all, &done), asio::detached);
    Settle();
    CHECK(done);
    return all;
  }
  static Task<> Drain(LogStream& stream, std::string* all, bool* done) {
    for (;;) {
      const std::string piece = co_await stream.Next();
      if (piece.empty()) break;
      *all += piece;
    }
    *done = true;
  }

  fs::path directory;
  std::string path;
  ManualClock clock;
  asio::io_context io;
};

}  // namespace

TEST_CASE("every option of a log") {
  Logs logs;
  logs.Line(logs.path + ".2", 1, "one");
  logs.Line(logs.path + ".1", 2, "two");
  logs.Line(logs.path + ".1", 3, "oops", "stderr");
  logs.Line(logs.path, 4, "long ", "stdout", "P");
  logs.Line(logs.path, 4, "line");
  logs.Line(logs.path, 5, "");
  logs.Line(logs.path, 6, "end");
  const auto with = [&](auto change) {
    LogOptions options;
    change(options);
    return logs.ReadAll(options);
  };
  CHECK(with([](auto&) {}) == "one\ntwo\noops\nlong line\n\nend\n");
  CHECK(with([](auto& o) { o.tail_lines = 0; }) == "");
  CHECK(with([](auto& o) { o.tail_lines = 1; }) == "end\n");
  CHECK(with([](auto& o) { o.tail_lines = 3; }) == "long line\n\nend\n");
  CHECK(with([](auto& o) { o.tail_lines = 5; }) == "two\noops\nlong line\n\nend\n");
  CHECK(with([](auto& o) { o.tail_lines = 100; }) == "one\ntwo\noops\nlong line\n\nend\n");
  CHECK(with([](auto& o) { o.limit_bytes = 6; }) == "one\ntw");
  CHECK(with([](auto& o) { o.stream = "Stderr"; }) == "oops\n");
  CHECK(with([](auto& o) { o.stream = "Stdout", o.tail_lines = 4; }) == "two\nlong line\n\nend\n");
  CHECK(with([](auto& o) { o.timestamps = true, o.tail_lines = 3; }) ==
        "2023-11-14T22:13:04.123456789Z long line\n2023-11-14T22:13:05.123456789Z \n2023-11-14T22:13:06.123456789Z "
        "end\n");
  CHECK(with([](auto& o) {
          Time since;
          REQUIRE(ParseTime("2023-11-14T22:13:05Z", &since));
          o.since_time = since;
        }) == "\nend\n");
  CHECK(with([](auto& o) { o.since_seconds = 15; }) == "\nend\n");  // the clock stands at 22:13:20
}

TEST_CASE("a large log is read in pieces, from either end") {
  Logs logs;
  std::string expected;
  std::string tail;
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = "line " + std::to_string(i) + " " + std::string(static_cast<size_t>(i % 90), 'x');
    logs.Line(i < 12'000 ? logs.path + ".1" : logs.path, i % 60, text);
    expected += text + "\n";
    if (i >= 5'000) tail += text + "\n";
  }
  CHECK(logs.ReadAll({}) == expected);
  LogOptions options;
  options.tail_lines = 15'000;
  CHECK(logs.ReadAll(options) == tail);
}

TEST_CASE("following ends with the container and survives rotation") {
  Logs logs;
  logs.Line(logs.path, 1, "first");
  bool ended = false, done = false;
  std::string all;
  LogOptions options;
  options.follow = true;
  LogStream stream(logs.clock, logs.path, options, [&] { return ended; });
  asio::co_spawn(logs.io, Logs::Drain(stream, &all, &done), asio::detached);
  const auto wait = [&] {
    logs.Settle();
    logs.clock.FireNext(std::chrono::seconds(1));
    logs.Settle();
  };
  wait();
  CHECK(all == "first\n");
  logs.Append(logs.path, "2023-11-14T22:13:02Z stdout F half");
  wait();
  CHECK(all == "first\n");
  logs.Append(logs.path, " and half\n");
  wait();
  CHECK(all == "first\nhalf and half\n");
  logs.Line(logs.path, 3, "before");
  fs::rename(logs.path, logs.path + ".1");
  logs.Line(logs.path, 4, "after");
  wait();
  CHECK(all == "first\nhalf and half\nbefore\nafter\n");
  CHECK_FALSE(done);
  logs.Line(logs.path, 5, "last");
  ended = true;
  wait();
  CHECK(all == "first\nhalf and half\nbefore\nafter\nlast\n");
  CHECK(done);
}

TEST_CASE("a log that is not there yet") {
  Logs logs;
  CHECK(logs.ReadAll({}) == "");
}

TEST_CASE("which log is meant") {
  const auto pod = [](const char* spec, const char* status) {
    return Json{{"metadata", {{"name", "p"}}}, {"spec", Json::parse(spec)}, {"status", Json::parse(status)}};
  };
  const char* two = R"({"nodeName":"n","containers":[{"name":"a"},{"name":"b"}],"initContainers":[{"name":"i"}]})";
  const char* one = R"({"nodeName":"n","containers":[{"name":"a"}]})";
  struct Row {
    Json pod;
    const char* container;
    bool previous;
    const char* error;  // or null
    int attempt;
  };
  const char* running =
      R"({"containerStatuses":[{"name":"a","containerID":"wherry://u/a/3","state":{"running":{}},"lastState":{"terminated":{"containerID":"wherry://u/a/2"}}}]})";
  const char* backoff =
      R"({"containerStatuses":[{"name":"a","containerID":"wherry://u/a/3","state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"containerID":"wherry://u/a/3"}}}]})";
  const char* waiting =
      R"({"containerStatuses":[{"name":"a","state":{"waiting":{"reason":"ContainerCreating"}},"lastState":{}}]})";
  const Row rows[] = {
      {pod(two, "{}"), "", false,
       "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]", 0},
      {pod(one, "{}"), "z", false, "container z is not valid for pod p", 0},
      {pod(one, running), "", false, nullptr, 3},
      {pod(one, running), "a", true, nullptr, 2},
      {pod(one, backoff), "a", false, nullptr, 3},
      {pod(one, backoff), "a", true, nullptr, 3},
      {pod(one, waiting), "a", false, "container \"a\" in pod \"p\" is waiting to start: ContainerCreating", 0},
      {pod(one, waiting), "a", true, "previous terminated container \"a\" in pod \"p\" not found", 0},
      {pod(R"({"containers":[{"name":"a"}]})", "{}"), "a", false, nullptr, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.pod.dump(), row.container, row.previous);
    Result<LogTarget> target = FindLog(row.pod, row.container, row.previous);
    CHECK(target.ok() == (row.error == nullptr));
    if (row.error) CHECK(target.status().message() == row.error);
    if (target.ok()) CHECK(target->attempt == row.attempt);
  }
}

}  // namespace wherry
