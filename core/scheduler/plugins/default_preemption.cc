#include <algorithm>
#include <tuple>

#include "core/kinds/resources.h"
#include "core/kinds/selector.h"
#include "core/scheduler/diagnosis.h"
#include "core/scheduler/plugins/plugins.h"
#include "core/scheduler/prepared_pod.h"

namespace wherry::plugins {
namespace {

// How many nodes are worth a closer look in a large cluster (kube-scheduler's figures).
constexpr size_t kCandidatesPercent = 10;
constexpr size_t kCandidatesAtLeast = 100;

constexpr std::string_view kNotHelpful = "Preemption is not helpful for scheduling";
constexpr std::string_view kNoVictims = "No preemption victims found for incoming pod";

// What is left of a PodDisruptionBudget.
struct Budget {
  explicit Budget(const Json& document)
      : ns(StringAt(document, "metadata.namespace")), allowed(IntAt(document, "status.disruptionsAllowed")) {
    if (Result<LabelSelector> parsed = LabelSelector::FromJson(At(document, "spec.selector")); parsed.ok()) {
      selector = std::move(*parsed);
    }
    for (const auto& [pod, since] : MapAt(document, "status.disruptedPods")) disrupted.push_back(pod);
  }
  std::string ns;
  LabelSelector selector = LabelSelector::Nothing();
  int64_t allowed;
  std::vector<std::string> disrupted;  // pods already paid for

  bool Covers(const Object& pod) const {
    return ns == pod.ns() && !selector.empty() && selector.Matches(*pod.view<PodDemand>().request.labels) &&
           std::find(disrupted.begin(), disrupted.end(), pod.name()) == disrupted.end();
  }
};

std::vector<Budget> ReadBudgets(const WatchCache* cache) {
  std::vector<Budget> budgets;
  if (cache == nullptr) return budgets;
  cache->ForEach(resources::kPodDisruptionBudgets, {}, [&](const ObjectPtr& budget) {
    budgets.push_back(budget->view<Budget>());
    return true;
  });
  return budgets;
}

int32_t PriorityOf(const ObjectPtr& pod) { return pod->view<PodDemand>().request.priority; }

bool MoreImportant(const ObjectPtr& a, const ObjectPtr& b) {
  const PodDemand &left = a->view<PodDemand>(), &right = b->view<PodDemand>();
  if (left.request.priority != right.request.priority) return left.request.priority > right.request.priority;
  if (left.started != right.started) return left.started < right.started;
  return left.uid < right.uid;
}

struct Candidate {
  const NodeInfo* node;
  std::vector<ObjectPtr> victims;  // most important first
  int64_t violations = 0;          // victims whose budgets do not allow it

