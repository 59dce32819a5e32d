// SIGKILL in the middle of a write load: what was acknowledged is there, and no revision is given away twice.

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <map>
#include <random>

#include "tests/store/store_fixture.h"

namespace wherry {
namespace {

constexpr int kKeys = 40;

ObjectKey KeyOf(int i) { return {"configmaps", "default", "n" + std::to_string(i)}; }

// What the writer says on the pipe once a write is acknowledged: key `key` has value `value` (0: deleted) at
// `revision`.
struct Ack {
  int32_t key;
  uint32_t value;
  uint64_t revision;
};

// Keeps `kKeys` writes in flight, one per key, and reports each acknowledgement, until it is killed.
[[noreturn]] void WriteForever(const std::string& path, Durability durability, int round, int pipe) {
  StoreOptions options = StoreFixture::Threaded(path, durability);
  options.history_events = 200;  // compaction has something to do as well
  options.max_batch = 16;
  StoreFixture f(options);
  std::mt19937 random(static_cast<uint32_t>(round));
  uint32_t value = static_cast<uint32_t>(round) * 1'000'000;
  std::function<void(int)> write = [&](int i) {
    const bool exists = f.cache->Get(KeyOf(i)) != nullptr;
    const bool remove = exists && random() % 4 == 0;
    const uint32_t v = remove ? 0 : ++value;
    Mutation m = remove   ? Delete(KeyOf(i))
                 : exists ? Update(KeyOf(i), "u", std::to_string(v), 700)
                          : Create(KeyOf(i), "u", std::to_string(v), 700);
    f.store->Commit(std::move(m), [&, i, v](Result<ObjectPtr> result) {
      if (!result.ok()) ::_exit(3);
      const Ack ack{i, v, (*result)->revision()};
      if (::write(pipe, &ack, sizeof ack) != sizeof ack) ::_exit(4);
      if (random() % 50 == 0) f.store->Compact();
      write(i);
    });
  };
  for (int i = 0; i < kKeys; ++i) write(i);
  f.loop.RunUntil([] { return false; });
  ::_exit(5);
}

void KillRepeatedly(Durability durability, int rounds) {
  TempDir dir;
  std::mt19937 random(7);
  std::map<uint64_t, Ack> acked;  // by revision, over all rounds
  uint64_t newest = 0;
  for (int round = 1; round <= rounds; ++round) {
    CAPTURE(round);
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::close(pipe[0]);
      WriteForever(dir / "db", durability, round, pipe[1]);
    }
    ::close(pipe[1]);
    // Killed after some number of acknowledgements; those on the way still count.
    int wanted = 1 + static_cast<int>(random() % 400);
    Ack ack{};
    while (::read(pipe[0], &ack, sizeof ack) == sizeof ack) {
      CHECK(ack.revision > newest);
      newest = std::max(newest, ack.revision);
      CHECK(acked.emplace(ack.revision, ack).second);
      if (--wanted == 0) ::kill(child, SIGKILL);
    }
    ::close(pipe[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));

    StoreFixture f(StoreFixture::Inline(dir / "db"));
    CHECK(f.store->start_revision() >= newest);
    std::map<int32_t, Ack> last;
    for (const auto& [revision, a] : acked) last[a.key] = a;
    for (const auto& [key, a] : last) {
      CAPTURE(key, a.revision, a.value);
      const ObjectPtr object = f.cache->Get(KeyOf(key));
      // The write after the last acknowledged one may have been committed too: then the object is newer, or gone by
      // then.
      if (object && object->revision() == a.revision)
        CHECK(object->json()->at("data").at("v") == std::to_string(a.value));
      if (object) CHECK(object->revision() >= a.revision);
      if (!object && a.value != 0) {
        const auto since = f.History("configmaps", std::max(a.revision - 1, f.store->compacted_revision()));
        REQUIRE(since.ok());
        bool deleted_later = false;
        for (const EventPtr& e : *since) {
          deleted_later |=
              e->type == EventType::kDeleted && e->object->key() == KeyOf(key) && e->revision() > a.revision;
        }
        CHECK(deleted_later);
      }
    }
    // And every event that the history still holds tells the same.
    const auto history = f.History("configmaps", f.store->compacted_revision());
    REQUIRE(history.ok());
    for (const EventPtr& e : *history) {
      const auto a = acked.find(e->revision());
      if (a == acked.end()) continue;
      CHECK(e->object->key() == KeyOf(a->second.key));
      CHECK((e->type == EventType::kDeleted) == (a->second.value == 0));
    }
    newest = std::max(newest, f.store->start_revision());
  }
  CHECK(acked.size() > static_cast<size_t>(rounds));
}

TEST_CASE("kill -9 under load loses nothing that was acknowledged") {
  SECTION("durability full") { KillRepeatedly(Durability::kFull, 20); }
  SECTION("durability memory: the page cache survives the process") { KillRepeatedly(Durability::kMemory, 20); }
}

}  // namespace
}  // namespace wherry
