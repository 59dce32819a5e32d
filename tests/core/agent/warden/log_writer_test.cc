#include "core/agent/warden/log_writer.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

namespace wherry::warden {
namespace {

namespace fs = std::filesystem;

struct Directory {
  Directory() {
    std::string name = (fs::temp_directory_path() / "wherry-log-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Directory() { fs::remove_all(path); }
  std::string Read(const std::string& name) const {
    std::ifstream file(path + "/" + name);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // The lines without their stamps.
  std::string Lines(const std::string& name) const {
    std::istringstream lines(Read(name));
    std::string line, text;
    while (std::getline(lines, line)) text += line.substr(line.find(' ') + 1) + "\n";
    return text;
  }
  std::string path;
};

}  // namespace

TEST_CASE("lines are stamped and tagged") {
  Directory dir;
  LogWriter log;
  REQUIRE(log.Open(dir.path + "/sub/dir/log", 0, 1) == 0);
  log.Append(Stream::kStdout, "one\ntw");
  log.Append(Stream::kStderr, "err\n\n");
  log.Append(Stream::kStdout, "o\nlast");
  CHECK(dir.Lines("sub/dir/log") == "stdout F one\nstderr F err\nstderr F \nstdout F two\n");
  log.Finish();
  CHECK(dir.Lines("sub/dir/log") == "stdout F one\nstderr F err\nstderr F \nstdout F two\nstdout F last\n");
  const std::string text = dir.Read("sub/dir/log");
  CHECK(std::regex_match(text.substr(0, text.find('\n')),
                         std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F one)")));
}

TEST_CASE("long lines are cut into parts") {
  const size_t max = LogWriter::kMaxLine;
  const auto part = [](char tag, size_t size) {
    return std::string("stdout ") + tag + " " + std::string(size, 'x') + "\n";
  };
  struct Case {
    size_t length;
    std::string expected;
  };
  const Case cases[] = {
      {max - 1, part('F', max - 1)},
      {max, part('F', max)},
      {max + 1, part('P', max) + part('F', 1)},
      {2 * max, part('P', max) + part('F', max)},
      {2 * max + 5, part('P', max) + part('P', max) + part('F', 5)},
  };
  for (const Case& c : cases) {
    for (size_t step : {size_t{1000}, max, size_t{1} << 20}) {
      Directory dir;
      LogWriter log;
      REQUIRE(log.Open(dir.path + "/log", 0, 1) == 0);
      const std::string data = std::string(c.length, 'x') + "\n";
      for (size_t at = 0; at < data.size(); at += step)
        log.Append(Stream::kStdout, std::string_view(data).substr(at, step));
      log.Finish();
      INFO(c.length << " in steps of " << step);
      CHECK((dir.Lines("log") == c.expected));
    }
  }
}

TEST_CASE("files are rotated at the size, whole lines in each, and only so many kept") {
  Directory dir;
  LogWriter log;
  REQUIRE(log.Open(dir.path + "/log", 1000, 3) == 0);
  std::string data;
  for (int i = 100; i < 200; ++i) data += "line " + std::to_string(i) + "\n";
  log.Append(Stream::kStdout, data);
  const std::string text = dir.Read("log.2") + dir.Read("log.1") + dir.Read("log");
  for (const char* name : {"log", "log.1", "log.2"}) {
    CHECK(fs::file_size(dir.path + "/" + name) <= 1000);
    CHECK(fs::file_size(dir.path + "/" + name) > 0);
  }
  CHECK_FALSE(fs::exists(dir.path + "/log.3"));
  CHECK(text.find("line 199\n") == text.size() - 9);
  CHECK(text.find("line 100\n") == std::string::npos);
  int expected = std::stoi(text.substr(text.find("line ") + 5));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line); ++expected) {
    CHECK(line.substr(line.find(' ') + 1) == "stdout F line " + std::to_string(expected));
  }
  CHECK(expected == 200);
}

TEST_CASE("one file only starts anew") {
  Directory dir;
  LogWriter log;
  REQUIRE(log.Open(dir.path + "/log", 100, 1) == 0);
  for (int i = 0; i < 10; ++i) log.Append(Stream::kStdout, "line " + std::to_string(i) + "\n");
  CHECK(dir.Lines("log") == "stdout F line 8\nstdout F line 9\n");
  CHECK_FALSE(fs::exists(dir.path + "/log.1"));
}

TEST_CASE("a log that is opened again is continued") {
  Directory dir;
  for (int i = 0; i < 3; ++i) {
    LogWriter log;
    REQUIRE(log.Open(dir.path + "/log", 140, 2) == 0);
    log.Append(Stream::kStdout, "0123456789\n");
  }
  // The size counts what was there before.
  CHECK(dir.Lines("log.1") == "stdout F 0123456789\nstdout F 0123456789\n");
  CHECK(dir.Lines("log") == "stdout F 0123456789\n");
}

TEST_CASE("a log that cannot be opened says why") {
  LogWriter log;
  CHECK(log.Open("/proc/no/log", 0, 1) == ENOENT);
  CHECK(log.Open("/", 0, 1) == EISDIR);
  LogWriter none;
  CHECK(none.Open("", 0, 1) == 0);
  none.Append(Stream::kStdout, "nowhere\n");
  none.Finish();
}

TEST_CASE("lines that do not fit on the disk are counted and told when there is room again") {
  Directory dir;
  LogWriter log;
  REQUIRE(log.Open(dir.path + "/log", 0, 1) == 0);
  log.Append(Stream::kStdout, "before\n");
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{100, old.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &tight) == 0);
  log.Append(Stream::kStdout, "this one fits only in part, so that a piece of it could stay behind\nand two\n");
  log.Append(Stream::kStdout, std::string(200, 'x') + "\n");
  setrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, handler);
  CHECK(log.dropped_lines() == 3);
  CHECK(dir.Lines("log") == "stdout F before\n");
  log.Append(Stream::kStdout, "after\n");
  log.Append(Stream::kStdout, "again\n");
  CHECK(dir.Lines("log") ==
        "stdout F before\nstderr F wherry: 3 log lines were lost: the log could not be written\nstdout F after\nstdout "
        "F again\n");
}

}  // namespace wherry::warden
