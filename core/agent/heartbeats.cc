#include "core/agent/heartbeats.h"

#include <utility>
#include <vector>

namespace wherry {
namespace {

constexpr Duration kSlot = std::chrono::seconds(1);

}  // namespace

void Heartbeats::Schedule(const std::string& name, Duration delay) {
  Forget(name);
  const int64_t slot = (clock_.Monotonic() + delay + kSlot - Duration(1)) / kSlot;
  slot_of_[name] = slots_.emplace(slot, name);
  Arm();
}

void Heartbeats::Forget(const std::string& name) {
  auto it = slot_of_.find(name);
  if (it == slot_of_.end()) return;
  slots_.erase(it->second);
  slot_of_.erase(it);
}

void Heartbeats::Arm() {
  if (slots_.empty() || (timer_ != 0 && armed_for_ <= slots_.begin()->first)) return;
  clock_.Cancel(timer_);
  armed_for_ = slots_.begin()->first;
  timer_ = clock_.After(armed_for_ * kSlot - clock_.Monotonic(), [this] { Fire(); });
}

void Heartbeats::Fire() {
  timer_ = 0;
  const int64_t now = clock_.Monotonic() / kSlot;
  std::vector<std::string> due;
  while (!slots_.empty() && slots_.begin()->first <= now) {
    due.push_back(std::move(slots_.begin()->second));
    slot_of_.erase(due.back());
    slots_.erase(slots_.begin());
  }
  for (const std::string& name : due) beat_(name);
  Arm();
}

}  // namespace wherry
