#include "core/controllers/autoscaler/scaling_rules.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace wherry {
namespace {

using std::chrono::seconds;

// Looks every 15 s; what is decided is done.
class World {
 public:
  explicit World(Json behavior = nullptr, int64_t size = 1)
      : current(size), up_(ScalingRules::Up(behavior)), down_(ScalingRules::Down(behavior)) {
    history_.recommendations.push_back({now_, size});
  }
  int64_t Want(int64_t wanted, Duration later = seconds(15)) {
    now_ += later;
    last = DecideScale(current, wanted, least, most, up_, down_, history_, now_);
    if (last.replicas != current) history_.NoteChange(now_, current, last.replicas, up_, down_);
    return current = last.replicas;
  }

  int64_t current, least = 1, most = 100;
  ScalingDecision last;

 private:
  ScalingRules up_, down_;
  ScalingHistory history_;
  Time now_ = Time(std::chrono::hours(480'000));
};

}  // namespace

TEST_CASE("without rules growth is the greater of 4 pods and 100 % in 15 s") {
  World world;
  CHECK(world.Want(100) == 5);
  CHECK(world.last.limit_reason == "ScaleUpLimit");
  CHECK(world.Want(100) == 10);
  CHECK(world.Want(100, seconds(5)) == 10);  // within the same 15 s
  CHECK(world.Want(100, seconds(10)) == 20);
  CHECK(world.Want(100) == 40);
  CHECK(world.Want(100) == 80);
  CHECK(world.Want(120) == 100);
  CHECK(world.last.limit_reason == "TooManyReplicas");
  CHECK(world.last.limited);
}

TEST_CASE("without rules the size falls to the highest of the last five minutes") {
  World world(nullptr, 10);
  CHECK(world.Want(8) == 10);
  CHECK(world.last.able_reason == "ScaleDownStabilized");
  CHECK(world.Want(2, seconds(200)) == 10);
  CHECK(world.Want(2, seconds(90)) == 8);  // the first 10 is forgotten, the 8 is not
  CHECK(world.Want(2, seconds(15)) == 2);
  CHECK(world.Want(0, seconds(400)) == 1);
  CHECK(world.last.limit_reason == "TooFewReplicas");
}

TEST_CASE("policies limit how fast, the window how soon") {
  const Json slow = {
      {"scaleUp",
       {{"stabilizationWindowSeconds", 60}, {"policies", {{{"type", "Pods"}, {"value", 2}, {"periodSeconds", 60}}}}}},
      {"scaleDown",
       {{"stabilizationWindowSeconds", 0},
        {"selectPolicy", "Min"},
        {"policies",
         {{{"type", "Percent"}, {"value", 50}, {"periodSeconds", 60}},
          {{"type", "Pods"}, {"value", 3}, {"periodSeconds", 60}}}}}}};
  World world(slow, 4);
  CHECK(world.Want(10) == 4);
  CHECK(world.last.able_reason == "ScaleUpStabilized");
  CHECK(world.Want(10, seconds(50)) == 6);
  CHECK(world.last.limit_reason == "ScaleUpLimit");
  CHECK(world.Want(10, seconds(30)) == 6);
  CHECK(world.Want(10, seconds(31)) == 8);
  // Downwards the policy that allows the smallest change: 3 pods of 20, half of 4.
  World down(slow, 20);
  CHECK(down.Want(1) == 17);
  CHECK(down.last.limit_reason == "ScaleDownLimit");
  CHECK(down.Want(1, seconds(59)) == 17);
  CHECK(down.Want(1, seconds(2)) == 14);
  World few(slow, 4);
  CHECK(few.Want(1) == 2);
}

TEST_CASE("a direction can be switched off") {
  World world({{"scaleDown", {{"selectPolicy", "Disabled"}, {"stabilizationWindowSeconds", 0}}}}, 8);
  CHECK(world.Want(1) == 8);
  CHECK(world.last.limit_reason == "ScaleDownLimit");
  CHECK(world.Want(16) == 16);
}

TEST_CASE("what is wanted and there is left alone") {
  World world(nullptr, 3);
  CHECK(world.Want(3) == 3);
  CHECK(world.last.able_reason == "ReadyForNewScale");
  CHECK_FALSE(world.last.limited);
  CHECK(world.last.limit_reason == "DesiredWithinRange");
}

}  // namespace wherry
