// The planner's side of the DaemonSet contract, one test per point; eligibility (points 1 and 3), history (11),
// adoption (12) and waking (16) have tests of their own beside their code.
#include "core/controllers/daemonset/daemonset_plan.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/core/controllers/daemonset/plan_world.h"

using namespace wherry;

TEST_CASE("Point 2: should run and should continue are two questions") {
  struct Case {
    const char* what;
    NodeVerdict verdict;
    bool has_pod;
    const char* acts;
  };
  const Case cases[] = {
      {"an eligible node gets a pod", kRuns, false, "+a"},
      {"an eligible node keeps its pod", kRuns, true, ""},
      {"a NoSchedule taint keeps new pods away", kStays, false, ""},
      {"a NoSchedule taint evicts nobody", kStays, true, ""},
      {"a node that refuses gets none", kRefuses, false, ""},
      {"a node that refuses loses its pod", kRefuses, true, "-web-a"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    PlanWorld world;
    world.Node("a", c.verdict);
    if (c.has_pod) world.Ready("web-a", "a");
    CHECK(world.Acts() == c.acts);
  }
}

TEST_CASE("Point 3: a pending pod pinned to a node counts for it") {
  PlanWorld world;
  world.Node("a");
  PodView& pod = world.Pod("web-a", "a");
  pod.node_name.clear();
  pod.phase = PodView::Phase::kPending;
  CHECK(world.Acts() == "");
  CHECK(world.Status().current == 1);
}

TEST_CASE("Point 4: a pod that does not fit counts as desired and is left alone") {
  PlanWorld world;
  world.Node("a").Node("b");
  world.Ready("web-a", "a");
  PodView& pod = world.Pod("web-b", "b");
  pod.node_name.clear();
  pod.phase = PodView::Phase::kPending;
  CHECK(world.Acts() == "");
  const DaemonSetStatus status = world.Status();
  CHECK(status.desired == 2);
  CHECK(status.current == 2);
  CHECK(status.available == 1);
}

TEST_CASE("Point 5: a terminating pod blocks its replacement, except when surging") {
  for (bool surge : {false, true}) {
    CAPTURE(surge);
    PlanWorld world;
    if (surge) world.set.max_unavailable = {0}, world.set.max_surge = {1};
    world.Node("a");
    world.Ready("web-a", "a").deleting = true;
    const DaemonSetPlan plan = world.Plan();
    CHECK(PlanWorld::Acts(plan) == (surge ? "+a" : ""));
    if (surge) CHECK(plan.creates[0].name == "");  // web-a is taken
  }
  SECTION("one that has ended already blocks nothing") {
    PlanWorld world;
    world.Node("a");
    world.Failed("web-a", "a").deleting = true;
    CHECK(world.Acts() == "+a");
  }
}

TEST_CASE("Point 6: failed pods are replaced with back-off, succeeded ones at once") {
  PlanWorld world;
  world.Node("a");
  world.Failed("web-a", "a");
  const std::string key = FailedPodBackoff::Key("set-uid", 1, "a");

  DaemonSetPlan plan = world.Plan();
  CHECK(PlanWorld::Acts(plan) == "-web-a");
  CHECK(plan.raise_backoff == std::vector<std::string>{"a"});
  REQUIRE(plan.notices.size() == 1);
  CHECK(plan.notices[0].type == "Warning");
  CHECK(plan.notices[0].reason == "FailedDaemonPod");
  CHECK(plan.notices[0].message == "Found failed daemon pod default/web-a on node a, will try to kill it");

  SECTION("the delay doubles from 1 s to 15 min and starts anew after a quiet spell") {
    const int64_t delays[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900};
    for (int64_t delay : delays) {
      CAPTURE(delay);
      world.backoff.Raise(key, world.now);
      plan = world.Plan();
      CHECK(PlanWorld::Acts(plan) == "");
      CHECK(plan.requeue_after == std::chrono::seconds(delay));
      world.now += std::chrono::seconds(delay);
      CHECK(world.Acts() == "-web-a");
    }
    world.now += std::chrono::minutes(31);
    world.backoff.Raise(key, world.now);
    CHECK(world.Plan().requeue_after == std::chrono::seconds(1));
    world.backoff.Forget(world.now + std::chrono::minutes(31));
    CHECK(world.backoff.size() == 0);
  }
  SECTION("another generation has a back-off of its own") {
    world.backoff.Raise(key, world.now);
    world.set.generation = 2;
    CHECK(world.Acts() == "-web-a");
  }
  SECTION("surging does not go round the back-off") {
    world.set.max_unavailable = {0}, world.set.max_surge = {1};
    CHECK(world.Acts() == "+a -web-a");
    world.backoff.Raise(key, world.now);
    CHECK(world.Acts() == "");
  }
  SECTION("succeeded") {
    PlanWorld other;
    other.Node("a");
    other.Pod("web-a", "a").phase = PodView::Phase::kSucceeded;
    const DaemonSetPlan ended = other.Plan();
    CHECK(PlanWorld::Acts(ended) == "-web-a");
    REQUIRE(ended.notices.size() == 1);
    CHECK(ended.notices[0].reason == "SucceededDaemonPod");
  }
}

TEST_CASE("Point 6: of duplicates on a node the scheduled, ready, oldest stays") {
  PlanWorld world;
  world.Node("a");
  SECTION("scheduled before pending") {
    world.Pod("x-pending", "a").node_name.clear();
    world.Pod("y-bound", "a");
    CHECK(world.Acts() == "-x-pending");
  }
  SECTION("ready before not ready, even if younger") {
    world.Pod("x", "a").created = PlanWorld::At(1);
    world.Ready("y", "a").created = PlanWorld::At(2);
    CHECK(world.Acts() == "-x");
  }
  SECTION("oldest of equals, then by name") {
    world.Ready("x", "a").created = PlanWorld::At(3);
    world.Ready("z", "a").created = PlanWorld::At(2);
    world.Ready("y", "a").created = PlanWorld::At(2);
    CHECK(world.Acts() == "-x -z");
  }
}

TEST_CASE("Point 7: the rolling update keeps its budget") {
  struct Case {
    const char* what;
    IntOrPercent max_unavailable;
    const char* pods;  // per node a, b, c …: O/o old available/not, N/n new available/not, T terminating, - none
    const char* acts;
  };
  const Case cases[] = {
      {"one at a time, in node order", {1}, "OOO", "-a"},
      {"the next once the first is available", {1}, "NOO", "-b"},
      {"a new one that is not available holds the budget", {1}, "nOO", ""},
      {"so does a terminating one", {1}, "TOO", ""},
      {"and a node without a pod", {1}, "-OO", "+a"},
      {"unavailable old pods go at once and count", {1}, "oOO", "-a"},
      {"all of them, whatever the budget", {1}, "ooO", "-a -b"},
      {"and do not stop for new unavailable ones", {1}, "noO", "-b"},
      {"two at a time", {2}, "OOO", "-a -b"},
      {"what is out already counts", {2}, "nOOO", "-b"},
      {"percent of desired, rounded up", {34, true}, "OOO", "-a -b"},
      {"1 % of three is one", {1, true}, "OOO", "-a"},
      {"100 % is everything", {100, true}, "OOO", "-a -b -c"},
      {"zero means one when nothing surges", {0}, "OOO", "-a"},
      {"0 % too", {0, true}, "OOO", "-a"},
      {"nothing to do", {1}, "NNN", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    PlanWorld world;
    world.set.max_unavailable = c.max_unavailable;
    for (size_t i = 0; c.pods[i]; ++i) {
      const std::string node(1, static_cast<char>('a' + i));
      world.Node(node);
      switch (c.pods[i]) {
        case 'O':
          world.Ready(node, node, "old");
          break;
        case 'o':
          world.Pod(node, node, "old");
          break;
        case 'N':
          world.Ready(node, node, "new");
          break;
        case 'n':
          world.Pod(node, node, "new");
          break;
        case 'T':
          world.Ready(node, node, "old").deleting = true;
          break;
        default:
          break;
      }
    }
    CHECK(world.Acts() == c.acts);
  }
}

TEST_CASE("Point 7: ready is not yet available while minReadySeconds run") {
  PlanWorld world;
  world.set.min_ready = std::chrono::seconds(30);
  world.Node("a").Node("b");
  world.Ready("a", "a", "new", 980);
  world.Ready("b", "b", "old");
  CHECK(world.Acts() == "");
  world.now = PlanWorld::At(1010);
  CHECK(world.Acts() == "-b");
}

TEST_CASE("Point 7: an old pod on a tainted node is replaced within the budget") {
  PlanWorld world;
  world.Node("a", kStays).Node("b");
  world.Ready("a", "a", "old");
  world.Ready("b", "b", "old");
  CHECK(world.Acts() == "-a");
}

TEST_CASE("Point 8: surging keeps the old pod until the new one is available") {
  struct Case {
    const char* what;
    IntOrPercent max_surge;
    const char* pods;  // per node: as above; "On" old available with new unavailable beside it
    const char* acts;
  };
  const Case cases[] = {
      {"a new pod starts beside the old", {1}, "O O O", "+a"},
      {"it waits for the new one", {1}, "On O O", ""},
      {"the old goes once the new is available, and the next node surges", {1}, "ON O O", "+b -old-a"},
      {"old and not ready: the new one stays alone", {1}, "on O O", "-old-a"},
      {"an old pod that is not available is doubled outside the budget", {1}, "o o O", "+a +b +c"},
      {"two nodes at once", {2}, "O O O", "+a +b"},
      {"percent rounded up", {50, true}, "O O O", "+a +b"},
      {"nodes without a pod get one", {1}, "- O O", "+a +b"},
      {"nothing to do", {1}, "N N N", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    PlanWorld world;
    world.set.max_unavailable = {0};
    world.set.max_surge = c.max_surge;
    char node_name = 'a';
    std::string node(1, node_name);
    world.Node(node);
    for (const char* at = c.pods; *at; ++at) {
      switch (*at) {
        case 'O':
          world.Ready("old-" + node, node, "old");
          break;
        case 'o':
          world.Pod("old-" + node, node, "old");
          break;
        case 'N':
          world.Ready("new-" + node, node, "new");
          break;
        case 'n':
          world.Pod("new-" + node, node, "new");
          break;
        case ' ':
          world.Node(node = std::string(1, ++node_name));
          break;
        default:
          break;
      }
    }
    CHECK(world.Acts() == c.acts);
  }
  SECTION("minReadySeconds is waited for") {
    PlanWorld world;
    world.set.max_unavailable = {0}, world.set.max_surge = {1};
    world.set.min_ready = std::chrono::seconds(30);
    world.Node("a");
    world.Ready("old", "a", "old");
    world.Ready("new", "a", "new", 990);
    CHECK(world.Acts() == "");
    Duration wait{0};
    ObserveDaemonSet(world.Inputs(), &wait);
    CHECK(wait == std::chrono::seconds(20));
    world.now = PlanWorld::At(1020);
    CHECK(world.Acts() == "-old");
  }
  SECTION("a node that should not run it any more is left when enough others are up") {
    PlanWorld world;
    world.set.max_unavailable = {0}, world.set.max_surge = {1};
    world.Node("a", kStays).Node("b");
    world.Ready("old-a", "a", "old");
    CHECK(world.Acts() == "+b");
    world.Ready("new-b", "b", "new");
    CHECK(world.Acts() == "-old-a");
  }
}

TEST_CASE("Point 9: OnDelete replaces nothing by itself") {
  PlanWorld world;
  world.set.on_delete = true;
  world.Node("a").Node("b");
  world.Ready("web-a", "a", "old");
  world.Pod("web-b", "b", "old");
  CHECK(world.Acts() == "");
  PlanWorld after;
  after.set.on_delete = true;
  after.Node("a");
  CHECK(after.Acts() == "+a");
}

TEST_CASE("Point 10: availability is looked at again when it becomes true") {
  PlanWorld world;
  world.set.min_ready = std::chrono::seconds(30);
  world.Node("a").Node("b").Node("c");
  world.Ready("a", "a", "new", 980);
  world.Ready("b", "b", "new", 990);
  world.Ready("c", "c", "new", 900);
  Duration wait{0};
  const DaemonSetStatus status = ObserveDaemonSet(world.Inputs(), &wait);
  CHECK(status.ready == 3);
  CHECK(status.available == 1);
  CHECK(wait == std::chrono::seconds(10));
  world.now += std::chrono::seconds(20);
  wait = Duration(0);
  CHECK(ObserveDaemonSet(world.Inputs(), &wait).available == 3);
  CHECK(wait == Duration(0));
}

TEST_CASE("Point 11: the template generation label also says up to date") {
  PlanWorld world;
  world.set.template_generation = "3";
  world.Node("a").Node("b");
  world.Ready("a", "a", "other").template_generation = "3";
  world.Ready("b", "b", "other").template_generation = "2";
  CHECK(world.Acts() == "-b");
  CHECK(world.Status().updated == 1);
}

TEST_CASE("Point 13: a burst is 250 creates; the rest follows at once") {
  PlanWorld world;
  for (int i = 0; i < 300; ++i) world.Node("node-" + std::to_string(1000 + i));
  const DaemonSetPlan plan = world.Plan();
  CHECK(plan.creates.size() == 250);
  CHECK(plan.creates[0].node == "node-1000");
  CHECK(plan.requeue_after == Duration(1));
}

TEST_CASE("Point 15: status counts every node once") {
  PlanWorld world;
  world.Node("a").Node("b").Node("c").Node("d", kStays).Node("e", kRefuses);
  world.Ready("a", "a", "new");
  world.Pod("b", "b", "old");
  world.Ready("d", "d", "new");
  const DaemonSetStatus status = world.Status();
  CHECK(status.desired == 3);
  CHECK(status.current == 2);
  CHECK(status.misscheduled == 1);
  CHECK(status.ready == 1);
  CHECK(status.updated == 1);
  CHECK(status.available == 1);
  CHECK(status.unavailable() == 2);
  CHECK(status.excluded == 2);

  const Json document = StatusDocument(status, nullptr, 7, world.now);
  Json numbers = document;
  numbers.erase("conditions");
  CHECK(numbers == Json({{"currentNumberScheduled", 2},
                         {"numberMisscheduled", 1},
                         {"desiredNumberScheduled", 3},
                         {"numberReady", 1},
                         {"observedGeneration", 7},
                         {"updatedNumberScheduled", 1},
                         {"numberAvailable", 1},
                         {"numberUnavailable", 2}}));
}

TEST_CASE("Point 15: while surging the pod that stays is counted") {
  PlanWorld world;
  world.Node("a");
  world.Ready("old", "a", "old").deleting = true;
  world.Ready("new", "a", "new");
  CHECK(world.Status().updated == 1);
}

TEST_CASE("Point 16: pods pinned to a node that is gone are removed") {
  PlanWorld world;
  world.Node("b");
  world.Ready("web-b", "b");
  world.Pod("web-a", "a").node_name.clear();
  world.Pod("web-c", "c").node_name.clear();
  world.Ready("web-d", "d");  // bound: the pod garbage collector's
  CHECK(world.Acts() == "-web-a -web-c");
}

TEST_CASE("Point 17: names are readable when they are free and short") {
  PlanWorld world;
  world.taken.insert("web-b");
  const std::string fits(63 - 4, 'n'), too_long(63 - 3, 'n');
  world.Node("a").Node("b").Node(fits).Node(too_long);
  const DaemonSetPlan plan = world.Plan();
  REQUIRE(plan.creates.size() == 4);
  CHECK(plan.creates[0].name == "web-a");
  CHECK(plan.creates[1].name == "");
  CHECK(plan.creates[2].name == "web-" + fits);
  CHECK(plan.creates[3].name == "");
}

TEST_CASE("Point 18: status says why a node has no available pod") {
  PlanWorld world;
  world.set.min_ready = std::chrono::seconds(30);
  world.Node("a").Node("b").Node("c").Node("d").Node("e", kStays).Node("f", kRefuses);
  world.Pod("a", "a").why = "container web waits: ImagePullBackOff: no image";
  world.Pod("b", "b").why = "container web waits: ImagePullBackOff: no image";
  world.Ready("c", "c", "new", 990);
  const DaemonSetStatus status = world.Status();
  CHECK(status.why_unavailable ==
        "container web waits: ImagePullBackOff: no image (2 nodes: a, b); c: its pod has not been ready for "
        "minReadySeconds "
        "yet; d: it has no pod yet");
  CHECK(status.why_excluded ==
        "e: it has the untolerated taint a=b:NoSchedule; f: it does not match the pod's node selector");

  const Json first = StatusDocument(status, nullptr, 1, world.now);
  CHECK(first["conditions"] == Json::array({{{"type", "wherry.dev/NodesUnavailable"},
                                             {"status", "True"},
                                             {"reason", "NodesWithoutAvailablePod"},
                                             {"message", status.why_unavailable},
                                             {"lastTransitionTime", "1970-01-01T00:16:40Z"}},
                                            {{"type", "wherry.dev/NodesExcluded"},
                                             {"status", "True"},
                                             {"reason", "NodesNotEligible"},
                                             {"message", status.why_excluded},
                                             {"lastTransitionTime", "1970-01-01T00:16:40Z"}}}));
  SECTION("the transition time stands while the status does; strangers' conditions stay") {
    Json old = first;
    old["conditions"].push_back({{"type", "example.com/Theirs"}, {"status", "True"}});
    old["collisionCount"] = 2;
    const Json same = StatusDocument(status, &old, 1, PlanWorld::At(2000));
    CHECK(same == old);
    const Json fine = StatusDocument(DaemonSetStatus{}, &old, 1, PlanWorld::At(2000));
    CHECK(fine["conditions"][0] == Json({{"type", "wherry.dev/NodesUnavailable"},
                                         {"status", "False"},
                                         {"reason", "EveryNodeAvailable"},
                                         {"lastTransitionTime", "1970-01-01T00:33:20Z"}}));
    CHECK(fine["conditions"][1]["status"] == "False");
    CHECK(fine["conditions"][2]["type"] == "example.com/Theirs");
    CHECK(fine["collisionCount"] == 2);
  }
  SECTION("the message is bounded") {
    PlanWorld large;
    for (int i = 0; i < 500; ++i) {
      const std::string node = "node-" + std::to_string(1000 + i);
      large.Node(node);
      large.Pod(node, node).why = "reason " + std::to_string(i) + " " + std::string(200, 'x');
    }
    CHECK(large.Status().why_unavailable.size() <= 1024);
  }
}
