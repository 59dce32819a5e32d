#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/runtime/clock.h"
#include "core/scheduler/cluster_event.h"
#include "store/object.h"

namespace wherry {

// Which filters of its profile refused a pod: one bit each, in profile order.
using FilterMask = uint64_t;
inline constexpr FilterMask kAllFilters = ~FilterMask{0};

// A pod that waits for a node.
struct QueuedPod {
  ObjectPtr pod;
  int32_t priority = 0;
  int attempts = 0;  // decisions that refused it or binds that failed, since it was queued
  FilterMask refused_by = 0;
  // The nodes the pod is tied to (daemon pods), when it is: no other node's change concerns it.
  std::vector<std::string> tied_to;

 private:
  friend class SchedulingQueue;
  enum class Where : uint8_t { kActive, kBackoff, kRetry, kRefused, kInFlight };
  Where where = Where::kActive;
  Time created{};
  uint64_t sequence = 0;  // of arrival: the tie-break that makes order total
  Duration due{};         // kBackoff, kRetry: monotonic
  Duration refused_at{};  // kRefused: monotonic
  uint64_t refused_order = 0;
};

// The pods without a node, each in one place:
//
//   active    to be decided now: highest priority first, then oldest
//   backoff   refused before and worth another look: tried once the active are done, or when its back-off ends
//   retry     its bind failed: tried when its back-off ends, not before
//   refused   no node fits; sleeps until Wake finds a change that helps, and at most five minutes
//   in flight popped; the owner says what became of it with Refuse, Retry or Remove
//
// Nothing polls: a pod leaves `refused` by an event, and the five-minute flush is only a net under that. The back-off
// orders pods while there is other work; an idle scheduler looks at once. Control thread only.
class SchedulingQueue {
 public:
  explicit SchedulingQueue(Clock& clock);
  ~SchedulingQueue();
  SchedulingQueue(const SchedulingQueue&) = delete;
  SchedulingQueue& operator=(const SchedulingQueue&) = delete;

  // A pod that appeared, or its new version. A refused pod whose own request changed is worth another look at once;
  // other updates leave it where it is.
  void Put(ObjectPtr pod);
  // The pod is bound, gone or no longer ours.
  void Remove(const std::string& uid);

  // The next pod to decide, now in flight; null when there is none. Lives until Remove.
  QueuedPod* Pop();
  // A popped pod that no node fits.
  void Refuse(QueuedPod& pod, FilterMask refused_by, std::vector<std::string> tied_to);
  // A popped pod whose bind failed through no fault of its own.
  void Retry(QueuedPod& pod);
  QueuedPod* Find(const std::string& uid);
  // A refused pod is worth another look, whatever refused it; others stay where they are.
  void Reconsider(const std::string& uid);

  // Offers every refused pod that `node` concerns ("" = all of them) to `helps`; those it says yes to are tried again.
  void Wake(const std::string& node, const std::function<bool(QueuedPod&)>& helps);

  // Called when a timer made a pod ready: only wake the scheduler.
  void set_on_ready(std::function<void()> on_ready) { on_ready_ = std::move(on_ready); }

  size_t size() const { return pods_.size(); }
  size_t active() const { return active_.size() + backoff_.size(); }  // what Pop would give, one after another
  size_t refused() const { return refused_.size(); }

 private:
  struct Before {  // priority, then age
    bool operator()(const QueuedPod* a, const QueuedPod* b) const;
  };
  struct DueBefore {
    bool operator()(const QueuedPod* a, const QueuedPod* b) const;
  };
  void Activate(QueuedPod& pod);
  void ActivateOrBackOff(QueuedPod& pod);
  void Detach(QueuedPod& pod);
  void MoveDue();
  void ArmRetry();
  void ArmFlush();
  void Flush();
  Duration Backoff(const QueuedPod& pod) const;

  Clock& clock_;
  std::function<void()> on_ready_;
  std::unordered_map<std::string, std::unique_ptr<QueuedPod>> pods_;  // by uid
  std::set<QueuedPod*, Before> active_;
  std::set<QueuedPod*, DueBefore> backoff_;
  std::set<QueuedPod*, DueBefore> retry_;
  std::map<uint64_t, QueuedPod*> refused_;                                           // in order of refusal
  std::unordered_map<std::string, std::map<uint64_t, QueuedPod*>> refused_by_node_;  // those tied to nodes
  std::map<uint64_t, QueuedPod*> refused_anywhere_;                                  // the others
  Clock::TimerId retry_timer_ = 0;
  Clock::TimerId flush_timer_ = 0;
  uint64_t next_sequence_ = 1;
};

}  // namespace wherry
