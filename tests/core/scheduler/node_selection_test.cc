#include "core/scheduler/node_selection.h"

#include <catch2/catch.hpp>
#include <random>

#include "core/kinds/node_match.h"
#include "core/scheduler/plugins/plugins.h"
#include "core/scheduler/snapshot.h"
#include "tests/core/scheduler/fixtures.h"

namespace wherry::testing {
namespace {

Json RandomTerm(std::mt19937& random) {
  auto below = [&](uint32_t n) { return random() % n; };
  static const char* const kOperators[] = {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"};
  Json term = Json::object();
  for (uint32_t i = below(3); i > 0; --i) {
    const uint32_t op = below(6);
    Json requirement = {{"key", "k" + std::to_string(below(4))}, {"operator", kOperators[op]}};
    if (op < 2) {
      requirement["values"] = {std::to_string(below(4)), std::to_string(below(4))};
    } else if (op > 3) {
      requirement["values"] = {below(9) == 0 ? "x" : std::to_string(below(4))};
    }
    term["matchExpressions"].push_back(requirement);
  }
  if (below(3) == 0) {
    term["matchFields"] = {{{"key", "metadata.name"},
                            {"operator", below(2) == 0 ? "In" : "NotIn"},
                            {"values", {"n" + std::to_string(below(3))}}}};
  }
  return term;
}

Json RandomSpec(std::mt19937& random) {
  Json spec = Json::object();
  if (random() % 3 == 0) spec["nodeSelector"] = {{"k0", std::to_string(random() % 4)}};
  if (random() % 4 != 0) {
    Json terms = Json::array();
    for (uint32_t i = random() % 3; i > 0; --i) terms.push_back(RandomTerm(random));
    spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = {{"nodeSelectorTerms", terms}};
  }
  return spec;
}

}  // namespace

// The DaemonSet controller decides by documents, the scheduler by compiled terms: they must never disagree, or daemon
// pods would be made for nodes that then refuse them.
TEST_CASE("The compiled node selection agrees with the one on documents") {
  std::mt19937 random(1);
  int matches = 0;
  for (int round = 0; round < 2000; ++round) {
    Snapshot snapshot;
    Json node = NodeJson("n" + std::to_string(random() % 3));
    for (int key = 0; key < 3; ++key) {
      if (random() % 2 == 0) {
        node["metadata"]["labels"]["k" + std::to_string(key)] = random() % 9 == 0 ? "x" : std::to_string(random() % 4);
      }
    }
    snapshot.PutNode(*Stored(node));
    const Json spec = RandomSpec(random);
    const ObjectPtr pod = Stored(PodJson("p", {{"spec", spec}}));
    const Plugin& filter = plugins::kNodeAffinity;
    const PreFilter before = filter.pre_filter(pod->view<PodDemand>(), ClusterView{snapshot});
    Refusal refusal;
    const bool compiled =
        before.skip || (before.refusal.empty() &&
                        filter.filter(before.state.get(), pod->view<PodDemand>(), *snapshot.nodes()[0], refusal));
    INFO(spec.dump() << " on " << node["metadata"].dump());
    REQUIRE(compiled == MatchesNodeAffinity(spec, node));
    matches += compiled ? 1 : 0;
    // What the filter says beforehand must not rule out what it would accept.
    if (before.only && compiled) {
      const auto& only = *before.only;
      REQUIRE(std::find(only.begin(), only.end(), snapshot.nodes()[0]->name) != only.end());
    }
  }
  CHECK(matches > 300);
  CHECK(matches < 1700);
}

}  // namespace wherry::testing
