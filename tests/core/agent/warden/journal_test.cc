#include "core/agent/warden/journal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/agent/warden/wire.h"

namespace wherry::warden {
namespace {

namespace fs = std::filesystem;

struct Directory {
  Directory() {
    std::string name = (fs::temp_directory_path() / "wherry-journal-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
    fd.reset(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~Directory() { fs::remove_all(path); }
  std::string path;
  Fd fd;
};

Record Sample(const std::string& id, int exit_code) {
  Record record;
  record.state.id = id;
  record.state.exit_code = exit_code;
  record.boot_id = "boot";
  record.start_time = 5;
  record.tag = uint64_t{1} << 61;
  record.log_pipe[0] = 1;
  record.log_pipe[1] = 2;
  record.log_path = "/log";
  record.log_max_bytes = 3;
  record.log_max_files = 4;
  record.bind_address = "127.0.0.9";
  record.privileged_port_offset = 6;
  return record;
}

std::string Held(const Directory& dir) {
  Journal journal;
  std::vector<Record> records;
  REQUIRE(journal.Open(dir.fd.get(), &records) == 0);
  std::string text;
  for (const Record& record : records) text += record.state.id + "=" + std::to_string(record.state.exit_code) + " ";
  return text;
}

}  // namespace

TEST_CASE("the last record of an id counts, until it is removed") {
  Directory dir;
  Journal journal;
  std::vector<Record> records;
  REQUIRE(journal.Open(dir.fd.get(), &records) == 0);
  CHECK(records.empty());
  CHECK(journal.Put(Sample("a", 1)) == 0);
  CHECK(journal.Put(Sample("b", 2)) == 0);
  CHECK(journal.Put(Sample("c", 3)) == 0);
  CHECK(journal.Put(Sample("a", 4)) == 0);
  CHECK(journal.Remove("b") == 0);
  CHECK(Held(dir) == "a=4 c=3 ");
  CHECK(Held(dir) == "a=4 c=3 ");  // and again after the rewrite on opening
}

TEST_CASE("a record comes out as it went in") {
  Directory dir;
  Journal journal;
  std::vector<Record> records;
  REQUIRE(journal.Open(dir.fd.get(), &records) == 0);
  CHECK(journal.Put(Sample("a", 1)) == 0);
  Journal again;
  REQUIRE(again.Open(dir.fd.get(), &records) == 0);
  REQUIRE(records.size() == 1);
  const Record& r = records[0];
  CHECK(r.boot_id == "boot");
  CHECK(r.start_time == 5);
  CHECK(r.tag == uint64_t{1} << 61);
  CHECK(r.log_pipe[0] == 1);
  CHECK(r.log_pipe[1] == 2);
  CHECK(r.log_path == "/log");
  CHECK(r.log_max_bytes == 3);
  CHECK(r.log_max_files == 4);
  CHECK(r.bind_address == "127.0.0.9");
  CHECK(r.privileged_port_offset == 6);
}

TEST_CASE("what execs get is kept; records from before there were execs are read too") {
  const Directory dir;
  Record record = Sample("new", 0);
  record.env = {{"A", "1"}, {"B", ""}};
  record.working_directory = "/somewhere";
  record.run_as_user = 7;
  record.run_as_group = -1;
  {
    Journal journal;
    std::vector<Record> none;
    REQUIRE(journal.Open(dir.fd.get(), &none) == 0);
    REQUIRE(journal.Put(record) == 0);
  }
  Journal journal;
  std::vector<Record> records;
  REQUIRE(journal.Open(dir.fd.get(), &records) == 0);
  REQUIRE(records.size() == 1);
  CHECK(records[0].env == record.env);
  CHECK(records[0].working_directory == "/somewhere");
  CHECK(records[0].run_as_user == 7);
  CHECK(records[0].run_as_group == -1);

  // The same record without the fields of version 2.
  Encoder old;
  old.U8(1);
  old.Str(Encode(Sample("old", 0).state));
  old.Str("boot");
  for (uint64_t number : {5, 6, 1, 2}) old.U64(number);
  old.Str("/log");
  old.I64(3);
  old.U32(4);
  old.Str("127.0.0.9");
  old.U32(6);
  Encoder framed;
  framed.U32(static_cast<uint32_t>(old.bytes().size()));
  framed.U32(Crc32(old.bytes()));
  std::ofstream(dir.path + "/warden.journal", std::ios::app) << framed.bytes() << old.bytes();
  Journal again;
  records.clear();
  REQUIRE(again.Open(dir.fd.get(), &records) == 0);
  REQUIRE(records.size() == 2);
  for (const Record& each : records) {
    if (each.state.id != "old") continue;
    CHECK(each.privileged_port_offset == 6);
    CHECK(each.env.empty());
    CHECK(each.run_as_user == -1);
  }
}

TEST_CASE("a torn end is cut off, what was before it counts and what comes after it too") {
  Directory dir;
  std::string whole;
  size_t first = 0;
  {
    Journal journal;
    std::vector<Record> records;
    REQUIRE(journal.Open(dir.fd.get(), &records) == 0);
    REQUIRE(journal.Put(Sample("a", 1)) == 0);
    first = fs::file_size(dir.path + "/warden.journal");
    REQUIRE(journal.Put(Sample("b", 2)) == 0);
    std::ifstream file(dir.path + "/warden.journal");
    std::ostringstream text;
    text << file.rdbuf();
    whole = text.str();
  }
  for (size_t size = 0; size <= whole.size(); ++size) {
    std::ofstream(dir.path + "/warden.journal") << whole.substr(0, size);
    Journal journal;
    std::vector<Record> records;
    REQUIRE(journal.Open(dir.fd.get(), &records) == 0);
    REQUIRE(journal.Put(Sample("c", 3)) == 0);
    CHECK(Held(dir) == (size == whole.size() ? "a=1 b=2 c=3 " : size >= first ? "a=1 c=3 " : "c=3 "));
  }
  std::string flipped = whole;
  flipped[first + 20] ^= 1;
  std::ofstream(dir.path + "/warden.journal") << flipped;
  CHECK(Held(dir) == "a=1 ");
}

TEST_CASE("it does not grow with what is gone") {
  Directory dir;
  Journal journal;
  std::vector<Record> records;
  REQUIRE(journal.Open(dir.fd.get(), &records) == 0);
  const Record keep = Sample("keep", 1);
  REQUIRE(journal.Put(keep) == 0);
  for (int i = 0; i < 20'000; ++i) {
    REQUIRE(journal.Put(Sample("x", i)) == 0);
    REQUIRE(journal.Remove("x") == 0);
    if (journal.wants_compaction()) REQUIRE(journal.Compact({&keep}) == 0);
  }
  CHECK(fs::file_size(dir.path + "/warden.journal") < (2 << 20));
  CHECK(Held(dir) == "keep=1 ");
}

}  // namespace wherry::warden
