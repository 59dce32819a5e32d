#include "store/object_store.h"

#include <catch2/catch.hpp>

#include "tests/store/store_fixture.h"

namespace wherry {
namespace {

const ObjectKey kA{"configmaps", "default", "a"};
const ObjectKey kB{"configmaps", "default", "b"};
const ObjectKey kSet{"daemonsets.apps", "default", "web"};

std::string Rv(uint64_t revision) { return std::to_string(revision); }

TEST_CASE("create, update and delete give ascending revisions and finished bytes") {
  StoreFixture f(StoreFixture::Inline());
  auto created = f.Do(Create(kA, "u1", "one"));
  REQUIRE(created.ok());
  CHECK((*created)->revision() == 1);
  CHECK(
      (*created)->bytes() ==
      R"({"apiVersion":"v1","data":{"v":"one"},"kind":"ConfigMap","metadata":{"name":"a","uid":"u1","resourceVersion":"1"}})");

  auto updated = f.Do(Update(kA, "u1", "two"));
  REQUIRE(updated.ok());
  CHECK((*updated)->revision() == 2);
  CHECK(f.cache->Get(kA) == *updated);

  auto deleted = f.Do(Delete(kA));
  REQUIRE(deleted.ok());
  CHECK((*deleted)->revision() == 3);
  CHECK((*deleted)->uid() == "u1");
  CHECK(
      (*deleted)->bytes() ==
      R"({"apiVersion":"v1","data":{"v":"two"},"kind":"ConfigMap","metadata":{"name":"a","uid":"u1","resourceVersion":"3"}})");
  CHECK(f.cache->Get(kA) == nullptr);

  REQUIRE(f.log.size() == 3);
  CHECK(f.log[0]->type == EventType::kAdded);
  CHECK(f.log[0]->previous == nullptr);
  CHECK(f.log[1]->type == EventType::kModified);
  CHECK(f.log[1]->previous == f.log[0]->object);
  CHECK(f.log[2]->type == EventType::kDeleted);
  CHECK(f.log[2]->previous == f.log[1]->object);
}

TEST_CASE("a delete may announce its own last state") {
  StoreFixture f(StoreFixture::Inline());
  REQUIRE(f.Do(Create(kA, "u1", "one")).ok());
  Mutation m = Delete(kA);
  m.draft = Draft(Doc("a", "u1", "last"));
  auto deleted = f.Do(std::move(m));
  REQUIRE(deleted.ok());
  CHECK((*deleted)->json()->at("data").at("v") == "last");
  CHECK((*deleted)->uid() == "u1");
}

TEST_CASE("refusals say what the API says and change nothing") {
  StoreFixture f(StoreFixture::Inline());
  REQUIRE(f.Do(Create(kSet, "u1", "one")).ok());  // revision 1
  REQUIRE(f.Do(Update(kSet, "u1", "two")).ok());  // revision 2

  const auto with = [](Mutation m, std::optional<uint64_t> revision, std::string uid) {
    m.expected_revision = revision;
    m.expected_uid = std::move(uid);
    return m;
  };
  Mutation no_document = Update(kSet, "u1", "x");
  no_document.draft.reset();
  struct Row {
    Mutation mutation;
    Reason reason;
    std::string message;
  };
  const ObjectKey absent{"daemonsets.apps", "default", "absent"};
  const ObjectKey unknown{"widgets.a.example.com", "", "w"};
  const std::string modified =
      "Operation cannot be fulfilled on daemonsets.apps \"web\": the object has been modified; please apply your "
      "changes to the "
      "latest version and try again";
  const Row rows[] = {
      {Create(kSet, "u2", "x"), Reason::kAlreadyExists, "daemonsets.apps \"web\" already exists"},
      {Update(absent, "u2", "x"), Reason::kNotFound, "daemonsets.apps \"absent\" not found"},
      {Delete(absent), Reason::kNotFound, "daemonsets.apps \"absent\" not found"},
      {Delete(unknown), Reason::kNotFound, "widgets.a.example.com \"w\" not found"},
      {with(Update(kSet, "u1", "x"), 1, ""), Reason::kConflict, modified},
      {with(Update(kSet, "u1", "x"), 3, ""), Reason::kConflict, modified},
      {with(Delete(kSet), 1, ""), Reason::kConflict, modified},
      {with(Delete(kSet), {}, "other"), Reason::kConflict,
       "Operation cannot be fulfilled on daemonsets.apps \"web\": Precondition failed: UID in precondition: other, UID "
       "in object "
       "meta: u1"},
      {with(Delete(kSet), 1, "other"), Reason::kConflict,
       "Operation cannot be fulfilled on daemonsets.apps \"web\": Precondition failed: UID in precondition: other, UID "
       "in object "
       "meta: u1"},
      {no_document, Reason::kInternalError,
       "a create or update of daemonsets.apps default/web came without a document"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.message);
    auto result = f.Do(row.mutation);
    REQUIRE_FALSE(result.ok());
    CHECK(result.status().reason() == row.reason);
    CHECK(result.status().message() == row.message);
  }
  auto refused = f.Do(Create(kSet, "u2", "x"));
  CHECK(refused.status().details().kind == "daemonsets");
  CHECK(refused.status().details().group == "apps");
  CHECK(refused.status().details().name == "web");
  CHECK(f.Do(Delete(unknown)).status().details().group == "a.example.com");

  // The next revision shows that none was spent.
  auto accepted = f.Do(with(Update(kSet, "u1", "three"), 2, "u1"));
  REQUIRE(accepted.ok());
  CHECK((*accepted)->revision() == 3);
}

TEST_CASE("mutations of one batch see each other, and a refused one leaves the others") {
  TempDir dir;
  StoreFixture f(StoreFixture::Threaded(dir / "db"));
  std::vector<std::string> answers;
  const auto record = [&](Result<ObjectPtr> result) {
    answers.push_back(result.ok() ? Rv((*result)->revision()) : std::string(result.status().reason_string()));
  };
  f.store->Commit(Create(kA, "u1", "1"), record);
  f.store->Commit(Create(kA, "u2", "1"), record);
  f.store->Commit(Update(kA, "u1", "2"), record);
  Mutation stale = Update(kA, "u1", "3");
  stale.expected_revision = 1;
  f.store->Commit(std::move(stale), record);
  f.store->Commit(Delete(kA), record);
  f.store->Commit(Update(kA, "u1", "4"), record);
  f.store->Commit(Create(kA, "u3", "5"), record);
  CHECK(f.store->pending() == 7);
  f.loop.RunUntil([&] { return answers.size() == 7; });
  CHECK(f.store->pending() == 0);
  CHECK(answers == std::vector<std::string>{"1", "AlreadyExists", "2", "Conflict", "3", "NotFound", "4"});
  CHECK(f.cache->Get(kA)->uid() == "u3");
}

TEST_CASE("everybody can read what was written before anybody is resumed") {
  TempDir dir;
  StoreFixture f(StoreFixture::Threaded(dir / "db"));
  int answered = 0;
  for (int i = 0; i < 50; ++i) {
    f.store->Commit(Create({"configmaps", "default", "n" + std::to_string(i)}, "u", "v"),
                    [&](Result<ObjectPtr> result) {
                      REQUIRE(result.ok());
                      // The cache is at least as new as any answer, and holds this object.
                      CHECK(f.cache->revision() >= (*result)->revision());
                      CHECK(f.cache->Get((*result)->key()) == *result);
                      ++answered;
                    });
  }
  f.loop.RunUntil([&] { return answered == 50; });
}

TEST_CASE("a callback is never called from inside Commit") {
  StoreFixture f(StoreFixture::Inline());
  bool called = false;
  f.store->Commit(Create(kA, "u1", "1"), [&](Result<ObjectPtr>) { called = true; });
  CHECK_FALSE(called);
  CHECK(f.cache->Get(kA) == nullptr);
  f.loop.Drain();
  CHECK(called);
}

TEST_CASE("a restart finds the objects in key order, and revisions go on") {
  TempDir dir;
  StoreFixture f(StoreFixture::Threaded(dir / "db"));
  REQUIRE(f.Do(Create(kSet, "u1", "1")).ok());
  REQUIRE(f.Do(Create(kB, "u2", "1")).ok());
  REQUIRE(f.Do(Create(kA, "u3", "1")).ok());
  REQUIRE(f.Do(Create({"configmaps", "alpha", "z"}, "u4", "1")).ok());
  REQUIRE(f.Do(Update(kA, "u3", "2")).ok());
  REQUIRE(f.Do(Delete(kB)).ok());
  f.Restart();
  CHECK(f.store->start_revision() == 6);
  std::vector<std::string> found;
  REQUIRE(f.store
              ->LoadAll(
                  [&](ObjectPtr o) { found.push_back(o->key().ToString() + " " + o->uid() + " " + Rv(o->revision())); })
              .ok());
  CHECK(found == std::vector<std::string>{"configmaps alpha/z u4 4", "configmaps default/a u3 5",
                                          "daemonsets.apps default/web u1 1"});
  auto created = f.Do(Create(kB, "u5", "1"));
  REQUIRE(created.ok());
  CHECK((*created)->revision() == 7);
}

TEST_CASE("queued writes are completed when the store goes, their callbacks dropped") {
  TempDir dir;
  int called = 0;
  {
    // One transaction each, and asked for faster than they can be done: most are still queued at the end.
    StoreOptions options = StoreFixture::Threaded(dir / "db", Durability::kFull);
    options.max_batch = 1;
    StoreFixture f(options);
    std::vector<Mutation> writes;
    for (int i = 0; i < 300; ++i)
      writes.push_back(Create({"configmaps", "default", "n" + std::to_string(i)}, "u", "v"));
    for (Mutation& m : writes) f.store->Commit(std::move(m), [&](Result<ObjectPtr>) { ++called; });
    f.store->ReadHistory("configmaps", 0, 300, [&](auto) { ++called; });
    f.store.reset();
    CHECK(f.loop.Drain() > 0);  // the completions arrive late and do nothing
    CHECK(called == 0);
    CHECK(f.log.empty());
  }
  StoreFixture f(StoreFixture::Threaded(dir / "db"));
  CHECK(f.cache->Count("configmaps") == 300);
  CHECK(f.store->start_revision() == 300);
}

TEST_CASE("a callback may end the store") {
  StoreFixture f(StoreFixture::Inline());
  bool second = false;
  f.store->Commit(Create(kA, "u1", "1"), [&](Result<ObjectPtr>) { f.store.reset(); });
  f.store->Commit(Create(kB, "u1", "1"), [&](Result<ObjectPtr>) { second = true; });
  f.loop.Drain();
  CHECK(f.store == nullptr);
  CHECK_FALSE(second);
}

TEST_CASE("a large batch is split by count and by size") {
  TempDir dir;
  StoreOptions options = StoreFixture::Threaded(dir / "db");
  options.max_batch = 3;
  StoreFixture f(options);
  int answered = 0;
  for (int i = 0; i < 20; ++i) {
    f.store->Commit(Create({"configmaps", "default", "n" + std::to_string(i)}, "u", "v", i % 5 == 0 ? 3 << 20 : 0),
                    [&](Result<ObjectPtr> result) {
                      CHECK(result.ok());
                      ++answered;
                    });
  }
  f.loop.RunUntil([&] { return answered == 20; });
  f.Restart();
  CHECK(f.cache->Count("configmaps") == 20);
  CHECK(f.cache->Get("configmaps", "default", "n5")->bytes().size() > (3u << 20));
}

}  // namespace
}  // namespace wherry
