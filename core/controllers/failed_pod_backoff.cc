#include "core/controllers/failed_pod_backoff.h"

#include <algorithm>

namespace wherry {

std::string FailedPodBackoff::Key(const std::string& set_uid, int64_t generation, std::string_view slot) {
  return (set_uid + "/" + std::to_string(generation) + "/").append(slot);
}

Duration FailedPodBackoff::Remaining(const std::string& key, Time now) const {
  auto it = entries_.find(key);
  if (it == entries_.end() || Expired(it->second, now)) return Duration::zero();
  return std::max(Duration::zero(), it->second.raised + it->second.delay - now);
}

void FailedPodBackoff::Raise(const std::string& key, Time now) {
  auto [it, fresh] = entries_.try_emplace(key, Entry{kBase, now});
  if (fresh) return;
  Entry& entry = it->second;
  entry.delay = Expired(entry, now) ? kBase : std::min(entry.delay * 2, kMax);
  entry.raised = now;
}

void FailedPodBackoff::Forget(Time now) {
  std::erase_if(entries_, [&](const auto& item) { return Expired(item.second, now); });
}

void FailedPodBackoff::ForgetSet(const std::string& set_uid) {
  std::erase_if(entries_, [&](const auto& item) { return item.first.starts_with(set_uid + "/"); });
}

}  // namespace wherry
