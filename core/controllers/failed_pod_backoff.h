#pragma once

#include <chrono>
#include <string>
#include <unordered_map>

#include "core/runtime/time.h"

namespace wherry {

// How long a pod that failed stays before it is replaced: at once the first time, then after 1 s doubling to 15 min,
// per set uid, generation and slot (a DaemonSet's node, a StatefulSet's ordinal). A quiet spell of twice the maximum
// begins anew. Keeps a set from fighting with a node that refuses its pods. A value; says nothing about the clock.
class FailedPodBackoff {
 public:
  static constexpr Duration kBase = std::chrono::seconds(1);
  static constexpr Duration kMax = std::chrono::minutes(15);

  static std::string Key(const std::string& set_uid, int64_t generation, std::string_view slot);

  // How much longer the failed pod stays; zero = replace it now, and Raise.
  Duration Remaining(const std::string& key, Time now) const;
  // A failed pod is being replaced.
  void Raise(const std::string& key, Time now);
  // Drops what has expired; cheap enough to call at each raise.
  void Forget(Time now);
  void ForgetSet(const std::string& set_uid);
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Duration delay;
    Time raised;
  };
  static bool Expired(const Entry& entry, Time now) { return now - entry.raised > 2 * kMax; }

  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace wherry
