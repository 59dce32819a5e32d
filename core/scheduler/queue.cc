#include "core/scheduler/queue.h"

#include <algorithm>
#include <utility>

#include "core/scheduler/pod_demand.h"

namespace wherry {
namespace {

constexpr Duration kFirstBackoff = std::chrono::seconds(1);
constexpr Duration kLongestBackoff = std::chrono::seconds(10);
constexpr Duration kLongestRefusal = std::chrono::minutes(5);

}  // namespace

bool SchedulingQueue::Before::operator()(const QueuedPod* a, const QueuedPod* b) const {
  if (a->priority != b->priority) return a->priority > b->priority;
  if (a->created != b->created) return a->created < b->created;
  return a->sequence < b->sequence;
}

bool SchedulingQueue::DueBefore::operator()(const QueuedPod* a, const QueuedPod* b) const {
  return a->due != b->due ? a->due < b->due : Before()(a, b);
}

SchedulingQueue::SchedulingQueue(Clock& clock) : clock_(clock) {}

SchedulingQueue::~SchedulingQueue() {
  clock_.Cancel(retry_timer_);
  clock_.Cancel(flush_timer_);
}

void SchedulingQueue::Put(ObjectPtr pod) {
  auto& slot = pods_[pod->uid()];
  if (!slot) {
    const PodDemand& info = pod->view<PodDemand>();
    slot = std::make_unique<QueuedPod>();
    slot->priority = info.request.priority;
    slot->created = info.creation;
    slot->sequence = next_sequence_++;
    slot->pod = std::move(pod);
    Activate(*slot);
    return;
  }
  const bool changed = !(slot->pod->view<PodDemand>().request == pod->view<PodDemand>().request);
  slot->pod = std::move(pod);
  if (changed && slot->where == QueuedPod::Where::kRefused) {
    Detach(*slot);
    ActivateOrBackOff(*slot);
  }
}

void SchedulingQueue::Remove(const std::string& uid) {
  auto it = pods_.find(uid);
  if (it == pods_.end()) return;
  Detach(*it->second);
  pods_.erase(it);
}

QueuedPod* SchedulingQueue::Find(const std::string& uid) {
  auto it = pods_.find(uid);
  return it == pods_.end() ? nullptr : it->second.get();
}

void SchedulingQueue::Reconsider(const std::string& uid) {
  QueuedPod* pod = Find(uid);
  if (pod == nullptr || pod->where != QueuedPod::Where::kRefused) return;
  Detach(*pod);
  ActivateOrBackOff(*pod);
}

QueuedPod* SchedulingQueue::Pop() {
  MoveDue();
  QueuedPod* pod = nullptr;
  if (!active_.empty()) {
    pod = *active_.begin();
  } else if (!backoff_.empty()) {
    pod = *backoff_.begin();
  } else {
    return nullptr;
  }
  Detach(*pod);
  pod->where = QueuedPod::Where::kInFlight;
  ++pod->attempts;
  return pod;
}

void SchedulingQueue::Refuse(QueuedPod& pod, FilterMask refused_by, std::vector<std::string> tied_to) {
  pod.refused_by = refused_by;
  pod.tied_to = std::move(tied_to);
  pod.where = QueuedPod::Where::kRefused;
  pod.refused_at = clock_.Monotonic();
  pod.due = pod.refused_at + Backoff(pod);
  pod.refused_order = next_sequence_++;
  refused_.emplace(pod.refused_order, &pod);
  if (pod.tied_to.empty()) {
    refused_anywhere_.emplace(pod.refused_order, &pod);
  } else {
    for (const auto& node : pod.tied_to) refused_by_node_[node].emplace(pod.refused_order, &pod);
  }
  ArmFlush();
}

void SchedulingQueue::Retry(QueuedPod& pod) {
  pod.where = QueuedPod::Where::kRetry;
  pod.due = clock_.Monotonic() + Backoff(pod);
  retry_.insert(&pod);
  ArmRetry();
}

void SchedulingQueue::Wake(const std::string& node, const std::function<bool(QueuedPod&)>& helps) {
  std::vector<QueuedPod*> woken;
  auto offer = [&](const std::map<uint64_t, QueuedPod*>& pods) {
    for (const auto& [order, pod] : pods) {
      if (helps(*pod)) woken.push_back(pod);
    }
  };
  if (node.empty()) {
    offer(refused_);
  } else {
    offer(refused_anywhere_);
    if (auto it = refused_by_node_.find(node); it != refused_by_node_.end()) offer(it->second);
  }
  for (QueuedPod* pod : woken) {
    Detach(*pod);
    ActivateOrBackOff(*pod);
  }
}

void SchedulingQueue::Activate(QueuedPod& pod) {
  pod.where = QueuedPod::Where::kActive;
  active_.insert(&pod);
}

void SchedulingQueue::ActivateOrBackOff(QueuedPod& pod) {
  if (pod.due <= clock_.Monotonic()) {
    Activate(pod);
    return;
  }
  pod.where = QueuedPod::Where::kBackoff;
  backoff_.insert(&pod);
}

void SchedulingQueue::Detach(QueuedPod& pod) {
  switch (pod.where) {
    case QueuedPod::Where::kActive:
      active_.erase(&pod);
      break;
    case QueuedPod::Where::kBackoff:
      backoff_.erase(&pod);
      break;
    case QueuedPod::Where::kRetry:
      retry_.erase(&pod);
      break;
    case QueuedPod::Where::kInFlight:
      break;
    case QueuedPod::Where::kRefused:
      refused_.erase(pod.refused_order);
      refused_anywhere_.erase(pod.refused_order);
      for (const auto& node : pod.tied_to) {
        auto it = refused_by_node_.find(node);
        if (it == refused_by_node_.end()) continue;
        it->second.erase(pod.refused_order);
        if (it->second.empty()) refused_by_node_.erase(it);
      }
      break;
  }
}

// Pods whose back-off has ended compete by priority again.
void SchedulingQueue::MoveDue() {
  const Duration now = clock_.Monotonic();
  for (auto* waiting : {&backoff_, &retry_}) {
    while (!waiting->empty() && (*waiting->begin())->due <= now) {
      QueuedPod& pod = **waiting->begin();
      waiting->erase(waiting->begin());
      Activate(pod);
    }
  }
}

void SchedulingQueue::ArmRetry() {
  clock_.Cancel(retry_timer_);
  retry_timer_ = 0;
  if (retry_.empty()) return;
  retry_timer_ = clock_.After((*retry_.begin())->due - clock_.Monotonic(), [this] {
    retry_timer_ = 0;
    MoveDue();
    ArmRetry();
    if (on_ready_) on_ready_();
  });
}

void SchedulingQueue::ArmFlush() {
  if (flush_timer_ != 0 || refused_.empty()) return;
  const Duration due = refused_.begin()->second->refused_at + kLongestRefusal;
  flush_timer_ = clock_.After(due - clock_.Monotonic(), [this] { Flush(); });
}

void SchedulingQueue::Flush() {
  flush_timer_ = 0;
  const Duration limit = clock_.Monotonic() - kLongestRefusal;
  bool any = false;
  while (!refused_.empty() && refused_.begin()->second->refused_at <= limit) {
    QueuedPod& pod = *refused_.begin()->second;
    Detach(pod);
    ActivateOrBackOff(pod);
    any = true;
  }
  ArmFlush();
  if (any && on_ready_) on_ready_();
}

Duration SchedulingQueue::Backoff(const QueuedPod& pod) const {
  Duration backoff = kFirstBackoff;
  for (int i = 1; i < pod.attempts && backoff < kLongestBackoff; ++i) backoff *= 2;
  return std::min(backoff, kLongestBackoff);
}

}  // namespace wherry
