#include <algorithm>

#include "core/scheduler/node_selection.h"
#include "core/scheduler/plugins/plugins.h"

namespace wherry::plugins {
namespace {

struct Required : PluginState {
  std::vector<std::pair<Symbols::Symbol, Symbols::Symbol>> labels;  // nodeSelector
  bool impossible = false;                                          // nodeSelector speaks of labels that no node has
  bool has_terms = false;
  std::vector<CompiledNodeTerm> terms;
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

PreFilter PreFilterAffinity(const PodDemand& pod, const Snapshot& snapshot) {
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
  auto required = std::make_unique<Required>();
  const Symbols& symbols = snapshot.symbols();
  for (const auto& [key, value] : selection.labels) {
    required->labels.emplace_back(symbols.Find(key), symbols.Find(value));
    if (required->labels.back().second == Symbols::kUnknown) required->impossible = true;
  }
  required->has_terms = selection.has_terms;
  for (const NodeTerm& term : selection.terms) required->terms.emplace_back(term, symbols);
  result.state = std::move(required);
  return result;
}

bool Matches(const Required& required, const NodeInfo& node) {
  if (required.impossible) return false;
  for (const auto& [key, value] : required.labels) {
    if (node.label(key) != value) return false;
  }
  if (!required.has_terms) return true;
  return std::any_of(required.terms.begin(), required.terms.end(),
                     [&](const CompiledNodeTerm& term) { return term.Matches(node); });
}

bool FilterAffinity(const PluginState* state, const PodDemand&, const NodeInfo& node, Refusal& refusal) {
  if (Matches(*static_cast<const Required*>(state), node)) return true;
  refusal.Add("node(s) didn't match Pod's node affinity/selector");
  refusal.SetUnresolvable();
  return false;
}

struct Preferred : PluginState {
  std::vector<std::pair<int64_t, CompiledNodeTerm>> terms;
};

PreScore PreScoreAffinity(const PodDemand& pod, const Snapshot& snapshot) {
  PreScore result;
  result.skip = pod.request.preferred.empty();
  if (result.skip) return result;
  auto preferred = std::make_unique<Preferred>();
  for (const PreferredNodeTerm& term : pod.request.preferred) {
    preferred->terms.emplace_back(term.weight, CompiledNodeTerm(term.term, snapshot.symbols()));
  }
  result.state = std::move(preferred);
  return result;
}

int64_t ScoreAffinity(const PluginState* state, const PodDemand&, const NodeInfo& node) {
  int64_t sum = 0;
  for (const auto& [weight, term] : static_cast<const Preferred*>(state)->terms) {
    if (term.Matches(node)) sum += weight;
  }
  return sum;
}

}  // namespace

const FilterPlugin kNodeAffinityFilter{
    .name = "NodeAffinity",
    .events = kNodeAdded | kNodeLabels,
    .node_local = true,
    .pre_filter = PreFilterAffinity,
    .filter = FilterAffinity,
};

const ScorePlugin kNodeAffinityScore{
    .name = "NodeAffinity",
    .weight = 2,
    .pre_score = PreScoreAffinity,
    .score = ScoreAffinity,
    .normalise = Normalise,
};

}  // namespace wherry::plugins
