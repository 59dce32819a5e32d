#include "core/kinds/node_match.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace wherry {
namespace {

const char* const kNode = R"({"metadata":{"name":"n1","labels":{"zone":"a","cpus":"8","ssd":""}}})";

TEST_CASE("node selectors and required affinity choose nodes") {
  const struct {
    const char* spec;
    bool matches;
  } cases[] = {
      {R"({})", true},
      {R"({"nodeSelector":{"zone":"a"}})", true},
      {R"({"nodeSelector":{"zone":"a","ssd":"x"}})", false},
      {R"({"nodeSelector":{"gone":""}})", false},
  };
  for (const auto& c : cases) {
    INFO(c.spec);
    CHECK(MatchesNodeAffinity(Json::parse(c.spec), Json::parse(kNode)) == c.matches);
  }
  const struct {
    const char* terms;
    bool matches;
  } terms[] = {
      {R"([])", false},
      {R"([{}])", false},
      {R"([{"matchExpressions":[]}])", false},
      {R"([{"matchExpressions":[{"key":"zone","operator":"In","values":["b","a"]}]}])", true},
      {R"([{"matchExpressions":[{"key":"zone","operator":"NotIn","values":["a"]}]}])", false},
      {R"([{"matchExpressions":[{"key":"gone","operator":"NotIn","values":["a"]}]}])", true},
      {R"([{"matchExpressions":[{"key":"ssd","operator":"Exists"}]}])", true},
      {R"([{"matchExpressions":[{"key":"ssd","operator":"DoesNotExist"}]}])", false},
      {R"([{"matchExpressions":[{"key":"cpus","operator":"Gt","values":["7"]}]}])", true},
      {R"([{"matchExpressions":[{"key":"cpus","operator":"Gt","values":["8"]}]}])", false},
      {R"([{"matchExpressions":[{"key":"cpus","operator":"Lt","values":["10"]}]}])", true},
      {R"([{"matchExpressions":[{"key":"zone","operator":"Lt","values":["10"]}]}])", false},
      {R"([{"matchExpressions":[{"key":"zone","operator":"Bogus","values":["a"]}]}])", false},
      {R"([{"matchExpressions":[{"key":"zone","operator":"Exists"},{"key":"gone","operator":"Exists"}]}])", false},
      {R"([{"matchExpressions":[{"key":"gone","operator":"Exists"}]},{"matchExpressions":[{"key":"zone","operator":"Exists"}]}])",
       true},
      {R"([{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}])", true},
      {R"([{"matchFields":[{"key":"metadata.name","operator":"In","values":["n2"]}]}])", false},
      {R"([{"matchFields":[{"key":"metadata.uid","operator":"NotIn","values":["n2"]}]}])", false},
      {R"([{"matchExpressions":[{"key":"gone","operator":"Exists"}],"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}])",
       false},
  };
  for (const auto& c : terms) {
    INFO(c.terms);
    Json spec;
    spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] =
        Json::parse(c.terms);
    CHECK(MatchesNodeAffinity(spec, Json::parse(kNode)) == c.matches);
  }
}

TEST_CASE("preferred terms add their weights") {
  const Json spec = Json::parse(R"({"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[
      {"weight":10,"preference":{"matchExpressions":[{"key":"zone","operator":"In","values":["a"]}]}},
      {"weight":20,"preference":{"matchExpressions":[{"key":"zone","operator":"In","values":["b"]}]}},
      {"weight":3,"preference":{}}]}}})");
  CHECK(PreferredNodeScore(spec, Json::parse(kNode)) == 13);
  CHECK(PreferredNodeScore(Json::object(), Json::parse(kNode)) == 0);
}

TEST_CASE("tolerations tolerate taints") {
  const struct {
    const char* toleration;
    const char* taint;
    bool tolerates;
  } cases[] = {
      {R"({"key":"k","value":"v","effect":"NoSchedule"})", R"({"key":"k","value":"v","effect":"NoSchedule"})", true},
      {R"({"key":"k","operator":"Equal","value":"x"})", R"({"key":"k","value":"v","effect":"NoSchedule"})", false},
      {R"({"key":"k","operator":"Exists"})", R"({"key":"k","value":"v","effect":"NoExecute"})", true},
      {R"({"key":"k","operator":"Exists","effect":"NoSchedule"})", R"({"key":"k","effect":"NoExecute"})", false},
      {R"({"key":"other","operator":"Exists"})", R"({"key":"k","effect":"NoExecute"})", false},
      {R"({"operator":"Exists"})", R"({"key":"k","value":"v","effect":"NoExecute"})", true},
      {R"({"operator":"Exists","effect":"NoSchedule"})", R"({"key":"k","effect":"NoExecute"})", false},
      {R"({"operator":"Equal"})", R"({"key":"k","effect":"NoExecute"})", false},
      {R"({"key":"k","operator":"Gt","value":"5"})", R"({"key":"k","value":"6","effect":"NoSchedule"})", true},
      {R"({"key":"k","operator":"Gt","value":"6"})", R"({"key":"k","value":"6","effect":"NoSchedule"})", false},
      {R"({"key":"k","operator":"Lt","value":"5"})", R"({"key":"k","value":"4","effect":"NoSchedule"})", true},
      {R"({"key":"k","operator":"Lt","value":"5"})", R"({"key":"k","value":"x","effect":"NoSchedule"})", false},
      {R"({"key":"k","operator":"Bogus"})", R"({"key":"k","effect":"NoSchedule"})", false},
      {R"({"key":"k","operator":"Exists","effect":"Bogus"})", R"({"key":"k","effect":"NoSchedule"})", false},
  };
  for (const auto& c : cases) {
    INFO(c.toleration << " against " << c.taint);
    const auto taints = ParseTaints(Json::array({Json::parse(c.taint)}));
    const auto tolerations = ParseTolerations(Json::array({Json::parse(c.toleration)}));
    REQUIRE(taints.size() == 1);
    const Taint* left = FindUntolerated(
        taints, tolerations, {TaintEffect::kNoSchedule, TaintEffect::kPreferNoSchedule, TaintEffect::kNoExecute});
    CHECK((left == nullptr) == c.tolerates);
  }
}

TEST_CASE("only taints of the asked effects count") {
  const auto taints = ParseTaints(Json::parse(
      R"([{"key":"a","effect":"PreferNoSchedule"},{"key":"b","effect":"NoSchedule"},{"key":"c","effect":"NoExecute"},{"key":"d","effect":"Bogus"}])"));
  REQUIRE(taints.size() == 3);
  CHECK(FindUntolerated(taints, {}, {TaintEffect::kNoExecute})->key == "c");
  CHECK(FindUntolerated(taints, {}, {TaintEffect::kNoSchedule, TaintEffect::kNoExecute})->key == "b");
  CHECK(FindUntolerated(taints, {}, {}) == nullptr);
  const auto tolerations = ParseTolerations(
      Json::parse(R"([{"key":"c","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}])"));
  CHECK(FindUntolerated(taints, tolerations, {TaintEffect::kNoExecute}) == nullptr);
  CHECK_FALSE(tolerations[0].for_ever);
  CHECK(tolerations[0].seconds == 300);
  CHECK(TaintEffectName(TaintEffect::kPreferNoSchedule) == "PreferNoSchedule");
}

}  // namespace
}  // namespace wherry
