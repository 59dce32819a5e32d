#include "core/kinds/shared_labels.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace wherry {
namespace {

TEST_CASE("equal sets of labels are one set") {
  const SharedLabels a(Labels{{"app", "web"}, {"tier", "front"}});
  const SharedLabels b(Labels{{"app", "web"}, {"tier", "front"}});
  CHECK(a == b);
  CHECK(&*a == &*b);
  CHECK(*a == Labels{{"app", "web"}, {"tier", "front"}});
  for (const Labels& other : {Labels{}, Labels{{"app", "web"}}, Labels{{"app", "front"}, {"tier", "web"}},
                              Labels{{"app", "web"}, {"tier", "fronts"}}}) {
    const SharedLabels c(other);
    CHECK_FALSE(a == c);
    CHECK(*c == other);
  }
}

TEST_CASE("no labels are equal however they came about") {
  CHECK(SharedLabels() == SharedLabels(Labels{}));
  CHECK(SharedLabels()->empty());
}

TEST_CASE("sets that nobody holds any more are made anew, those that somebody holds stay") {
  auto numbered = [](int i) { return SharedLabels(Labels{{"n", std::to_string(i)}}); };
  const SharedLabels kept = numbered(-1);
  std::vector<SharedLabels> held;
  for (int i = 0; i < 5000; ++i) {
    const SharedLabels dies = numbered(i);
    CHECK(dies->front().second == std::to_string(i));
    if (i % 100 == 0) held.push_back(dies);
  }
  CHECK(kept == numbered(-1));
  for (size_t i = 0; i < held.size(); ++i) CHECK(held[i] == numbered(static_cast<int>(i) * 100));
}

TEST_CASE("a sweep finds what the selector finds, in whatever order the labels come") {
  const LabelSelector selector = LabelSelector::Parse("app in (web,db),!old").value();
  const std::vector<Labels> sets = {{{"app", "web"}}, {{"app", "db"}, {"old", ""}}, {}, {{"app", "api"}}};
  SweepMatcher matches(selector);
  for (const size_t i : {0, 0, 1, 1, 0, 2, 3, 3, 0, 2, 2}) {
    CAPTURE(i);
    CHECK(matches(sets[i]) == selector.Matches(sets[i]));
  }
}

}  // namespace
}  // namespace wherry
