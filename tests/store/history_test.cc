#include "store/history.h"

#include <catch2/catch.hpp>

#include "store/schema.h"
#include "tests/store/store_fixture.h"

namespace wherry {
namespace {

const ObjectKey kA{"configmaps", "default", "a"};
const ObjectKey kB{"configmaps", "default", "b"};
const ObjectKey kPod{"pods", "default", "p"};
constexpr int64_t kSecond = 1'000'000;

// "ADDED a@1", "MODIFIED a@3<1" (the state before had revision 1), …
std::vector<std::string> Told(const std::vector<EventPtr>& events) {
  std::vector<std::string> out;
  for (const EventPtr& e : events) {
    std::string text = std::string(ToString(e->type)) + " " + e->object->name() + "@" + std::to_string(e->revision());
    if (e->previous) text += "<" + std::to_string(e->previous->revision());
    out.push_back(text);
  }
  return out;
}
using Strings = std::vector<std::string>;

void WriteSome(StoreFixture& f) {
  REQUIRE(f.Do(Create(kA, "ua", "1")).ok());    // 1
  REQUIRE(f.Do(Create(kPod, "up", "1")).ok());  // 2
  REQUIRE(f.Do(Update(kA, "ua", "2")).ok());    // 3
  REQUIRE(f.Do(Create(kB, "ub", "1")).ok());    // 4
  REQUIRE(f.Do(Delete(kA)).ok());               // 5
  REQUIRE(f.Do(Create(kA, "ua2", "3")).ok());   // 6
  REQUIRE(f.Do(Update(kB, "ub", "2")).ok());    // 7
}

TEST_CASE("history replays the events of a resource with the states before, also after a restart") {
  TempDir dir;
  StoreFixture f(StoreFixture::Threaded(dir / "db"));
  WriteSome(f);
  const std::vector<EventPtr> live = f.log;
  f.Restart();
  auto all = f.History("configmaps", 0);
  REQUIRE(all.ok());
  CHECK(Told(*all) ==
        Strings{"ADDED a@1", "MODIFIED a@3<1", "ADDED b@4", "DELETED a@5<3", "ADDED a@6", "MODIFIED b@7<4"});
  for (const EventPtr& event : *all) {
    const EventPtr& original = live[event->revision() - 1];
    CHECK(event->object->bytes() == original->object->bytes());
    CHECK(event->object->uid() == original->object->uid());
    CHECK(event->object->key() == original->object->key());
    if (event->previous) CHECK(event->previous->bytes() == original->previous->bytes());
  }
  CHECK(Told(*f.History("configmaps", 3, 6)) == Strings{"ADDED b@4", "DELETED a@5<3", "ADDED a@6"});
  CHECK(Told(*f.History("configmaps", 6, 6)).empty());
  CHECK(Told(*f.History("pods", 0)) == Strings{"ADDED p@2"});
  CHECK(Told(*f.History("absent", 0)).empty());
}

TEST_CASE("a long history is read in many steps while writes go on") {
  TempDir dir;
  StoreFixture f(StoreFixture::Threaded(dir / "db"));
  int written = 0;
  for (int i = 0; i < 3000; ++i) {
    f.store->Commit(Create({"configmaps", "default", "n" + std::to_string(i)}, "u", "v"),
                    [&](Result<ObjectPtr> r) { written += r.ok(); });
  }
  std::optional<Result<std::vector<EventPtr>>> answer;
  f.loop.RunUntil([&] { return written == 3000; });
  f.store->ReadHistory("configmaps", 0, 3000, [&](auto result) { answer.emplace(std::move(result)); });
  for (int i = 0; i < 200; ++i) {
    f.store->Commit(Update({"configmaps", "default", "n" + std::to_string(i)}, "u", "w"),
                    [&](Result<ObjectPtr> r) { written += r.ok(); });
  }
  f.loop.RunUntil([&] { return written == 3200 && answer; });
  REQUIRE(answer->ok());
  REQUIRE((*answer)->size() == 3000);
  for (uint64_t i = 0; i < 3000; ++i) REQUIRE((**answer)[i]->revision() == i + 1);
}

TEST_CASE("compaction by age keeps what a resume still needs") {
  StoreFixture f(StoreFixture::Inline());
  f.now = 1000 * kSecond;
  WriteSome(f);
  f.now = 1300 * kSecond;
  REQUIRE(f.Do(Update(kA, "ua2", "4")).ok());  // 8
  f.now = 1599 * kSecond;
  f.store->Compact();
  CHECK(f.store->compacted_revision() == 0);  // the oldest event is 599 s old
  f.now = 1600 * kSecond;
  f.store->Compact();
  CHECK(f.store->compacted_revision() == 7);
  CHECK(Told(*f.History("configmaps", 7)) == Strings{"MODIFIED a@8<6"});
  auto expired = f.History("configmaps", 6);
  REQUIRE_FALSE(expired.ok());
  CHECK(expired.status().reason() == Reason::kExpired);
  CHECK(expired.status().message() == "too old resource version: 6 (7)");
  CHECK(f.Do(Update(kB, "ub", "3")).ok());  // 9, replaces 7
  CHECK(Told(*f.History("configmaps", 7)) == Strings{"MODIFIED a@8<6", "MODIFIED b@9<7"});
}

TEST_CASE("compaction by count drops what is beyond, however young") {
  StoreOptions options = StoreFixture::Inline();
  options.history_events = 3;
  StoreFixture f(options);
  WriteSome(f);
  f.store->Compact();
  CHECK(f.store->compacted_revision() == 4);
  CHECK(Told(*f.History("configmaps", 4)) == Strings{"DELETED a@5<3", "ADDED a@6", "MODIFIED b@7<4"});
  CHECK(f.History("configmaps", 3).status().reason() == Reason::kExpired);
}

TEST_CASE("revisions are never reused, even when everything is compacted") {
  TempDir dir;
  StoreFixture f(StoreFixture::Threaded(dir / "db"));
  REQUIRE(f.Do(Create(kA, "u", "1")).ok());
  REQUIRE(f.Do(Update(kA, "u", "2")).ok());
  REQUIRE(f.Do(Delete(kA)).ok());
  f.now += 3600 * kSecond;
  f.store->Compact();
  while (f.store->compacted_revision() < 3) REQUIRE(f.History("configmaps", 3).ok());  // a step of ours each time
  f.Close();
  {
    auto db = OpenDatabase(dir / "db", Durability::kMemory);
    REQUIRE(db.ok());
    CHECK((*db)->Int("SELECT count(*) FROM log") == 0);
    CHECK((*db)->Int("SELECT count(*) FROM current") == 0);
  }
  f.Restart();
  CHECK(f.store->start_revision() == 3);
  CHECK(f.store->compacted_revision() == 3);
  auto created = f.Do(Create(kA, "u", "1"));
  REQUIRE(created.ok());
  CHECK((*created)->revision() == 4);
}

TEST_CASE("one step of compaction is bounded, and passes every row once") {
  StoreFixture f(StoreFixture::Inline());
  auto db = OpenDatabase(":memory:", Durability::kMemory);
  REQUIRE(db.ok());
  RevisionLog log(std::move(db).value());
  constexpr int kObjects = 100;
  {
    RevisionLog::Batch batch(log, 1);
    for (int round = 0; round < 10; ++round) {
      for (int i = 0; i < kObjects; ++i) {
        const ObjectKey key{"configmaps", "", "n" + std::to_string(i)};
        REQUIRE(batch.Apply(round == 0 ? Create(key, "u", "v") : Update(key, "u", "v")).ok());
      }
    }
    batch.Commit();
  }
  Compactor compactor(log);
  const Compactor::Limits limits{10, 1'000'000};
  const StepBudget budget{64, std::chrono::seconds(60)};
  CHECK(compactor.Step(limits, 10, budget));  // nothing is old enough
  CHECK(log.compacted() == 0);
  int steps = 0;
  uint64_t rows = static_cast<uint64_t>(log.db().Int("SELECT count(*) FROM log"));
  uint64_t floor = 0;
  while (!compactor.Step(limits, 11, budget)) {
    ++steps;
    const auto left = static_cast<uint64_t>(log.db().Int("SELECT count(*) FROM log"));
    CHECK(rows - left <= 64);
    CHECK(log.compacted() - floor == std::min<uint64_t>(64, 1000 - floor));
    rows = left;
    floor = log.compacted();
    if (steps > 100) break;
  }
  CHECK(steps == 16);
  CHECK(rows == kObjects);
  CHECK(log.compacted() == 1000);
  int loaded = 0;
  log.LoadAll([&](ObjectPtr) { ++loaded; });
  CHECK(loaded == kObjects);
}

TEST_CASE("an answer that would be enormous is refused as expired") {
  auto db = OpenDatabase(":memory:", Durability::kMemory);
  REQUIRE(db.ok());
  RevisionLog log(std::move(db).value());
  {
    RevisionLog::Batch batch(log, 1);
    for (int i = 0; i < 10; ++i)
      REQUIRE(batch.Apply(Create({"pods", "", "n" + std::to_string(i)}, "u", "v", 1000)).ok());
    batch.Commit();
  }
  const auto read = [&](uint64_t after, uint64_t max_bytes) {
    HistoryReader reader(log, "pods", after, 10, max_bytes);
    while (!reader.Step(StepBudget{3, std::chrono::seconds(60)})) {
    }
    return reader.Finish();
  };
  CHECK(read(0, 100'000)->size() == 10);
  CHECK(read(0, 5000).status().reason() == Reason::kExpired);
  CHECK(read(7, 5000)->size() == 3);
}

TEST_CASE("compaction that overtakes a reader makes it expired, not wrong") {
  auto db = OpenDatabase(":memory:", Durability::kMemory);
  REQUIRE(db.ok());
  RevisionLog log(std::move(db).value());
  {
    RevisionLog::Batch batch(log, 1);
    REQUIRE(batch.Apply(Create(kPod, "u", "v")).ok());
    for (int i = 0; i < 9; ++i) REQUIRE(batch.Apply(Update(kPod, "u", "v")).ok());
    batch.Commit();
  }
  HistoryReader reader(log, "pods", 0, 10, 1 << 20);
  CHECK_FALSE(reader.Step(StepBudget{3, std::chrono::seconds(60)}));
  Compactor compactor(log);
  compactor.Step(Compactor::Limits{0, 100}, 5, StepBudget{});
  while (!reader.Step(StepBudget{3, std::chrono::seconds(60)})) {
  }
  CHECK(reader.Finish().status().reason() == Reason::kExpired);
}

TEST_CASE("the WAL and the file stay small under endless updates") {
  TempDir dir;
  StoreOptions options = StoreFixture::Threaded(dir / "db");
  options.history_events = 500;
  StoreFixture f(options);
  REQUIRE(f.Do(Create(kA, "u", "0")).ok());
  int answered = 0;
  int asked = 0;
  uintmax_t largest_wal = 0;
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 200; ++i, ++asked) {
      f.store->Commit(Update(kA, "u", "v", 2000), [&](Result<ObjectPtr> r) { answered += r.ok(); });
    }
    f.store->Compact();
    f.loop.RunUntil([&] { return answered == asked; });
    largest_wal = std::max(largest_wal, std::filesystem::file_size(dir / "db-wal"));
  }
  CHECK(largest_wal < (24u << 20));
  f.Close();
  // 8,000 states of 2 KB were written; some hundreds are kept.
  CHECK(std::filesystem::file_size(dir / "db") < (16u << 20));
  CHECK_FALSE(std::filesystem::exists(dir / "db-wal"));
}

TEST_CASE("a snapshot is a database of its own, taken while writes go on") {
  TempDir dir;
  StoreFixture f(StoreFixture::Threaded(dir / "db"));
  int written = 0;
  const auto count = [&](Result<ObjectPtr> r) { written += r.ok(); };
  for (int i = 0; i < 2000; ++i) f.store->Commit(Create({"pods", "", "n" + std::to_string(i)}, "u", "v", 2000), count);
  f.loop.RunUntil([&] { return written == 2000; });
  std::optional<Status> snapshot;
  f.store->Snapshot(dir / "copy", [&](Status status) { snapshot = status; });
  for (int i = 0; i < 500; ++i) f.store->Commit(Update({"pods", "", "n" + std::to_string(i)}, "u", "w"), count);
  f.loop.RunUntil([&] { return written == 2500 && snapshot; });
  CHECK(snapshot->message() == "");

  CHECK_FALSE(std::filesystem::exists(dir / "copy.partial"));
  CHECK_FALSE(std::filesystem::exists(dir / "copy-wal"));
  CHECK((std::filesystem::status(dir / "copy").permissions() & std::filesystem::perms::mask) ==
        std::filesystem::perms(0600));
  StoreFixture copy(StoreFixture::Threaded(dir / "copy"));
  CHECK(copy.cache->Count("pods") == 2000);
  CHECK(copy.store->start_revision() >= 2000);
  CHECK(copy.store->start_revision() <= 2500);
  auto next = copy.Do(Create(kA, "u", "v"));
  REQUIRE(next.ok());
  CHECK((*next)->revision() == copy.store->start_revision() + 1);
}

TEST_CASE("a snapshot of a store in memory can be opened as a file") {
  TempDir dir;
  StoreFixture f(StoreFixture::Inline());
  WriteSome(f);
  CHECK(f.Snapshot(dir / "copy").message() == "");
  StoreFixture copy(StoreFixture::Inline(dir / "copy"));
  CHECK(copy.cache->Count("configmaps") == 2);
  CHECK(copy.store->start_revision() == 7);
}

TEST_CASE("a snapshot that cannot be written says why and leaves nothing") {
  TempDir dir;
  StoreFixture f(StoreFixture::Inline());
  WriteSome(f);
  std::ofstream(dir / "exists") << "precious";
  struct Row {
    std::string path;
    std::string why;
  };
  const Row rows[] = {{dir / "exists", "the file exists"}, {dir / "no/such/directory", "No such file or directory"}};
  for (const Row& row : rows) {
    CHECK(f.Snapshot(row.path).message() == "cannot write the snapshot " + row.path + ": " + row.why);
    CHECK_FALSE(std::filesystem::exists(row.path + ".partial"));
  }
  CHECK(std::filesystem::file_size(dir / "exists") == 8);
}

}  // namespace
}  // namespace wherry
