#include "core/kinds/index_set.h"

#include <algorithm>
#include <charconv>

namespace wherry {
namespace {

bool ReadIndex(std::string_view text, int64_t* out) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string IndexSet::Parse(std::string_view text, int64_t limit, IndexSet* out) {
  *out = IndexSet();
  int64_t previous = -1;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    const size_t dash = item.find('-');
    int64_t first = 0, last = 0;
    const std::string_view first_text = item.substr(0, dash);
    if (!ReadIndex(first_text, &first)) {
      return "cannot convert string to integer for index: \"" + std::string(first_text) + "\"";
    }
    last = first;
    if (dash != std::string_view::npos) {
      const std::string_view last_text = item.substr(dash + 1);
      if (last_text.find('-') != std::string_view::npos) {
        return "the fragment \"" + std::string(item) +
               "\" violates the requirement that an index interval can have "
               "at most two parts separated by '-'";
      }
      if (!ReadIndex(last_text, &last)) {
        return "cannot convert string to integer for index: \"" + std::string(last_text) + "\"";
      }
      if (last <= first)
        return "non-increasing order, previous: " + std::to_string(first) + ", current: " + std::to_string(last);
    }
    if (first <= previous) {
      return "non-increasing order, previous: " + std::to_string(previous) + ", current: " + std::to_string(first);
    }
    previous = last;
    if (first < limit) {
      last = std::min(last, limit - 1);
      if (!out->runs_.empty() && out->runs_.back().second + 1 == first) {
        out->runs_.back().second = last;
      } else {
        out->runs_.emplace_back(first, last);
      }
    }
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return "cannot convert string to integer for index: \"\"";
  }
  return {};
}

void IndexSet::Add(int64_t index) {
  // The first run that ends at or after the index's left neighbour: the only one it can touch from the right.
  auto it = std::lower_bound(runs_.begin(), runs_.end(), index - 1,
                             [](const auto& run, int64_t wanted) { return run.second < wanted; });
  if (it == runs_.end() || it->first > index + 1) {
    runs_.insert(it, {index, index});
    return;
  }
  it->first = std::min(it->first, index);
  it->second = std::max(it->second, index);
  if (auto next = std::next(it); next != runs_.end() && next->first == it->second + 1) {
    it->second = next->second;
    runs_.erase(next);
  }
}

void IndexSet::Add(const IndexSet& other) {
  for (const auto& [first, last] : other.runs_) {
    for (int64_t index = first; index <= last; ++index) Add(index);
  }
}

bool IndexSet::Contains(int64_t index) const {
  auto it = std::lower_bound(runs_.begin(), runs_.end(), index,
                             [](const auto& run, int64_t wanted) { return run.second < wanted; });
  return it != runs_.end() && it->first <= index;
}

int64_t IndexSet::size() const {
  int64_t total = 0;
  for (const auto& [first, last] : runs_) total += last - first + 1;
  return total;
}

int64_t IndexSet::CountOf(const IndexSet& other) const {
  int64_t total = 0;
  auto mine = runs_.begin();
  for (const auto& [first, last] : other.runs_) {
    while (mine != runs_.end() && mine->second < first) ++mine;
    for (auto it = mine; it != runs_.end() && it->first <= last; ++it) {
      total += std::min(last, it->second) - std::max(first, it->first) + 1;
    }
  }
  return total;
}

std::string IndexSet::ToString() const {
  std::string out;
  for (const auto& [first, last] : runs_) {
    if (!out.empty()) out += ',';
    out += std::to_string(first);
    if (last > first) out += (last == first + 1 ? "," : "-") + std::to_string(last);
  }
  return out;
}

}  // namespace wherry
