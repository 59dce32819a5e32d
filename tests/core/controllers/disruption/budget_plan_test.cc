// What a PodDisruptionBudget allows, by table.
#include "core/controllers/disruption/budget_plan.h"

#include <catch2/catch.hpp>
#include <deque>
#include <nlohmann/json.hpp>

using namespace wherry;
using namespace std::chrono_literals;

namespace {

Time At(int64_t seconds) { return Time(std::chrono::seconds(seconds)); }

// Pods from a picture, one letter each: R ready, n not ready, t terminating (and still ready). Named p0, p1 …
struct Pods {
  explicit Pods(const std::string& picture) {
    for (const char c : picture) {
      PodView& pod = views.emplace_back();
      pod.phase = PodView::Phase::kRunning;
      pod.ready = c != 'n';
      pod.deleting = c == 't';
      names.push_back("p" + std::to_string(names.size()));
    }
  }
  std::deque<PodView> views;
  std::deque<std::string> names;
};

BudgetStatus Plan(const Json& spec, const std::string& picture, int64_t scale, Json disrupted = Json::object(),
                  int64_t now = 1000) {
  const BudgetView view(Json{{"spec", spec}, {"status", {{"disruptedPods", std::move(disrupted)}}}});
  const Pods pods(picture);
  BudgetInputs in;
  in.budget = &view;
  for (size_t i = 0; i < pods.names.size(); ++i) in.pods.push_back({pods.names[i], &pods.views[i]});
  in.scale = scale;
  in.now = At(now);
  return PlanBudget(in);
}

}  // namespace

TEST_CASE("PodDisruptionBudget status: what a budget allows") {
  struct Case {
    const char *what, *spec, *pods;
    int64_t scale, allowed, healthy, desired, expected;
  };
  const Case cases[] = {
      {"minAvailable counts the pods there are", R"({"minAvailable":2})", "RRR", 9, 1, 3, 2, 3},
      {"one that is not ready is none", R"({"minAvailable":2})", "RRn", 9, 0, 2, 2, 3},
      {"nor one that is going", R"({"minAvailable":2})", "RRt", 9, 0, 2, 2, 3},
      {"never less than none", R"({"minAvailable":5})", "RR", 9, 0, 2, 5, 2},
      {"minAvailable 0 allows all", R"({"minAvailable":0})", "RRR", 9, 3, 3, 0, 3},
      {"percent of what the controllers want, rounded up", R"({"minAvailable":"50%"})", "RRR", 3, 1, 3, 2, 3},
      {"though fewer are there", R"({"minAvailable":"50%"})", "RR", 7, 0, 2, 4, 7},
      {"maxUnavailable of what the controllers want", R"({"maxUnavailable":1})", "RRR", 3, 1, 3, 2, 3},
      {"which are not all there", R"({"maxUnavailable":1})", "RR", 3, 0, 2, 2, 3},
      {"percent rounded up", R"({"maxUnavailable":"10%"})", "RRR", 3, 1, 3, 2, 3},
      {"more than there are", R"({"maxUnavailable":5})", "RRR", 3, 3, 3, 0, 3},
      {"zero", R"({"maxUnavailable":0})", "RRR", 3, 0, 3, 3, 3},
      {"more pods than wanted", R"({"maxUnavailable":0})", "RRRR", 3, 1, 4, 3, 3},
      {"no pods", R"({"minAvailable":0})", "", 0, 0, 0, 0, 0},
      {"nothing said", R"({})", "RRR", 3, 0, 3, 0, 0},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    const BudgetStatus status = Plan(Json::parse(c.spec), c.pods, c.scale);
    CHECK(status.allowed == c.allowed);
    CHECK(status.healthy == c.healthy);
    CHECK(status.desired == c.desired);
    CHECK(status.expected == c.expected);
  }
}

TEST_CASE("PodDisruptionBudget status: an eviction counts until it shows, or for two minutes") {
  const Json spec = {{"minAvailable", 1}};
  Json granted = {{"p0", FormatTime(At(1000))}, {"gone", FormatTime(At(1000))}};
  BudgetStatus status = Plan(spec, "RRR", 0, granted, 1010);
  CHECK(status.allowed == 1);
  CHECK(status.healthy == 2);
  CHECK(status.disrupted == std::map<std::string, Time>{{"p0", At(1000)}});
  CHECK(status.recheck_after == 111s);
  CHECK(status.not_deleted.empty());

  status = Plan(spec, "tRR", 0, granted, 1010);  // it shows: the pod is going
  CHECK(status.disrupted.empty());
  CHECK(status.healthy == 2);

  status = Plan(spec, "RRR", 0, granted, 1121);
  CHECK(status.disrupted.empty());
  CHECK(status.allowed == 2);
  CHECK(status.not_deleted == std::vector<std::string>{"p0"});
  CHECK(status.recheck_after == 0s);
}

TEST_CASE("A budget's status document") {
  BudgetStatus status = Plan({{"minAvailable", 2}}, "RRR", 0, {{"p0", FormatTime(At(990))}});
  const Json made = StatusDocument(status, nullptr, 3, At(1000));
  CHECK(made == Json({{"observedGeneration", 3},
                      {"disruptionsAllowed", 0},
                      {"currentHealthy", 2},
                      {"desiredHealthy", 2},
                      {"expectedPods", 3},
                      {"disruptedPods", {{"p0", "1970-01-01T00:16:30Z"}}},
                      {"conditions", Json::array({{{"type", "DisruptionAllowed"},
                                                   {"status", "False"},
                                                   {"reason", "InsufficientPods"},
                                                   {"message", ""},
                                                   {"observedGeneration", 3},
                                                   {"lastTransitionTime", "1970-01-01T00:16:40Z"}}})}}));
  status = Plan({{"minAvailable", 2}}, "RRR", 0);
  const Json allowed = StatusDocument(status, &made, 4, At(1100));
  CHECK(allowed["disruptionsAllowed"] == 1);
  CHECK(allowed["conditions"][0]["reason"] == "SufficientPods");
  CHECK(allowed["conditions"][0]["lastTransitionTime"] == "1970-01-01T00:18:20Z");
  CHECK_FALSE(allowed.contains("disruptedPods"));
  // When it cannot be counted, what was counted stays and nothing is allowed.
  BudgetStatus failed;
  failed.failure = "found no controllers for pod \"p0\"";
  const Json lost = StatusDocument(failed, &allowed, 4, At(1200));
  CHECK(lost["disruptionsAllowed"] == 0);
  CHECK(lost["currentHealthy"] == 3);
  CHECK(lost["conditions"][0]["reason"] == "SyncFailed");
  CHECK(lost["conditions"][0]["message"] == failed.failure);
}

TEST_CASE("A budget without a selector selects nothing, one with an empty selector everything") {
  CHECK_FALSE(BudgetView(Json{{"spec", Json::object()}}).selector.Matches(Labels{{"a", "b"}}));
  CHECK(BudgetView(Json{{"spec", {{"selector", Json::object()}}}}).selector.Matches(Labels{{"a", "b"}}));
}
