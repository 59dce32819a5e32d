#pragma once

#include <deque>
#include <string>
#include <utility>

#include "core/controllers/statefulset/statefulset_plan.h"

namespace wherry {

// A snapshot for planner tests, spoken in their words. The set is default/web with three replicas; "old" is its current
// revision, "new" the one to be rolled out; the time is second 1000.
class StatefulWorld {
 public:
  StatefulWorld() {
    set.ns = "default";
    set.name = "web";
    set.uid = "set-uid";
    set.generation = 1;
    set.replicas = 3;
  }

  static Time At(int64_t seconds) { return Time(std::chrono::seconds(seconds)); }

  struct Slot {
    std::string name, uid;
    int64_t ordinal;
    PodView view;
    StatefulPodView stateful;
  };

  // Running, not ready, but was once.
  Slot& Busy(int64_t ordinal, std::string revision = "new") {
    Slot& slot = slots_.emplace_back();
    slot.ordinal = ordinal;
    slot.name = set.PodName(ordinal);
    slot.uid = slot.name;
    slot.view.phase = PodView::Phase::kRunning;
    slot.view.node_name = "a";
    slot.view.revision_hash = std::move(revision);
    slot.view.why = "the pod is not ready";
    slot.stateful.pod_name_label = slot.name;
    slot.stateful.pod_index_label = std::to_string(ordinal);
    return slot;
  }
  Slot& Ready(int64_t ordinal, std::string revision = "new", int64_t since = 600) {
    Slot& slot = Busy(ordinal, std::move(revision));
    slot.view.ready = true;
    slot.view.ready_since = At(since);
    slot.view.why.clear();
    return slot;
  }
  Slot& Stuck(int64_t ordinal, std::string revision = "new") {
    Slot& slot = Busy(ordinal, std::move(revision));
    slot.stateful.stuck = true;
    return slot;
  }
  Slot& Ended(int64_t ordinal, PodView::Phase phase, std::string revision = "new") {
    Slot& slot = Busy(ordinal, std::move(revision));
    slot.view.phase = phase;
    slot.view.why = "the pod has failed: Evicted";
    return slot;
  }
  Slot& Going(int64_t ordinal, std::string revision = "new") {
    Slot& slot = Busy(ordinal, std::move(revision));
    slot.view.deleting = true;
    return slot;
  }
  // Pods from a picture, one letter an ordinal from `start`: N/O ready of the new/old revision, n/o busy, x stuck of a
  // third (broken) revision, b busy of it, t terminating, F failed, S succeeded, . missing.
  StatefulWorld& Pods(const std::string& picture) {
    int64_t ordinal = set.start;
    for (const char c : picture) {
      switch (c) {
        case 'N':
        case 'O':
          Ready(ordinal, c == 'N' ? "new" : "old");
          break;
        case 'n':
        case 'o':
          Busy(ordinal, c == 'n' ? "new" : "old");
          break;
        case 'x':
          Stuck(ordinal, "broken");
          break;
        case 'b':
          Busy(ordinal, "broken");
          break;
        case 't':
          Going(ordinal);
          break;
        case 'F':
        case 'S':
          Ended(ordinal, c == 'F' ? PodView::Phase::kFailed : PodView::Phase::kSucceeded);
          break;
        default:
          break;
      }
      ++ordinal;
    }
    return *this;
  }

  StatefulSetInputs Inputs() const {
    StatefulSetInputs in;
    in.set = &set;
    in.current_revision = current_revision;
    in.update_revision = "new";
    for (const Slot& slot : slots_) in.pods.push_back({slot.name, slot.uid, slot.ordinal, &slot.view, &slot.stateful});
    in.backoff = &backoff;
    in.claim_leaving = [this](int64_t ordinal) { return ordinal == claim_leaving; };
    in.now = now;
    return in;
  }
  StatefulSetPlan Plan() const { return PlanStatefulSet(Inputs()); }

  // "-2 +0new": deletes, then creates with their revision, in the plan's order.
  std::string Acts() const { return Acts(Plan()); }
  std::string Acts(const StatefulSetPlan& plan) const {
    std::string out;
    for (const auto& pod : plan.deletes) out += " -" + pod.name.substr(set.name.size() + 1);
    for (const auto& pod : plan.creates) out += " +" + std::to_string(pod.ordinal) + pod.revision;
    return out.empty() ? out : out.substr(1);
  }

  StatefulSetView set;
  std::string current_revision = "old";
  FailedPodBackoff backoff;
  int64_t claim_leaving = -1;
  Time now = At(1000);

 private:
  std::deque<Slot> slots_;
};

}  // namespace wherry
