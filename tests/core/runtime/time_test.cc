#include "core/runtime/time.h"

#include <catch2/catch.hpp>

namespace wherry {
namespace {

TEST_CASE("times are written as metav1 writes them") {
  const struct {
    int64_t micros;
    std::string_view seconds, micro;
  } cases[] = {
      {0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"},
      {1'767'323'045'000'006, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000006Z"},
      {951'782'399'999'999, "2000-02-28T23:59:59Z", "2000-02-28T23:59:59.999999Z"},
      {951'782'400'000'000, "2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000000Z"},
      {-1, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999999Z"},
      {253'402'300'799'000'000, "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z"},
  };
  for (const auto& c : cases) {
    const Time time{Duration(c.micros)};
    CHECK(FormatTime(time) == c.seconds);
    CHECK(FormatMicroTime(time) == c.micro);
    Time back;
    REQUIRE(ParseTime(c.micro, &back));
    CHECK(back == time);
  }
}

TEST_CASE("RFC 3339 is read with any offset and fraction") {
  const struct {
    std::string_view text;
    int64_t micros;
  } cases[] = {
      {"2026-01-02T03:04:05Z", 1'767'323'045'000'000},           {"2026-01-02T05:34:05+02:30", 1'767'323'045'000'000},
      {"2026-01-01T22:04:05-05:00", 1'767'323'045'000'000},      {"2026-01-02T03:04:05.5Z", 1'767'323'045'500'000},
      {"2026-01-02T03:04:05.123456789Z", 1'767'323'045'123'456},
  };
  for (const auto& c : cases) {
    INFO(c.text);
    Time time;
    REQUIRE(ParseTime(c.text, &time));
    CHECK(time.time_since_epoch().count() == c.micros);
  }
}

TEST_CASE("what is no RFC 3339 time is refused") {
  for (const std::string_view text :
       {"", "2026", "2026-01-02", "2026-01-02 03:04:05Z", "2026-13-02T03:04:05Z", "2026-02-30T03:04:05Z",
        "2026-01-02T24:04:05Z", "2026-01-02T03:60:05Z", "2026-01-02T03:04:60Z", "2026-01-02T03:04:05",
        "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05Zx", "2026-01-02T03:04:05+24:00", "2026-01-02T03:04:05+0200",
        "26-01-02T03:04:05Z", "null"}) {
    INFO(text);
    Time time;
    CHECK_FALSE(ParseTime(text, &time));
  }
}

}  // namespace
}  // namespace wherry
