#include "core/kinds/quantity.h"

#include <catch2/catch.hpp>

namespace wherry {
namespace {

TEST_CASE("quantities have one canonical text") {
  const struct {
    std::string_view text, canonical;
    int64_t value, milli;
  } cases[] = {
      {"0", "0", 0, 0},
      {"0Gi", "0", 0, 0},
      {"1000m", "1", 1, 1000},
      {"0.5", "500m", 1, 500},
      {".5", "500m", 1, 500},
      {"5.", "5", 5, 5000},
      {"+1.50", "1500m", 2, 1500},
      {"100m", "100m", 1, 100},
      {"1500m", "1500m", 2, 1500},
      {"-1500m", "-1500m", -2, -1500},
      {"1024Mi", "1Gi", 1'073'741'824, 1'073'741'824'000},
      {"1.5Gi", "1536Mi", 1'610'612'736, 1'610'612'736'000},
      {"0.5Ki", "512", 512, 512'000},
      {"1000Ki", "1000Ki", 1'024'000, 1'024'000'000},
      {"1000k", "1M", 1'000'000, 1'000'000'000},
      {"1234k", "1234k", 1'234'000, 1'234'000'000},
      {"128974848", "128974848", 128'974'848, 128'974'848'000},
      {"129e6", "129e6", 129'000'000, 129'000'000'000},
      {"12e4", "120e3", 120'000, 120'000'000},
      {"1E3", "1e3", 1000, 1'000'000},
      {"1E", "1E", 1'000'000'000'000'000'000, INT64_MAX},
      {"1n", "1n", 1, 1},
      {"0.1n", "1n", 1, 1},
      {"1.0000000001", "1000000001n", 2, 1001},
      {"1u", "1u", 1, 1},
      {"9Ei", "9223372036854775807", INT64_MAX, INT64_MAX},
      {"1e400", "9223372036854775807", INT64_MAX, INT64_MAX},
      {"1234567890123456789012n", "1234567890123456789012n", 1'234'567'890'124, 1'234'567'890'123'457},
  };
  for (const auto& c : cases) {
    INFO(c.text);
    const Result<Quantity> q = Quantity::Parse(c.text);
    REQUIRE(q.ok());
    CHECK(q->ToString() == c.canonical);
    CHECK(q->value() == c.value);
    CHECK(q->milli() == c.milli);
  }
}

TEST_CASE("what is no quantity is refused with the reason users know") {
  const std::string regex =
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  const struct {
    std::string_view text;
    std::string message;
  } cases[] = {
      {"", regex},
      {"-", regex},
      {"Mi", regex},
      {"1.2.3", regex},
      {"1 Gi", regex},
      {"1GB", regex},
      {"abc", regex},
      {"1mi", "unable to parse quantity's suffix"},
      {"1K", "unable to parse quantity's suffix"},
      {"1e", "unable to parse quantity's suffix"},
      {"1e99999999999", "unable to parse quantity's suffix"},
  };
  for (const auto& c : cases) {
    INFO(c.text);
    const Result<Quantity> q = Quantity::Parse(c.text);
    REQUIRE_FALSE(q.ok());
    CHECK(q.status().message() == c.message);
    CHECK(q.status().reason() == Reason::kInvalid);
  }
}

TEST_CASE("quantities add, subtract and compare exactly") {
  Quantity sum;
  sum += Quantity::Parse("512Mi").value();
  sum += Quantity::Parse("512Mi").value();
  CHECK(sum.ToString() == "1Gi");
  sum -= Quantity::Parse("1G").value();
  CHECK(sum.ToString() == "73741824");
  CHECK(Quantity::Parse("1").value().Compare(Quantity::Parse("1000m").value()) == 0);
  CHECK(Quantity::Parse("1G").value().Compare(Quantity::Parse("1Gi").value()) < 0);
  CHECK(Quantity::FromMilli(2500).ToString() == "2500m");
  CHECK(Quantity::FromValue(2048, true).ToString() == "2Ki");
  CHECK(Quantity::FromValue(2048).ToString() == "2048");
}

}  // namespace
}  // namespace wherry
