#include "core/controllers/daemonset/daemonset_status.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "core/controllers/daemonset/daemonset_plan.h"
#include "core/controllers/daemonset/node_pods.h"
#include "core/controllers/shorten.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr size_t kMaxMessage = 1024;
constexpr size_t kReasonsTold = 8, kNodesTold = 4, kReasonsKept = 64;

// Collects "node: why", told as "node-a: why; why2 (12 nodes: node-b, node-c, node-d, node-e, …)": the most frequent
// first.
class Grounds {
 public:
  void Add(std::string_view node, std::string_view why) {
    auto it = reasons_.find(why);
    if (it == reasons_.end()) {
      if (reasons_.size() >= kReasonsKept) why = "other reasons";
      it = reasons_.try_emplace(std::string(why)).first;
    }
    ++it->second.count;
    if (it->second.nodes.size() < kNodesTold) it->second.nodes.push_back(node);
  }

  std::string Told() const {
    std::vector<const std::pair<const std::string, Reason>*> order;
    for (const auto& reason : reasons_) order.push_back(&reason);
    std::sort(order.begin(), order.end(), [](auto* a, auto* b) {
      if (a->second.count != b->second.count) return a->second.count > b->second.count;
      return std::pair(a->second.nodes.front(), a->first) < std::pair(b->second.nodes.front(), b->first);
    });
    std::string out;
    for (size_t i = 0; i < order.size(); ++i) {
      if (!out.empty()) out += "; ";
      if (i == kReasonsTold) {
        out += "and " + std::to_string(order.size() - i) + " more reasons";
        break;
      }
      const auto& [why, reason] = *order[i];
      if (reason.count == 1) {
        out.append(reason.nodes.front()).append(": ").append(why);
        continue;
      }
      out.append(why).append(" (").append(std::to_string(reason.count)).append(" nodes: ");
      for (size_t n = 0; n < reason.nodes.size(); ++n) out.append(n ? ", " : "").append(reason.nodes[n]);
      out.append(reason.count > static_cast<int64_t>(reason.nodes.size()) ? ", …)" : ")");
    }
    return Shorten(std::move(out), kMaxMessage);
  }

 private:
  struct Reason {
    int64_t count = 0;
    std::vector<std::string_view> nodes;
  };
  std::map<std::string, Reason, std::less<>> reasons_;
};

void SetCondition(Json& conditions, const char* type, bool value, const char* reason, const std::string& message,
                  Time now) {
  const char* status = value ? "True" : "False";
  auto it =
      std::find_if(conditions.begin(), conditions.end(), [&](const Json& c) { return StringAt(c, "type") == type; });
  Json made = {{"type", type}, {"status", status}, {"reason", reason}, {"lastTransitionTime", FormatTime(now)}};
  if (!message.empty()) made["message"] = message;
  if (it == conditions.end()) {
    conditions.push_back(std::move(made));
    return;
  }
  if (StringAt(*it, "status") == status && it->contains("lastTransitionTime")) {
    made["lastTransitionTime"] = (*it)["lastTransitionTime"];
  }
  *it = std::move(made);
}

}  // namespace

DaemonSetStatus ObserveDaemonSet(const DaemonSetInputs& inputs, Duration* requeue_after) {
  const DaemonSetView& set = *inputs.set;
  const PodsByNode by_node(inputs);
  DaemonSetStatus out;
  Grounds unavailable, excluded;
  for (const NodePods& node : by_node.nodes()) {
    for (const DaemonPod& pod : node.pods) {
      if (!pod.view->ready || pod.view->deleting || pod.view->Available(set.min_ready, inputs.now)) continue;
      const Duration wait = pod.view->ready_since + set.min_ready - inputs.now;
      if (*requeue_after == Duration::zero() || wait < *requeue_after) *requeue_after = wait;
    }
    if (!node.verdict) continue;
    if (!node.verdict->should_run) {
      ++out.excluded;
      if (!node.pods.empty()) ++out.misscheduled;
      excluded.Add(node.node, node.verdict->why_not);
      continue;
    }
    ++out.desired;
    if (node.pods.empty()) {
      unavailable.Add(node.node, "it has no pod yet");
      continue;
    }
    const PodView& pod = *node.pods.front().view;
    ++out.current;
    if (pod.ready) ++out.ready;
    if (IsUpdated(inputs, pod)) ++out.updated;
    if (pod.Available(set.min_ready, inputs.now)) {
      ++out.available;
    } else {
      unavailable.Add(node.node,
                      pod.ready ? "its pod has not been ready for minReadySeconds yet" : std::string_view(pod.why));
    }
  }
  out.why_unavailable = unavailable.Told();
  out.why_excluded = excluded.Told();
  return out;
}

Json StatusDocument(const DaemonSetStatus& status, const Json* old, int64_t observed_generation, Time now) {
  Json out = {{"currentNumberScheduled", status.current},
              {"numberMisscheduled", status.misscheduled},
              {"desiredNumberScheduled", status.desired},
              {"numberReady", status.ready}};
  // omitempty upstream: clients take an absent number for zero.
  auto set_unless_zero = [&out](const char* field, int64_t value) {
    if (value != 0) out[field] = value;
  };
  set_unless_zero("observedGeneration", observed_generation);
  set_unless_zero("updatedNumberScheduled", status.updated);
  set_unless_zero("numberAvailable", status.available);
  set_unless_zero("numberUnavailable", status.unavailable());

  Json conditions = Json::array();
  if (old && old->is_object()) {
    if (auto it = old->find("collisionCount"); it != old->end()) out["collisionCount"] = *it;
    if (auto it = old->find("conditions"); it != old->end() && it->is_array()) conditions = *it;
  }
  const bool all = status.unavailable() == 0;
  SetCondition(conditions, kNodesUnavailable, !all, all ? "EveryNodeAvailable" : "NodesWithoutAvailablePod",
               status.why_unavailable, now);
  const bool known = std::any_of(conditions.begin(), conditions.end(),
                                 [](const Json& c) { return StringAt(c, "type") == kNodesExcluded; });
  if (status.excluded > 0 || known) {
    SetCondition(conditions, kNodesExcluded, status.excluded > 0,
                 status.excluded > 0 ? "NodesNotEligible" : "EveryNodeEligible", status.why_excluded, now);
  }
  out["conditions"] = std::move(conditions);
  return out;
}

}  // namespace wherry
