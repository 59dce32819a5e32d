#include "core/kinds/shared_labels.h"

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <utility>

namespace wherry {
namespace {

// The sets that somebody holds. Those that nobody does any more are swept out whenever the table has doubled.
class Held {
 public:
  std::shared_ptr<const Labels> Find(Labels labels) {
    const size_t hash = HashOf(labels);
    const auto [begin, end] = sets_.equal_range(hash);
    for (auto it = begin; it != end; ++it) {
      if (auto set = it->second.lock(); set && *set == labels) return set;
    }
    if (sets_.size() >= sweep_at_) {
      std::erase_if(sets_, [](const auto& entry) { return entry.second.expired(); });
      sweep_at_ = std::max(kFirstSweep, 2 * sets_.size());
    }
    auto made = std::make_shared<const Labels>(std::move(labels));
    sets_.emplace(hash, made);
    return made;
  }

 private:
  static constexpr size_t kFirstSweep = 256;

  static size_t HashOf(const Labels& labels) {
    const std::hash<std::string> hash;
    size_t seed = labels.size();
    for (const auto& [key, value] : labels) seed = (seed * 31 + hash(key)) * 31 + hash(value);
    return seed;
  }

  std::unordered_multimap<size_t, std::weak_ptr<const Labels>> sets_;
  size_t sweep_at_ = kFirstSweep;
};

}  // namespace

SharedLabels::SharedLabels(Labels labels) {
  if (labels.empty()) return;
  thread_local Held held;
  labels.shrink_to_fit();
  labels_ = held.Find(std::move(labels));
}

const Labels& SharedLabels::operator*() const {
  static const Labels kNone;
  return labels_ ? *labels_ : kNone;
}

}  // namespace wherry
