#include "core/network/balancer.h"

#include <catch2/catch.hpp>

using namespace wherry;

namespace {

// Backends by letter: address = letter. Capitals are ready, small ones only serve, "-" neither.
std::vector<Backend> Backends(const std::string& letters, const std::string& node = "") {
  std::vector<Backend> out;
  for (char c : letters) {
    const bool ready = c >= 'A' && c <= 'Z';
    out.push_back({static_cast<uint32_t>(ready ? c : c - 32), 1, node, ready, c != '-'});
  }
  return out;
}

std::string Names(const std::vector<Backend>& backends) {
  std::string out;
  for (const Backend& backend : backends) out += static_cast<char>(backend.address);
  return out;
}

}  // namespace

TEST_CASE("Ready backends take turns; those that only serve come when there are no others") {
  Balancer balancer;
  CHECK_FALSE(balancer.usable());
  CHECK(Names(balancer.Order(1, "", Duration(0))).empty());
  balancer.Set(Backends("ABC"), Duration(0), Duration(0));
  CHECK(Names(balancer.Order(1, "", Duration(0))) == "ABC");
  CHECK(Names(balancer.Order(1, "", Duration(0))) == "BCA");
  CHECK(Names(balancer.Order(1, "", Duration(0))) == "CAB");
  CHECK(Names(balancer.Order(1, "", Duration(0))) == "ABC");
  balancer.Set(Backends("aB-"), Duration(0), Duration(0));
  CHECK(Names(balancer.Order(1, "", Duration(0))) == "B");
  CHECK_FALSE(balancer.Uses(Backends("a")[0]));
  balancer.Set(Backends("a-"), Duration(0), Duration(0));
  CHECK(balancer.usable());
  CHECK(Names(balancer.Order(1, "", Duration(0))) == "A");
  CHECK(balancer.Uses(Backends("a")[0]));
}

TEST_CASE("Affinity keeps a client where it was, as long as it comes and the backend is there") {
  using std::chrono::seconds;
  Balancer balancer;
  balancer.Set(Backends("ABC"), seconds(10), Duration(0));
  auto come = [&](uint32_t client, int second) {
    const auto order = balancer.Order(client, "", seconds(second));
    balancer.Served(client, order.front(), seconds(second));
    return Names(order).substr(0, 1);
  };
  CHECK(come(1, 0) == "A");
  CHECK(come(2, 0) == "B");
  CHECK(come(1, 9) == "A");
  CHECK(come(1, 18) == "A");  // nine seconds after it last came
  CHECK(come(1, 30) == "C");  // too late: its turn as any other
  CHECK(come(2, 31) == "A");
  balancer.Set(Backends("BC"), seconds(10), Duration(0));
  CHECK(come(2, 32) != "A");
  CHECK(come(1, 32) == "C");
}

TEST_CASE("Local leads to backends of one node only") {
  Balancer balancer;
  std::vector<Backend> all = Backends("AB", "n1");
  for (const Backend& backend : Backends("CD", "n2")) all.push_back(backend);
  for (const Backend& backend : Backends("e", "n3")) all.push_back(backend);
  balancer.Set(all, Duration(0), Duration(0));
  CHECK(Names(balancer.Order(1, "n2", Duration(0))) == "CD");
  CHECK(Names(balancer.Order(1, "n3", Duration(0))) == "E");
  CHECK(Names(balancer.Order(1, "n4", Duration(0))).empty());
}

TEST_CASE("A backend is starting for two seconds after it became ready") {
  using std::chrono::seconds;
  Balancer balancer;
  balancer.Set(Backends("AB", "n1"), Duration(0), seconds(10));
  CHECK(balancer.IsStarting("", seconds(11)));
  CHECK(balancer.IsStarting("n1", seconds(11)));
  CHECK_FALSE(balancer.IsStarting("n2", seconds(11)));
  CHECK_FALSE(balancer.IsStarting("", seconds(12)));
  balancer.Set(Backends("Ab", "n1"), Duration(0), seconds(20));
  CHECK_FALSE(balancer.IsStarting("", seconds(20)));  // A was there before
  balancer.Set(Backends("AB", "n1"), Duration(0), seconds(30));
  CHECK(balancer.IsStarting("", seconds(31)));  // B is back
}
