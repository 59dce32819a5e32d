#include <catch2/catch.hpp>

#include "core/scheduler/pod_demand.h"
#include "core/scheduler/queue.h"
#include "tests/core/scheduler/fixtures.h"

namespace wherry::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

ObjectPtr Pod(const std::string& name, int priority = 0, const std::string& created = "2026-01-01T00:00:00Z") {
  return Stored(PodJson(name, {{"metadata", {{"creationTimestamp", created}}}, {"spec", {{"priority", priority}}}}));
}

// A queue on a manual clock; Next() is the name of what Pop gives, "" when nothing.
struct Bench {
  ManualClock clock;
  SchedulingQueue queue{clock};
  int woken = 0;
  Bench() {
    queue.set_on_ready([this] { ++woken; });
  }

  QueuedPod* last = nullptr;
  std::string Next() {
    last = queue.Pop();
    return last == nullptr ? "" : last->pod->name();
  }
  void Advance(Duration duration) {
    const Time end = clock.Now() + duration;
    while (clock.FireNext(end - clock.Now())) {
    }
    clock.MoveTo(end);
  }
  // Wakes whatever concerns the node, and says whom.
  std::string Wake(const std::string& node) {
    std::string names;
    queue.Wake(node, [&](QueuedPod& pod) {
      names += pod.pod->name() + " ";
      return true;
    });
    return names;
  }
};

}  // namespace

TEST_CASE("Queue: priority, then age, then arrival") {
  Bench b;
  b.queue.Put(Pod("young", 0, "2026-01-01T00:00:09Z"));
  b.queue.Put(Pod("old", 0, "2026-01-01T00:00:01Z"));
  b.queue.Put(Pod("urgent", 1000, "2026-01-01T00:00:09Z"));
  b.queue.Put(Pod("later", 0, "2026-01-01T00:00:01Z"));
  b.queue.Put(Pod("lazy", -5, "2026-01-01T00:00:00Z"));
  CHECK(b.Next() == "urgent");
  CHECK(b.Next() == "old");
  CHECK(b.Next() == "later");
  CHECK(b.Next() == "young");
  CHECK(b.Next() == "lazy");
  CHECK(b.Next() == "");
  CHECK(b.queue.size() == 5);  // in flight until said otherwise
}

TEST_CASE("Queue: a pod is queued once, and gone when removed") {
  Bench b;
  b.queue.Put(Pod("a"));
  b.queue.Put(Pod("a"));
  b.queue.Put(Pod("b"));
  CHECK(b.queue.active() == 2);
  b.queue.Remove("uid-b");
  b.queue.Remove("uid-unknown");
  CHECK(b.Next() == "a");
  b.queue.Remove("uid-a");
  CHECK(b.queue.size() == 0);
  CHECK(b.Next() == "");
}

TEST_CASE("Queue: a refused pod sleeps until something helps") {
  Bench b;
  b.queue.Put(Pod("a"));
  CHECK(b.Next() == "a");
  b.queue.Refuse(*b.last, 1, {});
  CHECK(b.Next() == "");
  b.Advance(minutes(4));
  CHECK(b.Next() == "");
  CHECK(b.woken == 0);
  b.queue.Wake("n1", [](QueuedPod&) { return false; });
  CHECK(b.Next() == "");
  CHECK(b.Wake("n1") == "a ");
  CHECK(b.Next() == "a");
  CHECK(b.last->attempts == 2);
}

TEST_CASE("Queue: a pod tied to a node is offered only that node's changes") {
  Bench b;
  b.queue.Put(Pod("tied"));
  b.queue.Put(Pod("free"));
  CHECK(b.Next() == "tied");
  b.queue.Refuse(*b.last, 1, {"n1", "n2"});
  CHECK(b.Next() == "free");
  b.queue.Refuse(*b.last, 1, {});
  CHECK(b.Wake("n3") == "free ");
  CHECK(b.Wake("n2") == "tied ");
  CHECK(b.Wake("n1") == "");  // nobody sleeps any more
}

TEST_CASE("Queue: a woken pod in back-off gives way to others, but does not wait for nothing") {
  Bench b;
  b.queue.Put(Pod("a", 10));
  CHECK(b.Next() == "a");
  b.queue.Refuse(*b.last, 1, {});
  b.queue.Put(Pod("b", 0));
  b.Wake("");
  CHECK(b.Next() == "b");
  CHECK(b.Next() == "a");

  // Its back-off has ended: priority counts again.
  b.queue.Refuse(*b.last, 1, {});  // 2 s
  b.queue.Put(Pod("c", 0));
  b.Wake("");
  b.Advance(seconds(2));
  CHECK(b.Next() == "a");
  CHECK(b.Next() == "c");
}

TEST_CASE("Queue: a failed bind is retried after 1 s doubling to 10 s, not before") {
  Bench b;
  b.queue.Put(Pod("a"));
  CHECK(b.Next() == "a");
  for (const int wait : {1, 2, 4, 8, 10, 10}) {
    INFO(wait);
    b.queue.Retry(*b.last);
    const int woken = b.woken;
    b.Advance(seconds(wait) - milliseconds(1));
    CHECK(b.Next() == "");
    CHECK(b.woken == woken);
    b.Advance(milliseconds(1));
    CHECK(b.woken == woken + 1);
    CHECK(b.Next() == "a");
  }
}

TEST_CASE("Queue: its own change wakes a refused pod, a status does not") {
  Bench b;
  b.queue.Put(Pod("a"));
  CHECK(b.Next() == "a");
  b.queue.Refuse(*b.last, 1, {});
  b.queue.Put(Stored(PodJson("a", {{"metadata", {{"creationTimestamp", "2026-01-01T00:00:00Z"}}},
                                   {"spec", {{"priority", 0}}},
                                   {"status", {{"conditions", {{{"type", "PodScheduled"}, {"status", "False"}}}}}}})));
  CHECK(b.Next() == "");
  b.queue.Put(Stored(PodJson("a", {{"spec", {{"tolerations", {{{"operator", "Exists"}}}}}}})));
  CHECK(b.Next() == "a");
  CHECK(b.last->pod->view<PodDemand>().request.tolerations.size() == 1);
}

TEST_CASE("Queue: no refusal lasts longer than five minutes, and an empty queue has no timer") {
  Bench b;
  CHECK(b.clock.NextTimer() == Time::max());
  b.queue.Put(Pod("a"));
  b.queue.Put(Pod("b"));
  CHECK(b.Next() == "a");
  b.queue.Refuse(*b.last, 1, {});
  b.Advance(minutes(1));
  CHECK(b.Next() == "b");
  b.queue.Refuse(*b.last, 1, {"n1"});
  b.Advance(minutes(4));
  CHECK(b.woken == 1);
  CHECK(b.Next() == "a");
  CHECK(b.Next() == "");
  b.queue.Remove("uid-a");
  b.Advance(minutes(1));
  CHECK(b.Next() == "b");
  b.queue.Remove("uid-b");
  b.Advance(minutes(10));
  CHECK(b.clock.NextTimer() == Time::max());
}

}  // namespace wherry::testing
