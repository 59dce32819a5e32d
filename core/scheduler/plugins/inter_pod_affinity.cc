#include <algorithm>
#include <unordered_map>

#include "core/kinds/resources.h"
#include "core/scheduler/plugins/plugins.h"

namespace wherry::plugins {
namespace {

// What a term of a required affinity that an existing pod has towards the newcomer is worth as a preference
// (hardPodAffinityWeight).
constexpr int64_t kRequiredAffinityWeight = 1;

// A number for each value of each topology key ("zone=a"), of which zeros take no room.
class Topologies {
 public:
  explicit Topologies(const Symbols& symbols) : symbols_(&symbols) {}

  void Add(const std::string& key, const NodeInfo& node, int64_t amount) { Add(symbols_->Find(key), node, amount); }
  void Add(Symbols::Symbol key, const NodeInfo& node, int64_t amount) {
    const Symbols::Symbol value = node.label(key);
    if (value == Symbols::kUnknown || amount == 0) return;
    auto [it, fresh] = numbers_.try_emplace(Pair(key, value), 0);
    it->second += amount;
    if (it->second == 0) numbers_.erase(it);
  }
  int64_t Of(Symbols::Symbol key, Symbols::Symbol value) const {
    const auto it = numbers_.find(Pair(key, value));
    return it == numbers_.end() ? 0 : it->second;
  }
  bool empty() const { return numbers_.empty(); }
  // The sum over every pair that the node has.
  int64_t SumFor(const NodeInfo& node) const {
    int64_t sum = 0;
    for (const auto& [key, value] : node.labels) sum += Of(key, value);
    return sum;
  }

 private:
  static uint64_t Pair(Symbols::Symbol key, Symbols::Symbol value) { return uint64_t{key} << 32 | value; }

  const Symbols* symbols_;
  std::unordered_map<uint64_t, int64_t> numbers_;
};

std::vector<Symbols::Symbol> Keys(const std::vector<AffinityTerm>& terms, const Symbols& symbols) {
  std::vector<Symbols::Symbol> keys;
  for (const AffinityTerm& term : terms) keys.push_back(symbols.Find(term.topology_key));
  return keys;
}

bool MatchesAll(const std::vector<AffinityTerm>& terms, const PodDemand& other, const WatchCache* cache) {
  return std::all_of(terms.begin(), terms.end(), [&](const AffinityTerm& t) { return t.Matches(other, cache); });
}

struct Required : PluginState {
  Required(const PodDemand& pod, const ClusterView& cluster)
      : cache(cluster.cache),
        affinity_keys(Keys(pod.request.affinity.required, cluster.snapshot.symbols())),
        anti_keys(Keys(pod.request.anti_affinity.required, cluster.snapshot.symbols())),
        wanted(cluster.snapshot.symbols()),
        unwanted(cluster.snapshot.symbols()),
        forbidden(cluster.snapshot.symbols()),
        wants_itself(MatchesAll(pod.request.affinity.required, pod, cluster.cache)) {}

