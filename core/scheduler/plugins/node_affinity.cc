#include <algorithm>

#include "core/scheduler/node_selection.h"
#include "core/scheduler/plugins/plugins.h"

namespace wherry::plugins {
namespace {

struct Required : PluginState {
  explicit Required(const NodeSelection& selection, const Symbols& symbols) : nodes(selection, symbols) {}
  CompiledNodeSelection nodes;
};

// The union of the nodes that the terms are tied to; none when one of them is not.
std::optional<std::vector<std::string>> TiedTo(const NodeSelection& selection) {
  if (selection.terms.empty()) return std::nullopt;
  std::vector<std::string> all;
  for (const NodeTerm& term : selection.terms) {
    std::vector<std::string> names;
    if (!CompiledNodeTerm::TiedTo(term, names)) return std::nullopt;
    all.insert(all.end(), names.begin(), names.end());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

PreFilter PreFilterAffinity(const PodDemand& pod, const ClusterView& cluster) {
  PreFilter result;
  const NodeSelection& selection = pod.request.selection;
  if (selection.everything()) {
    result.skip = true;
    return result;
  }
  result.only = TiedTo(selection);
  if (result.only && result.only->empty()) {
    result.refusal = "pod affinity terms conflict";
    return result;
  }
  result.state = std::make_unique<Required>(selection, cluster.snapshot.symbols());
  return result;
}

bool FilterAffinity(const PluginState* state, const PodDemand&, const NodeInfo& node, Refusal& refusal) {
  if (static_cast<const Required*>(state)->nodes.Matches(node)) return true;
  refusal.Add("node(s) didn't match Pod's node affinity/selector");
  refusal.SetUnresolvable();
  return false;
}

struct Preferred : PluginState {
  std::vector<std::pair<int64_t, CompiledNodeTerm>> terms;
};

PreScore PreScoreAffinity(const PodDemand& pod, const ClusterView& cluster) {
  PreScore result;
  result.skip = pod.request.preferred.empty();
  if (result.skip) return result;
  auto preferred = std::make_unique<Preferred>();
  for (const PreferredNodeTerm& term : pod.request.preferred) {
    preferred->terms.emplace_back(term.weight, CompiledNodeTerm(term.term, cluster.snapshot.symbols()));
  }
  result.state = std::move(preferred);
  return result;
}

void ScoreAffinity(PluginState* state, const PodDemand&, std::span<const NodeInfo* const> nodes,
                   std::span<int64_t> scores) {
  for (size_t i = 0; i < nodes.size(); ++i) {
    scores[i] = 0;
    for (const auto& [weight, term] : static_cast<Preferred*>(state)->terms) {
      if (term.Matches(*nodes[i])) scores[i] += weight;
    }
  }
  Normalise(scores);
}

}  // namespace

const Plugin kNodeAffinity{
    .name = "NodeAffinity",
    .events = kNodeAdded | kNodeLabels,
    .node_fixed = true,
    .pre_filter = PreFilterAffinity,
    .filter = FilterAffinity,
    .weight = 2,
    .pre_score = PreScoreAffinity,
    .score = ScoreAffinity,
};

}  // namespace wherry::plugins
