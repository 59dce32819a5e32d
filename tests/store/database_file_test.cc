// What happens with files that are foreign, damaged, locked, full or not ours to write.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <random>

#include "store/schema.h"
#include "tests/store/store_fixture.h"

namespace wherry {
namespace {

const ObjectKey kA{"configmaps", "default", "a"};

std::string OpenMessage(const std::string& path) {
  StoreOptions options = StoreFixture::Threaded(path);
  options.post = [](std::function<void()>) {};
  auto opened = ObjectStore::Open(options);
  return opened.ok() ? "" : opened.status().message();
}

std::string Contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_CASE("a new database is private to its user") {
  TempDir dir;
  StoreFixture f(StoreFixture::Threaded(dir / "db"));
  REQUIRE(f.Do(Create(kA, "u", "v")).ok());
  for (const char* file : {"db", "db-wal"}) {
    CAPTURE(file);
    CHECK((std::filesystem::status(dir / file).permissions() & std::filesystem::perms::mask) ==
          std::filesystem::perms(0600));
  }
}

TEST_CASE("an empty file becomes a database") {
  TempDir dir;
  std::ofstream(dir / "db").flush();
  StoreFixture f(StoreFixture::Threaded(dir / "db"));
  CHECK(f.store->start_revision() == 0);
}

TEST_CASE("files that are not ours are refused with a remedy and stay as they are") {
  TempDir dir;
  std::ofstream(dir / "text") << std::string(5000, 'x');
  std::ofstream(dir / "short") << "hello";
  {
    sqlite::Database other(dir / "other");
    other.Exec("CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  }
  {
    sqlite::Database other(dir / "other-wal-mode");
    other.Text("PRAGMA journal_mode=WAL");
    other.Exec("CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    other.LeaveWalOnClose(true);
  }
  {
    sqlite::Database other(dir / "other-id");
    other.Exec("PRAGMA application_id=42");
  }
  {
    sqlite::Database newer(dir / "newer");
    newer.Exec("PRAGMA application_id=" + std::to_string(kApplicationId) + "; PRAGMA user_version=99");
  }
  const std::string remedy = "): choose another data directory, or move the file away";
  struct Row {
    std::string path;
    std::string message;
  };
  const Row rows[] = {
      {dir / "text", dir / "text is not a wherry database (file is not a database" + remedy},
      {dir / "short", dir / "short is not a wherry database (file is not a database" + remedy},
      {dir / "other", dir / "other is not a wherry database (it belongs to another program" + remedy},
      {dir / "other-wal-mode", dir / "other-wal-mode is not a wherry database (it belongs to another program" + remedy},
      {dir / "other-id", dir / "other-id is not a wherry database (it belongs to another program" + remedy},
      {dir / "newer",
       dir / "newer was written by a newer wherry (schema version 99, this program knows 1): start the newer "
             "program, or restore a snapshot taken with this one"},
  };
  for (const Row& row : rows) {
    const std::string before = Contents(row.path);
    CHECK(OpenMessage(row.path) == row.message);
    CHECK(Contents(row.path) == before);
  }
  CHECK(std::filesystem::exists(dir / "other-wal-mode-wal"));
}

TEST_CASE("paths that cannot be a database are refused") {
  TempDir dir;
  std::filesystem::create_directory(dir / "directory");
  const std::string remedy = "): the data directory must exist and be writable by this user";
  CHECK(OpenMessage("") == "the store needs a path for its database");
  CHECK(OpenMessage(dir / "directory") ==
        "cannot open the database " + dir / "directory" + " (Is a directory" + remedy);
  CHECK(OpenMessage(dir / "absent/db") ==
        "cannot open the database " + dir / "absent/db" + " (No such file or directory" + remedy);
  const std::string proc = OpenMessage("/proc/wherry.db");  // nobody can create files there, root included
  CHECK(proc.starts_with("cannot open the database /proc/wherry.db ("));
}

TEST_CASE("a file that this user may only read is refused") {
  TempDir dir;
  { StoreFixture f(StoreFixture::Threaded(dir / "db")); }
  std::filesystem::permissions(dir / "", std::filesystem::perms(0755));
  std::filesystem::permissions(dir / "db", std::filesystem::perms(0444));
  int out[2];
  REQUIRE(::pipe(out) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {  // root may write anything, so become somebody else
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(2);
    const std::string message = OpenMessage(dir / "db");
    ::_exit(::write(out[1], message.data(), message.size()) < 0);
  }
  ::close(out[1]);
  std::string message(1000, 0);
  message.resize(static_cast<size_t>(std::max<ssize_t>(0, ::read(out[0], message.data(), message.size()))));
  ::close(out[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(message ==
        dir /
            "db is not writable (it can only be opened for reading): give this user write permission, or choose "
            "another data directory");
}

TEST_CASE("a database in use is refused until its owner is gone, however it went") {
  TempDir dir;
  const std::string in_use =
      dir / "db is in use by another wherry server: stop that server first, or choose another data directory";
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    StoreFixture f(StoreFixture::Inline(dir / "db"));
    const bool ok = f.Do(Create(kA, "u", "v")).ok();
    if (::write(ready[1], ok ? "y" : "n", 1) != 1) ::_exit(1);
    while (true) ::pause();
  }
  char answer = 0;
  REQUIRE(::read(ready[0], &answer, 1) == 1);
  CHECK(answer == 'y');
  CHECK(OpenMessage(dir / "db") == in_use);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);

  StoreFixture f(StoreFixture::Threaded(dir / "db"));
  CHECK(f.cache->Count("configmaps") == 1);
  CHECK(OpenMessage(dir / "db") == in_use);  // also within one process
  REQUIRE(f.Do(Update(kA, "u", "w")).ok());
  f.Close();
  CHECK(OpenMessage(dir / "db") == "");
}

TEST_CASE("a format of an earlier version is migrated step by step") {
  TempDir dir;
  const auto add = [](sqlite::Database& db) {
    db.Exec("CREATE TABLE extra (x INTEGER); INSERT INTO extra VALUES (7)");
  };
  const auto fail = [](sqlite::Database& db) { db.Exec("CREATE TABLE extra2 (x INTEGER); CREATE TABLE log (x)"); };
  {
    StoreFixture f(StoreFixture::Threaded(dir / "db"));
    REQUIRE(f.Do(Create(kA, "u", "v")).ok());
  }
  {
    const Migration failing[] = {Migrations()[0], +add, +fail};
    auto db = OpenDatabase(dir / "db", Durability::kFull, failing);
    REQUIRE_FALSE(db.ok());
    CHECK(db.status().message() == "the database " + dir / "db" + " failed: table log already exists");
  }
  CHECK(OpenMessage(dir / "db") == "");  // nothing of it stayed
  {
    const Migration newer[] = {Migrations()[0], +add};
    auto db = OpenDatabase(dir / "db", Durability::kFull, newer);
    REQUIRE(db.ok());
    CHECK((*db)->Int("SELECT x FROM extra") == 7);
    CHECK((*db)->Int("PRAGMA user_version") == 2);
    CHECK((*db)->Int("SELECT count(*) FROM log") == 1);
  }
  CHECK(OpenMessage(dir / "db").find("newer wherry (schema version 2, this program knows 1)") != std::string::npos);
}

// A database of some hundred pages with history.
void Fill(const std::string& path) {
  StoreFixture f(StoreFixture::Inline(path));
  for (int i = 0; i < 300; ++i)
    REQUIRE(f.Do(Create({"pods", "default", "pod-" + std::to_string(i)}, "u", "v", 1500)).ok());
  for (int i = 0; i < 300; i += 2)
    REQUIRE(f.Do(Update({"pods", "default", "pod-" + std::to_string(i)}, "u", "w")).ok());
}

TEST_CASE("a flipped byte in an object is found when it is loaded") {
  TempDir dir;
  Fill(dir / "db");
  std::string bytes = Contents(dir / "db");
  const size_t at = bytes.find("xxxxxxxxxxxxxxxxx");
  REQUIRE(at != std::string::npos);
  // The padding of every object, so that those that are current are among them.
  for (size_t i = at; (i = bytes.find("xxxxxxxxxxxxxxxxx", i)) != std::string::npos; i += 17) bytes[i] = 'y';
  std::ofstream(dir / "db", std::ios::binary) << bytes;
  ControlLoop loop;
  StoreOptions options = StoreFixture::Threaded(dir / "db");
  options.post = loop.poster();
  auto store = ObjectStore::Open(options);
  REQUIRE(store.ok());
  const Status status = (*store)->LoadAll([](ObjectPtr) {});
  CHECK(status.reason() == Reason::kInternalError);
  CHECK(status.message().starts_with("the database " + dir / "db is damaged (the object of revision "));
  CHECK(status.message().ends_with(
      " does not match its checksum): restore a snapshot, or move the file away to start empty"));
}

TEST_CASE("damage anywhere is an error or harmless, never a crash or a wrong object") {
  TempDir dir;
  Fill(dir / "good");
  const std::string good = Contents(dir / "good");
  int refused = 0;
  for (uint32_t seed = 1; seed <= 90; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::string bad = good;
    switch (seed % 3) {
      case 0:  // a torn file
        bad.resize(random() % bad.size());
        break;
      case 1: {  // a page of garbage
        const size_t page = random() % (bad.size() / 4096);
        for (size_t i = 0; i < 4096; ++i) bad[page * 4096 + i] = static_cast<char>(random());
        break;
      }
      default:  // some flipped bits
        for (int i = 0; i < 40; ++i) bad[random() % bad.size()] ^= static_cast<char>(1u << (random() % 8));
    }
    const std::string path = dir / ("bad" + std::to_string(seed));
    std::ofstream(path, std::ios::binary) << bad;
    ControlLoop loop;
    StoreOptions options = StoreFixture::Inline(path);
    options.post = loop.poster();
    auto store = ObjectStore::Open(options);
    if (!store.ok()) {
      ++refused;
      CHECK(store.status().message().find(path) != std::string::npos);
      continue;
    }
    const Status loaded = (*store)->LoadAll(
        [](ObjectPtr object) { REQUIRE(object->json()->at("metadata").at("name") == object->name()); });
    if (!loaded.ok()) ++refused;
    // Whatever is asked of it now is answered.
    int answers = 0;
    const auto count = [&](auto) { ++answers; };
    (*store)->Commit(Create({"pods", "default", "new"}, "u", "v"), count);
    (*store)->Commit(Delete({"pods", "default", "pod-7"}), count);
    (*store)->ReadHistory("pods", 0, 1000, count);
    (*store)->Compact();
    (*store)->Snapshot(path + ".copy", count);
    loop.Drain();
    CHECK(answers == 4);
    std::filesystem::remove(path);
  }
  CHECK(refused > 45);
}

TEST_CASE("a full disk refuses the whole batch, spends no revision, and heals") {
  TempDir dir;
  StoreOptions options = StoreFixture::Inline(dir / "db");
  options.max_bytes = 400'000;
  StoreFixture f(options);
  REQUIRE(f.Do(Create(kA, "u", "0")).ok());
  uint64_t last = 1;
  Status full;
  for (int i = 0; i < 1000 && full.ok(); ++i) {
    auto result = f.Do(Update(kA, "u", "v", 3000));
    if (result.ok()) {
      last = (*result)->revision();
    } else {
      full = result.status();
    }
  }
  CHECK(full.reason() == Reason::kInternalError);
  CHECK(full.message() == "cannot write the database " + dir / "db (database or disk is full): make room on the disk");
  CHECK(f.cache->Get(kA)->revision() == last);
  CHECK_FALSE(f.Do(Create({"widgets", "", "first-of-its-kind"}, "u", "v", 3000)).ok());
  CHECK(f.log.size() == last);

  // History goes, space is back, and nothing was skipped or half done.
  f.now += int64_t{3600} * 1'000'000;
  f.store->Compact();
  auto again = f.Do(Create({"widgets", "", "first-of-its-kind"}, "u", "v", 3000));
  REQUIRE(again.ok());
  CHECK((*again)->revision() == last + 1);
  f.Restart();
  CHECK(f.store->start_revision() == last + 1);
  CHECK(f.cache->Count("widgets") == 1);
}

TEST_CASE("a write that the kernel refuses fails its batch, and the store goes on when it can") {
  TempDir dir;
  StoreFixture f(StoreFixture::Threaded(dir / "db", Durability::kFull));
  REQUIRE(f.Do(Create(kA, "u", "0")).ok());

  // No file may grow now: as a quota or a broken disk would, write(2) fails in the middle of a commit.
  auto* old_handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit tiny = before;
  tiny.rlim_cur = std::filesystem::file_size(dir / "db-wal") + 6000;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tiny) == 0);
  std::vector<Status> answers;
  for (int i = 0; i < 20; ++i) {
    f.store->Commit(Create({"configmaps", "default", "n" + std::to_string(i)}, "u", "v", 20'000),
                    [&](Result<ObjectPtr> r) { answers.push_back(r.ok() ? Status() : r.status()); });
  }
  f.loop.RunUntil([&] { return answers.size() == 20; });
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  ::signal(SIGXFSZ, old_handler);
  for (const Status& status : answers) {
    CHECK(status.reason() == Reason::kInternalError);
    CHECK(status.message().find(dir / "db") != std::string::npos);
  }
  CHECK(f.cache->Count("configmaps") == 1);

  auto next = f.Do(Create({"configmaps", "default", "after"}, "u", "v"));
  REQUIRE(next.ok());
  CHECK((*next)->revision() == 2);
  f.Restart();
  CHECK(f.cache->Count("configmaps") == 2);
  CHECK(f.store->start_revision() == 2);
}

}  // namespace
}  // namespace wherry