  // Since when the longest-running of the most important victims runs.
  Time Started() const {
    Time earliest = Time::max();
    for (const ObjectPtr& victim : victims) {
      if (PriorityOf(victim) == PriorityOf(victims[0])) {
        earliest = std::min(earliest, victim->view<PodDemand>().started);
      }
    }
    return earliest;
  }
  int64_t PrioritySum() const {
    int64_t sum = 0;
    // Shifted to be positive, so that few victims of negative priority do not look worse than many.
    for (const ObjectPtr& victim : victims)
      sum += int64_t{PriorityOf(victim)} + std::numeric_limits<int32_t>::max() + 1;
    return sum;
  }
  // Fewer violations, then less important victims, then less of them, then fewer, then those that started later.
  auto Cost() const {
    return std::tuple(violations, victims.empty() ? std::numeric_limits<int32_t>::min() : PriorityOf(victims[0]),
                      PrioritySum(), victims.size(), -Started().time_since_epoch());
  }
};

// A node as it would be without some of its pods. Puts everything back in the end: the states of `prepared` are exact
// before and after.
class Trial {
 public:
  Trial(PreparedPod& prepared, const PodDemand& pod, const NodeInfo& node)
      : prepared_(prepared), pod_(pod), node_(node), without_(node) {}
  ~Trial() {
    for (const ObjectPtr& gone : gone_) prepared_.Adjust(pod_, gone->view<PodDemand>(), node_, 1);
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  // Takes away every pod of lower priority.
  void RemoveLower() {
    for (size_t slot = without_.pods.size(); slot-- > 0;) {
      const ObjectPtr other = without_.pods[slot];
      if (PriorityOf(other) >= pod_.request.priority) continue;
      without_.Remove(slot);
      prepared_.Adjust(pod_, other->view<PodDemand>(), node_, -1);
      gone_.push_back(other);
    }
  }
  // The pod may stay if there is room for both. False = it must go.
  bool Reprieve(const ObjectPtr& other) {
    without_.Add(other);
    prepared_.Adjust(pod_, other->view<PodDemand>(), node_, 1);
    Refusal refusal;
    FilterMask refused_by = 0;
    if (Fits(refusal, refused_by)) {
      std::erase(gone_, other);
      return true;
    }
    without_.Remove(without_.pods.size() - 1);
    prepared_.Adjust(pod_, other->view<PodDemand>(), node_, -1);
    return false;
  }
  bool Fits(Refusal& refusal, FilterMask& refused_by) { return prepared_.Fits(pod_, without_, refusal, refused_by); }
  const std::vector<ObjectPtr>& gone() const { return gone_; }

 private:
  PreparedPod& prepared_;
  const PodDemand& pod_;
  const NodeInfo& node_;
  NodeInfo without_;
  std::vector<ObjectPtr> gone_;
};

// The pods whose budget does not allow them to go, if they went in this order; the others.
std::pair<std::vector<ObjectPtr>, std::vector<ObjectPtr>> SplitByBudget(const std::vector<ObjectPtr>& pods,
                                                                        std::vector<Budget> budgets) {
  std::pair<std::vector<ObjectPtr>, std::vector<ObjectPtr>> split;
  for (const ObjectPtr& pod : pods) {
    bool violates = false;
    for (Budget& budget : budgets) {
      if (budget.Covers(*pod) && --budget.allowed < 0) violates = true;
    }
    (violates ? split.first : split.second).push_back(pod);
  }
  return split;
}

// The fewest and least important pods of the node that must go; absent = even without all lower ones it does not do,
// and `refused` is told why.
std::optional<Candidate> FindVictims(PreparedPod& prepared, const PodDemand& pod, const NodeInfo& node,
                                     const std::vector<Budget>& budgets, Diagnosis& refused) {
  Trial trial(prepared, pod, node);
  trial.RemoveLower();
  if (trial.gone().empty()) {
    refused.AddAll(1, kNoVictims);
    return std::nullopt;
  }
  Refusal refusal;
  FilterMask refused_by = 0;
  if (!trial.Fits(refusal, refused_by)) {
    refused.Add(refusal, refused_by);
    return std::nullopt;
  }
  std::vector<ObjectPtr> lower = trial.gone();
  std::sort(lower.begin(), lower.end(), MoreImportant);
  Candidate candidate{&node, {}, 0};
  const auto [violating, allowed] = SplitByBudget(lower, budgets);
  for (const ObjectPtr& other : violating) {
    if (trial.Reprieve(other)) continue;
    candidate.victims.push_back(other);
    ++candidate.violations;
  }
  for (const ObjectPtr& other : allowed) {
    if (!trial.Reprieve(other)) candidate.victims.push_back(other);
  }
  std::sort(candidate.victims.begin(), candidate.victims.end(), MoreImportant);
  return candidate;
}

// Victims of an earlier preemption for this pod are still on their way out.
bool WaitsForVictims(const PodDemand& pod, const Snapshot& snapshot, std::span<const NodeInfo* const> resolvable) {
  const std::string& name = snapshot.NominationOf(pod.uid);
  const auto at =
      std::find_if(resolvable.begin(), resolvable.end(), [&](const NodeInfo* n) { return n->name == name; });
  if (name.empty() || at == resolvable.end()) return false;
  return std::any_of((*at)->pods.begin(), (*at)->pods.end(), [&](const ObjectPtr& other) {
    const PodDemand& info = other->view<PodDemand>();
    return info.deleting && info.request.priority < pod.request.priority;
  });
}

PostFilter Preempt(PreparedPod& prepared, const PodDemand& pod, const ClusterView& cluster,
                   std::span<const NodeInfo* const> resolvable, uint64_t start) {
  const Snapshot& snapshot = cluster.snapshot;
  PostFilter result;
  if (pod.request.never_preempts) {
    result.message = "preemption: not eligible due to preemptionPolicy=Never.";
    return result;
  }
  if (WaitsForVictims(pod, snapshot, resolvable)) {
    result.message = "preemption: not eligible due to a terminating pod on the nominated node.";
    result.wait = true;
    return result;
  }
  Diagnosis refused(snapshot.nodes().size());
  refused.AddAll(snapshot.nodes().size() - resolvable.size(), kNotHelpful);
  std::optional<Candidate> best;
  if (pod.request.priority <= snapshot.LowestPriority()) {
    refused.AddAll(resolvable.size(), kNoVictims);
  } else if (!resolvable.empty()) {
    const std::vector<Budget> budgets = ReadBudgets(cluster.cache);
    const size_t enough = std::max(resolvable.size() * kCandidatesPercent / 100, kCandidatesAtLeast);
    size_t found = 0;
    for (size_t i = 0; i < resolvable.size(); ++i) {
      const NodeInfo& node = *resolvable[(start + i) % resolvable.size()];
      std::optional<Candidate> candidate = FindVictims(prepared, pod, node, budgets, refused);
      if (!candidate) continue;
      if (!best || candidate->Cost() < best->Cost()) best = std::move(candidate);
      if (++found >= enough && best->violations == 0) break;
    }
  }
  if (best) {
    result.node = best->node;
    result.victims = std::move(best->victims);
  } else {
    result.message = "preemption: " + refused.Message();
    result.refused_by = refused.refused_by();
  }
  return result;
}

}  // namespace

// Makes room for a pod by evicting pods of lower priority: on the node where that costs least (KEP-268).
const Plugin kDefaultPreemption{
    .name = "DefaultPreemption",
    .post_filter = Preempt,
};

}  // namespace wherry::plugins
