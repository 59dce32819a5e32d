#pragma once

#include <deque>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/controllers/daemonset/daemonset_plan.h"

namespace wherry {

// A snapshot for planner tests, spoken in their words. The set is default/web with uid "set-uid", generation 1, current
// hash "new"; the time is second 1000.
class PlanWorld {
 public:
  PlanWorld() {
    set.ns = "default";
    set.name = "web";
    set.uid = "set-uid";
    set.generation = 1;
    set.selects_all = false;
  }

  static Time At(int64_t seconds) { return Time(std::chrono::seconds(seconds)); }

  PlanWorld& Node(std::string name, NodeVerdict verdict = {}) {
    nodes_.emplace_back(std::move(name), std::move(verdict));
    return *this;
  }
  // "on" pinned and bound to a node; phase and more by the changes below.
  PodView& Pod(std::string name, std::string node, std::string hash = "new") {
    pods_.emplace_back(std::move(name), PodView());
    PodView& pod = pods_.back().second;
    pod.node_name = pod.target_node = std::move(node);
    pod.revision_hash = std::move(hash);
    pod.phase = PodView::Phase::kRunning;
    pod.created = At(500);
    pod.why = "the pod is not ready";
    return pod;
  }
  PodView& Ready(std::string name, std::string node, std::string hash = "new", int64_t since = 600) {
    PodView& pod = Pod(std::move(name), std::move(node), std::move(hash));
    pod.ready = true;
    pod.ready_since = At(since);
    pod.why.clear();
    return pod;
  }
  PodView& Failed(std::string name, std::string node, std::string hash = "new") {
    PodView& pod = Pod(std::move(name), std::move(node), std::move(hash));
    pod.phase = PodView::Phase::kFailed;
    pod.why = "the pod has failed: Evicted";
    return pod;
  }

  DaemonSetInputs Inputs() const {
    DaemonSetInputs in;
    in.set = &set;
    in.update_hash = "new";
    for (const auto& [name, verdict] : nodes_) in.nodes.push_back({name, &verdict});
    for (const auto& [name, view] : pods_) in.pods.push_back({name, name, &view});
    in.backoff = &backoff;
    in.name_taken = [this](const std::string& name) {
      for (const auto& pod : pods_) {
        if (pod.first == name) return true;
      }
      return taken.contains(name);
    };
    in.now = now;
    return in;
  }
  DaemonSetPlan Plan() const { return PlanDaemonSet(Inputs()); }
  DaemonSetStatus Status() const {
    Duration ignored{0};
    return ObserveDaemonSet(Inputs(), &ignored);
  }

  // "+node" for each create and "-pod" for each delete, sorted, blank-separated: what a test expects literally.
  std::string Acts() const { return Acts(Plan()); }
  static std::string Acts(const DaemonSetPlan& plan) {
    std::set<std::string> acts;
    for (const auto& create : plan.creates) acts.insert("+" + create.node);
    for (const auto& pod : plan.deletes) acts.insert("-" + pod.name);
    std::string out;
    for (const std::string& act : acts) out += (out.empty() ? "" : " ") + act;
    return out;
  }

  DaemonSetView set;
  FailedPodBackoff backoff;
  std::set<std::string> taken;
  Time now = At(1000);

 private:
  std::deque<std::pair<std::string, NodeVerdict>> nodes_;
  std::deque<std::pair<std::string, PodView>> pods_;
};

// The verdicts that eligibility gives.
inline const NodeVerdict kRuns{true, true, ""};
inline const NodeVerdict kStays{false, true, "it has the untolerated taint a=b:NoSchedule"};
inline const NodeVerdict kRefuses{false, false, "it does not match the pod's node selector"};

}  // namespace wherry
