// Random writes from a seed, against a model of a few lines; and real threads for the thread sanitizer.

#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <thread>

#include "tests/store/store_fixture.h"

namespace wherry {
namespace {

// What the store should be: the objects, and everything that ever happened to them.
struct Model {
  struct Stored {
    std::string uid;
    std::string value;
    uint64_t revision = 0;
  };
  struct Happened {
    EventType type;
    ObjectKey key;
    std::string value;
    uint64_t previous = 0;
  };
  std::map<ObjectKey, Stored> objects;
  std::map<uint64_t, Happened> events;
  uint64_t revision = 0;

  // The answer expected: "rev 5" or the reason.
  std::string Apply(const Mutation& m, const std::string& value) {
    const auto it = objects.find(m.key);
    if (m.op == Mutation::Op::kCreate) {
      if (it != objects.end()) return "AlreadyExists";
      objects[m.key] = {m.uid, value, ++revision};
      events[revision] = {EventType::kAdded, m.key, value, 0};
      return "rev " + std::to_string(revision);
    }
    if (it == objects.end()) return "NotFound";
    if (!m.expected_uid.empty() && m.expected_uid != it->second.uid) return "Conflict";
    if (m.expected_revision && *m.expected_revision != it->second.revision) return "Conflict";
    const uint64_t previous = it->second.revision;
    ++revision;
    if (m.op == Mutation::Op::kDelete) {
      events[revision] = {EventType::kDeleted, m.key, it->second.value, previous};
      objects.erase(it);
    } else {
      it->second.value = value;
      it->second.revision = revision;
      events[revision] = {EventType::kModified, m.key, value, previous};
    }
    return "rev " + std::to_string(revision);
  }
};

void RunSeed(uint32_t seed, const StoreOptions& options) {
  CAPTURE(seed);
  std::mt19937 random(seed);
  StoreFixture f(options);
  Model model;
  const std::vector<std::string> resources = {"pods", "daemonsets.apps", "nodes"};
  const auto check_state = [&] {
    for (const std::string& resource : resources) {
      std::map<ObjectKey, Model::Stored> expected;
      for (const auto& [key, stored] : model.objects) {
        if (key.resource == resource) expected.emplace(key, stored);
      }
      const auto listed = f.cache->List(resource);
      REQUIRE(listed.size() == expected.size());
      auto it = expected.begin();
      for (const ObjectPtr& object : listed) {
        REQUIRE(object->key() == it->first);
        REQUIRE(object->revision() == it->second.revision);
        REQUIRE(object->uid() == it->second.uid);
        REQUIRE(object->json()->at("data").at("v") == it->second.value);
        REQUIRE(object->json()->at("metadata").at("resourceVersion") == std::to_string(it->second.revision));
        ++it;
      }
      const uint64_t floor = f.store->compacted_revision();
      const uint64_t after = floor + (model.revision > floor ? random() % (model.revision - floor) : 0);
      auto history = f.History(resource, after);
      if (!history.ok()) {  // compaction went on meanwhile
        REQUIRE(history.status().reason() == Reason::kExpired);
        REQUIRE(f.store->compacted_revision() > after);
        continue;
      }
      auto happened = model.events.upper_bound(after);
      const auto skip = [&] {
        while (happened != model.events.end() && happened->second.key.resource != resource) ++happened;
      };
      for (const EventPtr& event : *history) {
        skip();
        REQUIRE(happened != model.events.end());
        REQUIRE(event->revision() == happened->first);
        REQUIRE(event->type == happened->second.type);
        REQUIRE(event->object->key() == happened->second.key);
        REQUIRE(event->object->json()->at("data").at("v") == happened->second.value);
        REQUIRE((event->previous ? event->previous->revision() : 0) == happened->second.previous);
        ++happened;
      }
      skip();
      REQUIRE(happened == model.events.end());
    }
  };

  for (int round = 0; round < 12; ++round) {
    std::vector<std::string> expected;
    std::vector<std::string> answers;
    const int writes = 1 + static_cast<int>(random() % 25);
    for (int i = 0; i < writes; ++i) {
      Mutation m;
      m.op = static_cast<Mutation::Op>(random() % 3);
      const std::string& resource = resources[random() % resources.size()];
      m.key = {resource, resource == "nodes" ? "" : "ns" + std::to_string(random() % 2),
               "o" + std::to_string(random() % 4)};
      const auto stored = model.objects.find(m.key);
      const std::string uid = stored == model.objects.end() || m.op == Mutation::Op::kCreate
                                  ? "u" + std::to_string(random())
                                  : stored->second.uid;
      const std::string value = std::to_string(random());
      if (m.op != Mutation::Op::kDelete) m.draft = Draft(Doc(m.key.name, uid, value, random() % 3000));
      if (m.op != Mutation::Op::kDelete || random() % 2) m.uid = uid;
      if (random() % 4 == 0)
        m.expected_revision = stored == model.objects.end() || random() % 2 ? random() % 50 : stored->second.revision;
      if (random() % 4 == 0) m.expected_uid = random() % 3 ? uid : "other";
      expected.push_back(model.Apply(m, value));
      f.store->Commit(std::move(m), [&](Result<ObjectPtr> r) {
        answers.push_back(r.ok() ? "rev " + std::to_string((*r)->revision()) : std::string(r.status().reason_string()));
      });
    }
    f.loop.RunUntil([&] { return answers.size() == expected.size(); });
    REQUIRE(answers == expected);
    REQUIRE(f.cache->revision() == model.revision);
    REQUIRE(f.log.size() <= model.events.size());
    for (const EventPtr& event : f.log) {
      const Model::Happened& happened = model.events.at(event->revision());
      REQUIRE(event->type == happened.type);
      REQUIRE((event->previous ? event->previous->revision() : 0) == happened.previous);
    }
    f.now += static_cast<int64_t>(random() % 200) * 1'000'000;
    if (random() % 3 == 0) f.store->Compact();
    check_state();
    if (options.path != ":memory:" && random() % 3 == 0) {
      f.Restart();
      REQUIRE(f.store->start_revision() == model.revision);
      check_state();
    }
  }
}

TEST_CASE("the store does what the model does") {
  SECTION("inline, in memory") {
    for (uint32_t seed = 1; seed <= 30; ++seed) RunSeed(seed, StoreFixture::Inline());
  }
  SECTION("writer thread, in a file, with restarts") {
    for (uint32_t seed = 1; seed <= 20; ++seed) {
      TempDir dir;
      StoreOptions options = StoreFixture::Threaded(dir / "db");
      options.max_batch = 1 + seed % 7;
      options.history_events = 20 + seed;
      RunSeed(seed, options);
    }
  }
}

TEST_CASE("everything at once: commits, history, snapshots and compaction on the writer, reads on the control thread") {
  TempDir dir;
  StoreOptions options = StoreFixture::Threaded(dir / "db");
  options.history_events = 300;
  StoreFixture f(options, 64);
  auto subscription = f.bus->Subscribe("pods", 100'000);
  int written = 0;
  int other = 0;
  int asked = 0;
  std::function<void(int, int)> write = [&](int key, int left) {
    if (left == 0) return;
    ++asked;
    const ObjectKey k{"pods", "default", "p" + std::to_string(key)};
    f.store->Commit(
        f.cache->Get(k) ? Update(k, "u", "v", 500) : Create(k, "u", "v", 500), [&, key, left](Result<ObjectPtr> r) {
          REQUIRE(r.ok());
          CHECK((*r)->json()->at("data").at("v") == "v");
          ++written;
          if (left % 16 == 0) {
            f.store->Compact();
            f.store->ReadHistory("pods", f.store->compacted_revision(), f.cache->revision(), [&](auto) { ++other; });
            ++asked;
          }
          if (left == 50) {
            f.store->Snapshot(dir / ("copy" + std::to_string(key)), [&](Status s) {
              CHECK(s.message() == "");
              ++other;
            });
            ++asked;
          }
          write(key, left - 1);
        });
  };
  for (int key = 0; key < 8; ++key) write(key, 100);
  f.loop.RunUntil([&] { return written + other == asked; });
  CHECK(written == 800);
  uint64_t last = 0;
  int events = 0;
  while (auto event = subscription->Pop()) {
    CHECK(event->revision() > last);
    last = event->revision();
    ++events;
  }
  CHECK(events == 800);
  CHECK(f.store->pending() == 0);
}

}  // namespace
}  // namespace wherry
