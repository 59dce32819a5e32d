#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"
#include "core/scheduler/plugins/plugins.h"

namespace wherry::plugins {
namespace {

constexpr char kHostname[] = "kubernetes.io/hostname";
constexpr char kZone[] = "topology.kubernetes.io/zone";

bool Counts(const SpreadConstraint& constraint, const PodDemand& pod, const PodDemand& other) {
  return !other.deleting && other.request.ns == pod.request.ns && constraint.selector.Matches(*other.request.labels);
}

// How many matching pods each domain of one constraint has. A domain is a value of the topology key; which nodes are
// counted is settled when it is made.
class Domains {
 public:
  Domains(Symbols::Symbol key, std::span<const NodeInfo* const> nodes) : domain_of_(nodes.size(), kNone) {
    std::unordered_map<Symbols::Symbol, int32_t> by_value;
    for (const NodeInfo* node : nodes) {
      const Symbols::Symbol value = node->label(key);
      if (value == Symbols::kUnknown) continue;
      const auto next = static_cast<int32_t>(by_value.size());
      domain_of_[node->position()] = by_value.try_emplace(value, next).first->second;
    }
    counts_.assign(by_value.size(), 0);
    known_.assign(by_value.size(), false);
    counted_.assign(nodes.size(), false);
    seen_.assign(by_value.size(), 0);
  }

  // The node's pods count. REQUIRES: Has(node).
  void Include(const NodeInfo& node) {
    counted_[node.position()] = true;
    const size_t domain = At(node);
    if (known_[domain]) return;
    known_[domain] = true;
    ++number_;
    ++tally_[0];
  }
  bool Has(const NodeInfo& node) const { return domain_of_[node.position()] != kNone; }
  void Adjust(const NodeInfo& node, int by) {
    if (!counted_[node.position()]) return;
    int64_t& count = counts_[At(node)];
    if (const auto it = tally_.find(count); --it->second == 0) tally_.erase(it);
    count += by;
    ++tally_[count];
  }
  // REQUIRES: Has(node).
  int64_t Count(const NodeInfo& node) const { return counts_[At(node)]; }
  // The count of the domain that has the fewest; fewer domains than asked for count as an empty one.
  int64_t Least(int64_t min_domains) const {
    return number_ < min_domains || tally_.empty() ? 0 : tally_.begin()->first;
  }
  // How many different domains the nodes are of.
  int64_t DifferentAmong(std::span<const NodeInfo* const> nodes) {
    ++round_;
    int64_t different = 0;
    for (const NodeInfo* node : nodes) {
      if (!Has(*node)) continue;
      uint64_t& seen = seen_[At(*node)];
      different += seen == round_ ? 0 : 1;
      seen = round_;
    }
    return different;
  }

 private:
  static constexpr int32_t kNone = -1;
  size_t At(const NodeInfo& node) const { return static_cast<size_t>(domain_of_[node.position()]); }

  std::vector<int32_t> domain_of_;  // by position of the node
  std::vector<bool> counted_;       // by position of the node
  std::vector<int64_t> counts_;     // by domain, as the following
  std::vector<bool> known_;         // some node of it is counted
  std::vector<uint64_t> seen_;
  std::map<int64_t, int64_t> tally_;  // how many known domains have each count
  int64_t number_ = 0;                // of known domains
  uint64_t round_ = 0;
};

// Constraints of a pod with what their domains hold.
struct Spread : PluginState {
  struct Entry {
    SpreadConstraint constraint;
    Domains domains;
    bool matches_itself;
  };
  std::vector<Entry> entries;
  bool all_keys = true;  // nodes that lack one of the keys count for none of the constraints

