#include "store/watch_cache.h"

#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

namespace wherry {
namespace {

ObjectPtr Pod(const std::string& ns, const std::string& name, uint64_t revision, const std::string& node = "",
              const std::vector<std::string>& owners = {}) {
  return std::make_shared<const Object>(ObjectKey{"pods", ns, name}, "u", revision,
                                        Json{{"node", node}, {"owners", owners}}.dump());
}

EventPtr Change(EventType type, ObjectPtr object) {
  auto event = std::make_shared<Event>();
  event->type = type;
  event->object = std::move(object);
  return event;
}

void ByNode(const Object& object, std::vector<std::string>& out) { out.push_back(object.json()->at("node")); }
bool SameNode(const Object& before, const Object& after) {
  return before.json()->at("node") == after.json()->at("node");
}
void ByOwner(const Object& object, std::vector<std::string>& out) {
  for (const auto& owner : object.json()->at("owners")) out.push_back(owner);
}

std::vector<std::string> Names(const std::vector<ObjectPtr>& objects) {
  std::vector<std::string> out;
  for (const auto& o : objects) out.push_back((o->ns().empty() ? "" : o->ns() + "/") + o->name());
  return out;
}
using Strings = std::vector<std::string>;

TEST_CASE("objects are read by key, namespace and order") {
  EventBus bus;
  WatchCache cache(bus);
  for (const auto& [ns, name] :
       std::vector<std::pair<std::string, std::string>>{{"b", "x"}, {"a", "z"}, {"a", "y"}, {"c", "w"}}) {
    cache.Load(Pod(ns, name, 1));
  }
  cache.Load(std::make_shared<const Object>(ObjectKey{"nodes", "", "n1"}, "u", 2, "{}"));
  cache.SetRevision(2);
  CHECK(cache.revision() == 2);
  CHECK(Names(cache.List("pods")) == Strings{"a/y", "a/z", "b/x", "c/w"});
  CHECK(Names(cache.List("pods", "a")) == Strings{"a/y", "a/z"});
  CHECK(Names(cache.List("pods", "aa")).empty());
  CHECK(Names(cache.List("nodes")) == Strings{"n1"});
  CHECK(cache.List("absent").empty());
  CHECK(cache.Count("pods") == 4);
  CHECK(cache.Count("absent") == 0);
  CHECK(cache.Resources() == Strings{"nodes", "pods"});
  CHECK(cache.Get("pods", "b", "x")->name() == "x");
  CHECK(cache.Get({"pods", "b", "y"}) == nullptr);
  CHECK(cache.Get({"absent", "b", "y"}) == nullptr);

  int seen = 0;
  cache.ForEach("pods", "", [&](const ObjectPtr&) { return ++seen < 2; });
  CHECK(seen == 2);
}

TEST_CASE("a chunked list goes on after where it stopped") {
  EventBus bus;
  WatchCache cache(bus);
  for (const char* name : {"a", "b", "c"}) {
    cache.Load(Pod("n1", name, 1));
    cache.Load(Pod("n2", name, 1));
  }
  struct Row {
    const char* ns;
    const char* after_ns;
    const char* after_name;
    Strings rest;
  };
  const Row rows[] = {
      {"", "", "", {"n1/a", "n1/b", "n1/c", "n2/a", "n2/b", "n2/c"}},
      {"", "n1", "b", {"n1/c", "n2/a", "n2/b", "n2/c"}},
      {"", "n1", "bb", {"n1/c", "n2/a", "n2/b", "n2/c"}},  // deleted meanwhile
      {"", "n2", "c", {}},
      {"n2", "n2", "a", {"n2/b", "n2/c"}},
      {"n2", "n1", "a", {"n2/a", "n2/b", "n2/c"}},
      {"n1", "n1", "c", {}},
      {"n1", "n2", "a", {}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.ns, row.after_ns, row.after_name);
    std::vector<ObjectPtr> rest;
    cache.ForEachAfter("pods", row.ns, row.after_ns, row.after_name, [&](const ObjectPtr& o) {
      rest.push_back(o);
      return true;
    });
    CHECK(Names(rest) == row.rest);
  }
}

TEST_CASE("a replaced object may die: the cache keys by the new one") {
  EventBus bus;
  WatchCache cache(bus, 1);
  const std::string name = "a name that is longer than a short string can be";
  for (uint64_t revision = 1; revision <= 5; ++revision) {
    cache.Apply(Change(revision == 1 ? EventType::kAdded : EventType::kModified, Pod("default", name, revision)));
  }
  REQUIRE(cache.Get("pods", "default", name));
  CHECK(cache.Get("pods", "default", name)->revision() == 5);
  CHECK(cache.Count("pods") == 1);
}

TEST_CASE("indexes follow adds, changes and deletes") {
  EventBus bus;
  WatchCache cache(bus);
  cache.AddIndex("node", "pods", ByNode);
  cache.AddIndex("owner", "", ByOwner);
  cache.Load(Pod("a", "p1", 1, "n1", {"o1"}));
  cache.Load(Pod("a", "p2", 2, "", {"o1", "o2", "o1"}));
  cache.SetRevision(2);
  cache.Apply(Change(EventType::kAdded, Pod("b", "p0", 3, "n1")));
  CHECK(Names(cache.ByIndex("node", "n1")) == Strings{"a/p1", "b/p0"});
  CHECK(Names(cache.ByIndex("node", "")) == Strings{"a/p2"});
  CHECK(Names(cache.ByIndex("owner", "o1")) == Strings{"a/p1", "a/p2"});
  CHECK(Names(cache.ByIndex("owner", "o2")) == Strings{"a/p2"});
  CHECK(cache.ByIndex("node", "absent").empty());

  cache.Apply(Change(EventType::kModified, Pod("a", "p2", 4, "n1", {"o2"})));
  CHECK(Names(cache.ByIndex("node", "n1")) == Strings{"a/p1", "a/p2", "b/p0"});
  CHECK(cache.ByIndex("node", "").empty());
  CHECK(Names(cache.ByIndex("owner", "o1")) == Strings{"a/p1"});
  CHECK(cache.ByIndex("owner", "o2").front()->revision() == 4);

  cache.Apply(Change(EventType::kDeleted, Pod("a", "p1", 5, "elsewhere")));
  CHECK(Names(cache.ByIndex("node", "n1")) == Strings{"a/p2", "b/p0"});
  CHECK(cache.ByIndex("owner", "o1").empty());
  cache.Apply(Change(EventType::kDeleted, Pod("a", "absent", 6)));
  CHECK(cache.Count("pods") == 2);
}

TEST_CASE("indexes agree with a scan after any sequence of changes") {
  for (uint32_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    EventBus bus;
    WatchCache cache(bus, 8);
    cache.AddIndex("node", "pods", ByNode, SameNode);
    cache.AddIndex("owner", "pods", ByOwner);
    std::map<std::string, std::pair<std::string, std::set<std::string>>> model;
    for (uint64_t revision = 1; revision <= 200; ++revision) {
      const std::string name = "p" + std::to_string(random() % 8);
      if (random() % 4 == 0) {
        cache.Apply(Change(EventType::kDeleted, Pod("a", name, revision)));
        model.erase(name);
        continue;
      }
      const std::string node = "n" + std::to_string(random() % 3);
      std::vector<std::string> owners;
      for (uint32_t i = random() % 3; i > 0; --i) owners.push_back("o" + std::to_string(random() % 3));
      cache.Apply(
          Change(model.count(name) ? EventType::kModified : EventType::kAdded, Pod("a", name, revision, node, owners)));
      model[name] = {node, {owners.begin(), owners.end()}};
      for (const char* digit : {"0", "1", "2"}) {
        Strings on_node;
        Strings of_owner;
        for (const auto& [pod, where] : model) {
          if (where.first == std::string("n") + digit) on_node.push_back("a/" + pod);
          if (where.second.count(std::string("o") + digit)) of_owner.push_back("a/" + pod);
        }
        REQUIRE(Names(cache.ByIndex("node", std::string("n") + digit)) == on_node);
        REQUIRE(Names(cache.ByIndex("owner", std::string("o") + digit)) == of_owner);
      }
    }
  }
}

TEST_CASE("a watch resumes from the ring as far as it reaches") {
  EventBus bus;
  WatchCache cache(bus, 3);
  cache.Load(Pod("a", "old", 7));
  cache.SetRevision(10);
  CHECK(cache.ring_floor("pods") == 10);
  CHECK(cache.ring_floor("absent") == 10);
  const auto since = [&](uint64_t after, const char* resource = "pods") {
    std::vector<EventPtr> events;
    std::string out = cache.EventsSince(resource, after, events) ? "" : "expired";
    for (const auto& event : events) out += std::to_string(event->revision()) + " ";
    return out;
  };
  CHECK(since(10).empty());
  CHECK(since(9) == "expired");
  for (const uint64_t revision : {12, 15, 16})
    cache.Apply(Change(EventType::kAdded, Pod("a", "p" + std::to_string(revision), revision)));
  CHECK(since(10) == "12 15 16 ");
  CHECK(since(12) == "15 16 ");
  CHECK(since(13) == "15 16 ");
  CHECK(since(16).empty());
  CHECK(since(99).empty());
  CHECK(since(10, "absent").empty());
  CHECK(since(9, "absent") == "expired");

  cache.Apply(Change(EventType::kAdded, Pod("a", "p20", 20)));
  CHECK(cache.ring_floor("pods") == 12);
  CHECK(since(11) == "expired");
  CHECK(since(12) == "15 16 20 ");

  // A resource seen for the first time after the start reaches back to the start.
  cache.Apply(Change(EventType::kAdded, std::make_shared<const Object>(ObjectKey{"nodes", "", "n"}, "u", 21, "{}")));
  CHECK(since(10, "nodes") == "21 ");
  CHECK(since(9, "nodes") == "expired");
  CHECK(cache.revision() == 21);
}

TEST_CASE("an event is published when the cache already shows it") {
  EventBus bus;
  WatchCache cache(bus);
  std::vector<uint64_t> seen;
  bus.AddHandler("pods", [&](const Event& event) {
    const ObjectPtr object = cache.Get(event.object->key());
    CHECK((object != nullptr) == (event.type != EventType::kDeleted));
    CHECK(cache.revision() == event.revision());
    std::vector<EventPtr> ring;
    CHECK(cache.EventsSince("pods", event.revision() - 1, ring));
    CHECK(ring.size() == 1);
    seen.push_back(event.revision());
  });
  auto subscription = bus.Subscribe("pods", 10);
  cache.Apply(Change(EventType::kAdded, Pod("a", "p", 1)));
  cache.Apply(Change(EventType::kDeleted, Pod("a", "p", 2)));
  CHECK(seen == std::vector<uint64_t>{1, 2});
  CHECK(subscription->Pop()->revision() == 1);
}

}  // namespace
}  // namespace wherry
