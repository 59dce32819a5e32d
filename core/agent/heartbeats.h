#pragma once

#include <functional>
#include <map>
#include <string>
#include <unordered_map>

#include "core/runtime/clock.h"

namespace wherry {

// Calls back for each of many names every so often, behind one timer: a wheel with a slot per second, so that thousands
// of nodes cost one wake-up a second at most, and none while no slot is due. Control thread only.
class Heartbeats {
 public:
  Heartbeats(Clock& clock, std::function<void(const std::string& name)> beat) : clock_(clock), beat_(std::move(beat)) {}
  ~Heartbeats() { clock_.Cancel(timer_); }
  Heartbeats(const Heartbeats&) = delete;
  Heartbeats& operator=(const Heartbeats&) = delete;

  // The next call for `name` comes in the first whole second (of the monotonic clock) at or after `delay`; replaces the
  // one that was planned.
  void Schedule(const std::string& name, Duration delay);
  void Forget(const std::string& name);
  bool planned(const std::string& name) const { return slot_of_.contains(name); }

 private:
  void Arm();
  void Fire();

  Clock& clock_;
  const std::function<void(const std::string&)> beat_;
  std::multimap<int64_t, std::string> slots_;
  std::unordered_map<std::string, std::multimap<int64_t, std::string>::iterator> slot_of_;
  Clock::TimerId timer_ = 0;
  int64_t armed_for_ = 0;
};

}  // namespace wherry