  bool HasAllKeys(const NodeInfo& node) const {
    return std::all_of(entries.begin(), entries.end(), [&](const Entry& e) { return e.domains.Has(node); });
  }
};

bool TaintsTolerated(const PodDemand& pod, const NodeInfo& node) {
  return std::all_of(node.taints.begin(), node.taints.end(), [&](const NodeInfo::TaintEntry& entry) {
    return entry.taint.effect == TaintEffect::kPreferNoSchedule ||
           std::any_of(pod.request.tolerations.begin(), pod.request.tolerations.end(),
                       [&](const Toleration& toleration) { return toleration.Tolerates(entry.taint); });
  });
}

std::unique_ptr<Spread> Count(const PodDemand& pod, std::vector<SpreadConstraint> constraints, bool all_keys,
                              const Snapshot& snapshot) {
  auto spread = std::make_unique<Spread>();
  spread->all_keys = all_keys;
  for (SpreadConstraint& constraint : constraints) {
    Domains domains(snapshot.symbols().Find(constraint.topology_key), snapshot.nodes());
    const bool itself = constraint.selector.Matches(*pod.request.labels);
    spread->entries.push_back({std::move(constraint), std::move(domains), itself});
  }
  const CompiledNodeSelection selection(pod.request.selection, snapshot.symbols());
  for (const NodeInfo* node : snapshot.nodes()) {
    if (all_keys && !spread->HasAllKeys(*node)) continue;
    const bool selected = selection.Matches(*node);
    for (Spread::Entry& entry : spread->entries) {
      if (!entry.domains.Has(*node)) continue;
      if (entry.constraint.honor_affinity && !selected) continue;
      if (entry.constraint.honor_taints && !TaintsTolerated(pod, *node)) continue;
      entry.domains.Include(*node);
      int matching = 0;
      for (const ObjectPtr& other : node->pods) {
        matching += Counts(entry.constraint, pod, other->view<PodDemand>()) ? 1 : 0;
      }
      if (matching > 0) entry.domains.Adjust(*node, matching);
    }
  }
  return spread;
}

void AdjustSpread(PluginState& state, const PodDemand& pod, const PodDemand& other, const NodeInfo& node, int by) {
  for (Spread::Entry& entry : static_cast<Spread&>(state).entries) {
    if (Counts(entry.constraint, pod, other)) entry.domains.Adjust(node, by);
  }
}

std::vector<SpreadConstraint> Some(const PodDemand& pod, bool required) {
  std::vector<SpreadConstraint> some;
  std::copy_if(pod.request.spread.begin(), pod.request.spread.end(), std::back_inserter(some),
               [&](const SpreadConstraint& constraint) { return constraint.required == required; });
  return some;
}

PreFilter PreFilterSpread(const PodDemand& pod, const ClusterView& cluster) {
  PreFilter result;
  std::vector<SpreadConstraint> required = Some(pod, true);
  result.skip = required.empty();
  if (!result.skip) result.state = Count(pod, std::move(required), true, cluster.snapshot);
  return result;
}

bool FilterSpread(const PluginState* state, const PodDemand&, const NodeInfo& node, Refusal& refusal) {
  for (const Spread::Entry& entry : static_cast<const Spread*>(state)->entries) {
    if (!entry.domains.Has(node)) {
      refusal.Add("node(s) didn't match pod topology spread constraints (missing required label)");
      refusal.SetUnresolvable();
      return false;
    }
    const int64_t skew =
        entry.domains.Count(node) + (entry.matches_itself ? 1 : 0) - entry.domains.Least(entry.constraint.min_domains);
    if (skew > entry.constraint.max_skew) {
      refusal.Add("node(s) didn't match pod topology spread constraints");
      return false;
    }
  }
  return true;
}

bool Helps(const PodDemand& pod, const Snapshot::Change& change, const ClusterView&) {
  if ((change.events & (kNodeAdded | kNodeLabels | kNodeTaints | kNodeRemoved)) != 0) return true;
  auto counts = [&](const ObjectPtr& other) {
    const PodDemand& info = other->view<PodDemand>();
    return std::any_of(pod.request.spread.begin(), pod.request.spread.end(), [&](const SpreadConstraint& constraint) {
      return constraint.required && Counts(constraint, pod, info);
    });
  };
  return std::any_of(change.came.begin(), change.came.end(), counts) ||
         std::any_of(change.went.begin(), change.went.end(), counts);
}

// -- Scores: the pod's own soft constraints; without any constraints, the pods of its Services and its ReplicaSet,
// StatefulSet or ReplicationController are kept apart (the system's default constraints, KEP-1258).

struct OwnerKind {
  std::string_view kind, resource;
};
constexpr OwnerKind kOwners[] = {
    {"ReplicationController", "replicationcontrollers"},
    {"ReplicaSet", resources::kReplicaSets},
    {"StatefulSet", resources::kStatefulSets},
};

void Merge(const Json& more, Json& selector) {
  for (const auto& [key, value] : MapAt(more, "matchLabels")) selector["matchLabels"][key] = value;
  for (const Json& expression : ListAt(more, "matchExpressions")) selector["matchExpressions"].push_back(expression);
}

// Which pods are of the pod's kind; {} = nobody says.
Json DefaultSelector(const PodDemand& pod, const WatchCache& cache) {
  Json selector = Json::object();
  cache.ForEach(resources::kServices, pod.request.ns, [&](const ObjectPtr& service) {
    const JsonPtr document = service->json();
    const Json& labels = At(*document, "spec.selector");
    if (labels.is_object() && !labels.empty() && LabelSelector::FromMap(labels).Matches(*pod.request.labels)) {
      Merge({{"matchLabels", labels}}, selector);
    }
    return true;
  });
  for (const OwnerKind& owner : kOwners) {
    if (pod.request.owner.kind != owner.kind) continue;
    const ObjectPtr object = cache.Get(owner.resource, pod.request.ns, pod.request.owner.name);
    if (object == nullptr || object->uid() != pod.request.owner.uid) continue;
    const JsonPtr document = object->json();
    const Json& own = At(*document, "spec.selector");
    Merge(owner.kind == kOwners[0].kind ? Json{{"matchLabels", own}} : own, selector);
  }
  return selector;
}

std::vector<SpreadConstraint> DefaultConstraints(const PodDemand& pod, const ClusterView& cluster) {
  if (cluster.cache == nullptr) return {};
  const Json selector = DefaultSelector(pod, *cluster.cache);
  if (selector.empty()) return {};
  std::vector<SpreadConstraint> constraints;
  for (const auto& [key, max_skew] : {std::pair{kHostname, 3}, std::pair{kZone, 5}}) {
    SpreadConstraint constraint;
    constraint.topology_key = key;
    constraint.max_skew = max_skew;
    constraint.required = false;
    if (Result<LabelSelector> compiled = LabelSelector::FromJson(selector); compiled.ok()) {
      constraint.selector = std::move(*compiled);
    } else {
      constraint.selector = LabelSelector::Nothing();
    }
    constraints.push_back(std::move(constraint));
  }
  return constraints;
}

PreScore PreScoreSpread(const PodDemand& pod, const ClusterView& cluster) {
  PreScore result;
  const bool own = !pod.request.spread.empty();
  std::vector<SpreadConstraint> soft = own ? Some(pod, false) : DefaultConstraints(pod, cluster);
  result.skip = soft.empty();
  if (!result.skip) result.state = Count(pod, std::move(soft), own, cluster.snapshot);
  return result;
}

// The fewer matching pods a node's domains have, the better. A key with few different values among the nodes at hand
// counts less than one with many, and a tolerated skew evens differences out.
void ScoreSpread(PluginState* state, const PodDemand&, std::span<const NodeInfo* const> nodes,
                 std::span<int64_t> scores) {
  constexpr int64_t kIgnored = -1;
  Spread& spread = *static_cast<Spread*>(state);
  std::vector<double> weights;
  for (Spread::Entry& entry : spread.entries) {
    weights.push_back(std::log(static_cast<double>(entry.domains.DifferentAmong(nodes)) + 2));
  }
  int64_t lowest = std::numeric_limits<int64_t>::max();
  int64_t highest = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (spread.all_keys && !spread.HasAllKeys(*nodes[i])) {
      scores[i] = kIgnored;
      continue;
    }
    double sum = 0;
    for (size_t c = 0; c < spread.entries.size(); ++c) {
      const Spread::Entry& entry = spread.entries[c];
      if (!entry.domains.Has(*nodes[i])) continue;
      sum += static_cast<double>(entry.domains.Count(*nodes[i])) * weights[c] +
             static_cast<double>(entry.constraint.max_skew - 1);
    }
    scores[i] = static_cast<int64_t>(std::round(sum));
    lowest = std::min(lowest, scores[i]);
    highest = std::max(highest, scores[i]);
  }
  for (int64_t& score : scores) {
    if (score == kIgnored) {
      score = 0;
    } else {
      score = highest == 0 ? kMaxScore : kMaxScore * (highest + lowest - score) / highest;
    }
  }
}

bool Never(const PodDemand&, const Event&) { return false; }
bool IsDeleted(const Event& event) { return event.type == EventType::kDeleted; }

struct ServiceSelector {
  explicit ServiceSelector(const Json& service) : labels(At(service, "spec.selector")) {}
  Json labels;
};

// Selectors of owners do not change, and a pod comes after its owner.
constexpr ResourceWatch kWatches[] = {
    {.resource = resources::kServices,
     .matters =
         [](const Event& event) {
           return event.type != EventType::kModified || !event.previous ||
                  event.previous->view<ServiceSelector>().labels != event.object->view<ServiceSelector>().labels;
         },
     .helps = Never},
    {.resource = kOwners[0].resource, .matters = IsDeleted, .helps = Never},
    {.resource = kOwners[1].resource, .matters = IsDeleted, .helps = Never},
    {.resource = kOwners[2].resource, .matters = IsDeleted, .helps = Never},
};

}  // namespace

// Spreads the pods that a selector names evenly over the values of a node label (KEP-895, with minDomains,
// nodeAffinityPolicy, nodeTaintsPolicy and matchLabelKeys: KEP-3022, KEP-3094, KEP-3243).
const Plugin kPodTopologySpread{
    .name = "PodTopologySpread",
    .events = kNodeAdded | kNodeLabels | kNodeTaints | kNodeRemoved | kPodAssigned | kPodGone,
    .node_local = false,
    .pre_filter = PreFilterSpread,
    .filter = FilterSpread,
    .adjust = AdjustSpread,
    .helps = Helps,
    .watches = kWatches,
    .weight = 2,
    .pre_score = PreScoreSpread,
    .score = ScoreSpread,
    .adjust_score = AdjustSpread,
};

}  // namespace wherry::plugins
