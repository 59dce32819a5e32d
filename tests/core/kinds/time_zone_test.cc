#include "core/kinds/time_zone.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <string>

using namespace wherry;

namespace {

Time At(const std::string& text) {
  Time time;
  REQUIRE(ParseTime(text, &time));
  return time;
}

std::string Big(int64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i)));
  return out;
}

std::string Header(int64_t times, int64_t types, int64_t chars) {
  return "TZif2" + std::string(15, '\0') + Big(0, 4) + Big(0, 4) + Big(0, 4) + Big(times, 4) + Big(types, 4) +
         Big(chars, 4);
}

// +1 h until second 1000, then +2 h until 2000, then by the footer.
std::string File(const std::string& footer) {
  return Header(0, 1, 4) + std::string(6, '\0') + "LMT" + std::string(1, '\0') +   // the old block
         Header(2, 2, 4) + Big(1000, 8) + Big(2000, 8) + std::string("\1\0", 2) +  // two transitions
         Big(3600, 4) + std::string(2, '\0') + Big(7200, 4) + std::string("\1\0", 2) + "CET" + std::string(1, '\0') +
         "\n" + footer + "\n";
}

}  // namespace

TEST_CASE("POSIX rules say what holds in any year") {
  struct Case {
    const char *rule, *at;
    int64_t minutes;
  };
  const Case cases[] = {
      {"UTC0", "2026-07-01T00:00:00Z", 0},
      {"<+0545>-5:45", "2026-07-01T00:00:00Z", 345},
      {"CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T00:59:59Z", 60},
      {"CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T01:00:00Z", 120},
      {"CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25T00:59:59Z", 120},
      {"CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25T01:00:00Z", 60},
      {"EST5EDT,M3.2.0,M11.1.0", "2026-03-08T06:59:59Z", -300},
      {"EST5EDT,M3.2.0,M11.1.0", "2026-03-08T07:00:00Z", -240},
      {"AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-01-01T00:00:00Z", 660},  // the south: summer spans the new year
      {"AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-07-01T00:00:00Z", 600},
      {"IST-1GMT0,M10.5.0,M3.5.0/1", "2026-01-01T00:00:00Z", 0},  // winter is the exception
      {"IST-1GMT0,M10.5.0,M3.5.0/1", "2026-07-01T00:00:00Z", 60},
      {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T00:59:59Z", -120},
      {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T01:00:00Z", -60},
      {"AAA0BBB,J60,300", "2024-02-29T23:00:00Z", 0},  // J60 is 1 March in any year
      {"AAA0BBB,J60,300", "2024-03-01T02:00:00Z", 60},
  };
  for (const Case& c : cases) {
    CAPTURE(c.rule, c.at);
    const Result<TimeZone> zone = TimeZone::FromPosix(c.rule);
    REQUIRE(zone.ok());
    CHECK(std::chrono::floor<std::chrono::minutes>(zone->OffsetAt(At(c.at))).count() == c.minutes);
  }
  for (const char* bad : {"", "A0", "CET", "CET-1CEST", "CET-25", "CET-1CEST,M13.1.0,M10.5.0", "CET-1CEST,M3.5.0",
                          "<CET-1", "CET-1CEST,M3.5.0,M10.5.0/3x", "CET-1CEST,J0,J1"}) {
    CAPTURE(bad);
    CHECK_FALSE(TimeZone::FromPosix(bad).ok());
  }
}

TEST_CASE("TZif files: transitions first, the footer after the last") {
  const Result<TimeZone> zone = TimeZone::Parse(File("EST5"));
  REQUIRE(zone.ok());
  auto hours = [&](int64_t second) {
    return std::chrono::floor<std::chrono::hours>(zone->OffsetAt(Time(std::chrono::seconds(second)))).count();
  };
  CHECK(hours(999) == 1);
  CHECK(hours(1000) == 2);
  CHECK(hours(1999) == 2);
  CHECK(hours(2000) == -5);
  const std::string good = File("EST5");
  for (size_t length = 0; length + 6 < good.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(TimeZone::Parse(std::string_view(good).substr(0, length)).ok());
  }
  CHECK_FALSE(TimeZone::Parse(File("nonsense")).ok());
  CHECK_FALSE(TimeZone::Parse(Header(-1, -1, -1) + good).ok());
}

TEST_CASE("Zones of this host") {
  CHECK(TimeZone::Load("UTC")->OffsetAt(At("2026-07-01T00:00:00Z")) == Duration(0));
  CHECK(TimeZone::Load("Mars/Olympus").status().message() == "unknown time zone Mars/Olympus");
  CHECK_FALSE(TimeZone::Load("../../../etc/passwd").ok());
  struct stat file {};
  if (::stat("/usr/share/zoneinfo/Europe/Berlin", &file) != 0) return;  // a host without tzdata knows UTC only
  const Result<TimeZone> berlin = TimeZone::Load("Europe/Berlin");
  REQUIRE(berlin.ok());
  CHECK(berlin->OffsetAt(At("2026-03-29T01:00:00Z")) == std::chrono::hours(2));
  CHECK(berlin->OffsetAt(At("1975-07-01T00:00:00Z")) == std::chrono::hours(1));  // no summer time then
  CHECK(berlin->OffsetAt(At("2060-07-01T00:00:00Z")) == std::chrono::hours(2));  // by the footer
}