  const WatchCache* cache;
  std::vector<Symbols::Symbol> affinity_keys, anti_keys;  // of the pod's own terms
  Topologies wanted;     // where the pods are that match all of the pod's affinity terms
  Topologies unwanted;   // where the pods are that match its anti-affinity terms
  Topologies forbidden;  // where the pods are whose anti-affinity terms match it
  bool wants_itself;     // its affinity terms match itself: the first of a group may go anywhere
};

void AdjustRequired(PluginState& state, const PodDemand& pod, const PodDemand& other, const NodeInfo& node, int by) {
  Required& required = static_cast<Required&>(state);
  const auto& affinity = pod.request.affinity.required;
  if (!affinity.empty() && MatchesAll(affinity, other, required.cache)) {
    for (const Symbols::Symbol key : required.affinity_keys) required.wanted.Add(key, node, by);
  }
  const auto& anti = pod.request.anti_affinity.required;
  for (size_t i = 0; i < anti.size(); ++i) {
    if (anti[i].Matches(other, required.cache)) required.unwanted.Add(required.anti_keys[i], node, by);
  }
  for (const AffinityTerm& term : other.request.anti_affinity.required) {
    if (term.Matches(pod, required.cache)) required.forbidden.Add(term.topology_key, node, by);
  }
}

PreFilter PreFilterRequired(const PodDemand& pod, const ClusterView& cluster) {
  PreFilter result;
  auto required = std::make_unique<Required>(pod, cluster);
  const bool own_terms = !pod.request.affinity.required.empty() || !pod.request.anti_affinity.required.empty();
  if (own_terms || cluster.snapshot.with_anti_affinity() > 0) {
    for (const NodeInfo* node : cluster.snapshot.nodes()) {
      if (!own_terms && node->with_anti_affinity == 0) continue;
      for (const ObjectPtr& other : node->pods) AdjustRequired(*required, pod, other->view<PodDemand>(), *node, 1);
    }
  }
  result.state = std::move(required);
  return result;
}

bool HasWanted(const Required& required, const NodeInfo& node) {
  bool all = true;
  for (const Symbols::Symbol key : required.affinity_keys) {
    const Symbols::Symbol value = node.label(key);
    if (value == Symbols::kUnknown) return false;
    all = all && required.wanted.Of(key, value) > 0;
  }
  return all || (required.wants_itself && required.wanted.empty());
}

bool HasUnwanted(const Required& required, const NodeInfo& node) {
  return !required.unwanted.empty() &&
         std::any_of(required.anti_keys.begin(), required.anti_keys.end(),
                     [&](Symbols::Symbol key) { return required.unwanted.Of(key, node.label(key)) > 0; });
}

bool FilterRequired(const PluginState* state, const PodDemand&, const NodeInfo& node, Refusal& refusal) {
  const Required& required = *static_cast<const Required*>(state);
  if (!required.affinity_keys.empty() && !HasWanted(required, node)) {
    refusal.Add("node(s) didn't match pod affinity rules");
    refusal.SetUnresolvable();
    return false;
  }
  if (HasUnwanted(required, node)) {
    refusal.Add("node(s) didn't match pod anti-affinity rules");
    return false;
  }
  if (!required.forbidden.empty() && required.forbidden.SumFor(node) > 0) {
    refusal.Add("node(s) didn't satisfy existing pods anti-affinity rules");
    return false;
  }
  return true;
}

bool AnyMatches(const std::vector<AffinityTerm>& terms, const PodDemand& other, const WatchCache* cache) {
  return std::any_of(terms.begin(), terms.end(), [&](const AffinityTerm& t) { return t.Matches(other, cache); });
}

// A pod that came helps when it is wanted; one that went, when it was in the way, or was the last of those that were
// wanted and the pod may now be the first of its group.
bool Helps(const PodDemand& pod, const Snapshot::Change& change, const ClusterView& cluster) {
  if ((change.events & (kNodeAdded | kNodeLabels | kNodeRemoved)) != 0) return true;
  const PodDemand::Request& request = pod.request;
  for (const ObjectPtr& came : change.came) {
    if (!request.affinity.required.empty() &&
        MatchesAll(request.affinity.required, came->view<PodDemand>(), cluster.cache))
      return true;
  }
  for (const ObjectPtr& object : change.went) {
    const PodDemand& went = object->view<PodDemand>();
    if (AnyMatches(request.anti_affinity.required, went, cluster.cache)) return true;
    if (AnyMatches(went.request.anti_affinity.required, pod, cluster.cache)) return true;
    if (AnyMatches(request.affinity.required, went, cluster.cache)) return true;
  }
  return false;
}

// What each topology is worth to the pod: by its own preferred terms, and by those that existing pods have towards it.
struct Preferred : PluginState {
  Preferred(const PodDemand& pod, const ClusterView& cluster)
      : cache(cluster.cache),
        affinity_keys(Keys(pod.request.affinity.preferred, cluster.snapshot.symbols())),
        anti_keys(Keys(pod.request.anti_affinity.preferred, cluster.snapshot.symbols())),
        worth(cluster.snapshot.symbols()) {}
  const WatchCache* cache;
  std::vector<Symbols::Symbol> affinity_keys, anti_keys;
  Topologies worth;
};

void AdjustPreferred(PluginState& state, const PodDemand& pod, const PodDemand& other, const NodeInfo& node, int by) {
  Preferred& preferred = static_cast<Preferred&>(state);
  auto own = [&](const std::vector<AffinityTerm>& terms, const std::vector<Symbols::Symbol>& keys, int sign) {
    for (size_t i = 0; i < terms.size(); ++i) {
      if (terms[i].Matches(other, preferred.cache)) preferred.worth.Add(keys[i], node, sign * by * terms[i].weight);
    }
  };
  own(pod.request.affinity.preferred, preferred.affinity_keys, 1);
  own(pod.request.anti_affinity.preferred, preferred.anti_keys, -1);
  auto theirs = [&](const std::vector<AffinityTerm>& terms, int64_t factor, bool weighted) {
    for (const AffinityTerm& term : terms) {
      if (!term.Matches(pod, preferred.cache)) continue;
      preferred.worth.Add(term.topology_key, node, by * factor * (weighted ? term.weight : 1));
    }
  };
  theirs(other.request.affinity.required, kRequiredAffinityWeight, false);
  theirs(other.request.affinity.preferred, 1, true);
  theirs(other.request.anti_affinity.preferred, -1, true);
}

PreScore PreScorePreferred(const PodDemand& pod, const ClusterView& cluster) {
  PreScore result;
  auto preferred = std::make_unique<Preferred>(pod, cluster);
  const bool own_terms = !pod.request.affinity.preferred.empty() || !pod.request.anti_affinity.preferred.empty();
  if (own_terms || cluster.snapshot.with_affinity() > 0) {
    for (const NodeInfo* node : cluster.snapshot.nodes()) {
      if (!own_terms && node->with_affinity == 0) continue;
      for (const ObjectPtr& other : node->pods) AdjustPreferred(*preferred, pod, other->view<PodDemand>(), *node, 1);
    }
  }
  result.state = std::move(preferred);
  return result;
}

void ScorePreferred(PluginState* state, const PodDemand&, std::span<const NodeInfo* const> nodes,
                    std::span<int64_t> scores) {
  std::fill(scores.begin(), scores.end(), 0);
  const Topologies& worth = static_cast<Preferred*>(state)->worth;
  if (worth.empty()) return;
  for (size_t i = 0; i < nodes.size(); ++i) scores[i] = worth.SumFor(*nodes[i]);
  const auto [lowest, highest] = std::minmax_element(scores.begin(), scores.end());
  const int64_t least = *lowest;
  const int64_t range = *highest - least;
  for (int64_t& score : scores) score = range == 0 ? 0 : (score - least) * kMaxScore / range;
}

// Namespaces matter through namespaceSelector alone.
constexpr ResourceWatch kWatches[] = {{
    .resource = resources::kNamespaces,
    .matters =
        [](const Event& event) {
          return event.type != EventType::kModified || !event.previous ||
                 event.previous->view<MetaView>().labels != event.object->view<MetaView>().labels;
        },
    .helps =
        [](const PodDemand& pod, const Event&) {
          auto selects = [](const AffinityTerm& term) { return term.namespace_selector.has_value(); };
          const PodDemand::Request& request = pod.request;
          return std::any_of(request.affinity.required.begin(), request.affinity.required.end(), selects) ||
                 std::any_of(request.anti_affinity.required.begin(), request.anti_affinity.required.end(), selects);
        },
}};

}  // namespace

// Pods that want to be near others or far from them (API docs of Affinity). Required anti-affinity works
// both ways: a newcomer must not break that of a pod that is there.
const Plugin kInterPodAffinity{
    .name = "InterPodAffinity",
    .events = kNodeAdded | kNodeLabels | kNodeRemoved | kPodAssigned | kPodGone,
    .node_local = false,
    .pre_filter = PreFilterRequired,
    .filter = FilterRequired,
    .adjust = AdjustRequired,
    .helps = Helps,
    .watches = kWatches,
    .weight = 2,
    .pre_score = PreScorePreferred,
    .score = ScorePreferred,
    .adjust_score = AdjustPreferred,
};

}  // namespace wherry::plugins
