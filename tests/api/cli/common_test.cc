#include "api/cli/common.h"

#include <catch2/catch.hpp>

namespace wherry::cli {
namespace {

TEST_CASE("durations are read as Go writes them") {
  struct Row {
    const char* text;
    int64_t milliseconds;  // -1: refused
  };
  const Row row = GENERATE(values<Row>({{"10s", 10'000},
                                        {"5m", 300'000},
                                        {"1h30m", 5'400'000},
                                        {"1.5h", 5'400'000},
                                        {"500ms", 500},
                                        {"1m0.5s", 60'500},
                                        {"0", 0},
                                        {"45", 45'000},
                                        {"100us", 1},
                                        {"0s", 0},
                                        {"", -1},
                                        {"-5s", -1},
                                        {"5 s", -1},
                                        {"1h30", -1},
                                        {"s", -1},
                                        {"5x", -1},
                                        {"0h30", -1},
                                        {"1e3s", -1}}));
  CAPTURE(row.text);
  std::chrono::milliseconds out(-1);
  CHECK(ParseDuration(row.text, &out) == (row.milliseconds >= 0));
  CHECK(out.count() == row.milliseconds);
}

}  // namespace
}  // namespace wherry::cli
