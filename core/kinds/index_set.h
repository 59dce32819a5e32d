#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wherry {

// A set of completion indexes as an Indexed Job writes it: "1,3-5,7". A value; runs of indexes cost one pair.
class IndexSet {
 public:
  // Reads `text` ("" = none) and keeps what is below `limit`. "" when it is well-formed: ascending, no blanks; else
  // why not.
  static std::string Parse(std::string_view text, int64_t limit, IndexSet* out);

  void Add(int64_t index);
  void Add(const IndexSet& other);
  bool Contains(int64_t index) const;
  int64_t size() const;
  bool empty() const { return runs_.empty(); }
  // How many of `other` are in this set.
  int64_t CountOf(const IndexSet& other) const;
  int64_t last() const { return runs_.back().second; }  // REQUIRES: not empty
  // Two neighbours are written "1,2", three "1-3", as upstream does.
  std::string ToString() const;

  bool operator==(const IndexSet&) const = default;

 private:
  std::vector<std::pair<int64_t, int64_t>> runs_;  // first and last, ascending, never touching
};

}  // namespace wherry
