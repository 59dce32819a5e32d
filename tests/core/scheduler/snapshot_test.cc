#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <vector>

#include "core/scheduler/snapshot.h"
#include "tests/core/scheduler/fixtures.h"

namespace wherry::testing {
namespace {

std::map<std::string, ClusterEvents> Changes(Snapshot& snapshot) {
  std::map<std::string, ClusterEvents> changes;
  for (const Snapshot::Change& change : snapshot.TakeChanges()) changes[change.node] |= change.events;
  return changes;
}

using Expected = std::map<std::string, ClusterEvents>;

}  // namespace

TEST_CASE("Snapshot: pods are counted on their node while they use it") {
  Snapshot s;
  s.PutNode(*Stored(NodeJson("n1")));
  const Json pod = PodAsking("a", "1500m", "1Gi", {{"spec", {{"hostNetwork", true}}}});
  s.PutPod(Stored(pod));
  CHECK(s.Find("n1")->pods.empty());
  s.PutPod(Stored(BoundTo(pod, "n1")));
  CHECK(s.Find("n1")->requested.milli_cpu == 1500);
  CHECK(s.Find("n1")->requested.memory == int64_t{1} << 30);
  CHECK(s.Find("n1")->pods.size() == 1);
  s.PutPod(Stored(BoundTo(PodAsking("a", "500m", "1Gi"), "n1")));  // resized
  CHECK(s.Find("n1")->requested.milli_cpu == 500);
  Json done = BoundTo(pod, "n1");
  done["status"]["phase"] = "Failed";
  s.PutPod(Stored(done));
  CHECK(s.Find("n1")->requested == Amounts());
  CHECK(s.Find("n1")->pods.empty());
  CHECK(s.Inconsistency() == "");
}

TEST_CASE("Snapshot: an assumed pod counts at once and is confirmed or forgotten") {
  Snapshot s;
  s.PutNode(*Stored(NodeJson("n1")));
  s.PutNode(*Stored(NodeJson("n2")));
  const Json pod = PodAsking("a", "1", "1Gi");
  s.Assume(Stored(pod), "n1");
  CHECK(s.Find("n1")->requested.milli_cpu == 1000);
  CHECK(s.Counts("uid-a"));

  SECTION("an update of the unbound pod does not undo it") {
    s.PutPod(Stored(pod, 2));
    CHECK(s.Find("n1")->requested.milli_cpu == 1000);
    s.Forget("uid-a");
    CHECK(s.Find("n1")->requested.milli_cpu == 0);
    CHECK_FALSE(s.Counts("uid-a"));
  }
  SECTION("seen bound, it can no longer be forgotten") {
    s.PutPod(Stored(BoundTo(pod, "n1")));
    s.Forget("uid-a");
    CHECK(s.Find("n1")->requested.milli_cpu == 1000);
  }
  SECTION("somebody else bound it elsewhere") {
    s.PutPod(Stored(BoundTo(pod, "n2")));
    CHECK(s.Find("n1")->requested.milli_cpu == 0);
    CHECK(s.Find("n2")->requested.milli_cpu == 1000);
    s.Forget("uid-a");
    CHECK(s.Find("n2")->requested.milli_cpu == 1000);
  }
  SECTION("deleted while its bind is under way") {
    s.RemovePod("uid-a");
    CHECK(s.Find("n1")->requested.milli_cpu == 0);
    s.Forget("uid-a");
  }
  CHECK(s.Inconsistency() == "");
}

TEST_CASE("Snapshot: pods may be known before their node and stay when it goes") {
  Snapshot s;
  s.PutPod(Stored(BoundTo(PodAsking("a", "1", "1Gi"), "n1")));
  CHECK(s.Find("n1") == nullptr);
  CHECK(s.nodes().empty());
  s.PutNode(*Stored(NodeJson("n1")));
  CHECK(s.Find("n1")->requested.milli_cpu == 1000);
  s.RemoveNode("n1");
  CHECK(s.Find("n1") == nullptr);
  CHECK(s.pods() == 1);
  s.PutNode(*Stored(NodeJson("n1")));
  CHECK(s.Find("n1")->requested.milli_cpu == 1000);
  s.RemovePod("uid-a");
  s.RemoveNode("n1");
  CHECK(s.Inconsistency() == "");
}

TEST_CASE("Snapshot: tells what changed, and heartbeats are nothing") {
  Snapshot s;
  s.PutNode(*Stored(NodeJson("n1")));
  CHECK(Changes(s) == Expected{{"n1", kNodeAdded}});
  CHECK(Changes(s).empty());

  Json node = NodeJson("n1");
  node["status"]["conditions"] = {{{"type", "Ready"}, {"lastHeartbeatTime", "2026-01-01T00:00:00Z"}}};
  node["metadata"]["annotations"]["note"] = "x";
  s.PutNode(*Stored(node));
  CHECK(Changes(s).empty());
  CHECK_FALSE(s.changed());

  node["status"]["allocatable"]["cpu"] = "8";
  s.PutNode(*Stored(node));
  CHECK(Changes(s) == Expected{{"n1", kNodeAllocatable}});
  node["metadata"]["labels"]["zone"] = "a";
  s.PutNode(*Stored(node));
  CHECK(Changes(s) == Expected{{"n1", kNodeLabels}});
  node["spec"]["taints"] = {{{"key", "k"}, {"effect", "NoSchedule"}}};
  s.PutNode(*Stored(node));
  CHECK(Changes(s) == Expected{{"n1", kNodeTaints}});
  node["spec"]["unschedulable"] = true;
  s.PutNode(*Stored(node));
  CHECK(Changes(s) == Expected{{"n1", kNodeTaints}});

  const Json pod = BoundTo(PodJson("a"), "n1");
  s.PutPod(Stored(pod));
  CHECK(Changes(s) == Expected{{"n1", kPodAssigned}});
  Json running = pod;
  running["status"]["phase"] = "Running";
  s.PutPod(Stored(running));
  CHECK(Changes(s).empty());
  s.RemovePod("uid-a");
  CHECK(Changes(s) == Expected{{"n1", kPodGone}});

  s.RemoveNode("n1");
  CHECK(Changes(s) == Expected{{"n1", kNodeRemoved}});
}

TEST_CASE("Snapshot: counts the nodes of an image") {
  Snapshot s;
  const Json with = {{"status", {{"images", {{{"names", {"app:1", "app@sha"}}, {"sizeBytes", 5}}}}}}};
  s.PutNode(*Stored(NodeJson("n1", with)));
  s.PutNode(*Stored(NodeJson("n2", with)));
  CHECK(s.NodesWithImage("app:1") == 2);
  s.PutNode(*Stored(NodeJson("n2")));
  CHECK(s.NodesWithImage("app@sha") == 1);
  s.RemoveNode("n1");
  CHECK(s.NodesWithImage("app:1") == 0);
}

TEST_CASE("Snapshot: stays consistent under any order of events") {
  for (uint32_t seed = 1; seed <= 50; ++seed) {
    std::mt19937 random(seed);
    auto below = [&](int n) { return static_cast<int>(random() % static_cast<uint32_t>(n)); };
    Snapshot s;
    for (int step = 0; step < 200; ++step) {
      const std::string node = "n" + std::to_string(below(4));
      const std::string name = "p" + std::to_string(below(10));
      Json pod = PodAsking(name, std::to_string(below(3)), "1Gi");
      if (below(3) == 0) pod["spec"]["containers"][0]["resources"]["requests"]["x.io/gpu"] = std::to_string(below(3));
      if (below(3) == 0) pod["spec"]["containers"][0]["ports"] = {{{"containerPort", 80}, {"hostPort", 80}}};
      switch (below(7)) {
        case 0:
          s.PutNode(*Stored(NodeJson(node)));
          break;
        case 1:
          s.RemoveNode(node);
          break;
        case 2:
          s.PutPod(Stored(pod));
          break;
        case 3:
          s.PutPod(Stored(BoundTo(pod, node)));
          break;
        case 4:
          s.RemovePod("uid-" + name);
          break;
        case 5:
          s.Forget("uid-" + name);
          break;
        case 6:
          if (!s.Counts("uid-" + name)) s.Assume(Stored(pod), node);
          break;
      }
      if (below(10) == 0) s.TakeChanges();
      INFO("seed " << seed << " step " << step);
      REQUIRE(s.Inconsistency() == "");
    }
  }
}

}  // namespace wherry::testing
