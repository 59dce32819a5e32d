#include "core/controllers/int_or_percent.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace wherry;

TEST_CASE("IntOrPercent reads numbers and percentages") {
  struct Case {
    const char* json;
    bool valid;
    int64_t total, up, down;
  };
  const Case cases[] = {
      {"3", true, 10, 3, 3},       {"0", true, 10, 0, 0},          {"\"25%\"", true, 10, 3, 2},
      {"\"100%\"", true, 7, 7, 7}, {"\"1%\"", true, 5000, 50, 50}, {"\"10%\"", true, 1, 1, 0},
      {"\"0%\"", true, 9, 0, 0},   {"\"30%\"", true, 0, 0, 0},     {"\"4\"", true, 2, 4, 4},
      {"-1", true, 10, 0, 0},      {"\"x\"", false, 0, 0, 0},      {"\"5%%\"", false, 0, 0, 0},
      {"true", false, 0, 0, 0},    {"\"%\"", false, 0, 0, 0},
  };
  for (const Case& c : cases) {
    CAPTURE(c.json, c.total);
    const Json json = Json::parse(c.json);
    const auto value = IntOrPercent::FromJson(&json);
    REQUIRE(value.has_value() == c.valid);
    if (!c.valid) continue;
    CHECK(value->RoundedUpOf(c.total) == c.up);
    CHECK(value->RoundedDownOf(c.total) == c.down);
  }
  CHECK_FALSE(IntOrPercent::FromJson(nullptr).has_value());
}
