#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wherry {

// Amounts of resources in the units that comparing needs: what a pod asks for, what a node has and has given away. The
// three that nearly every pod names are plain members, so that the filter loop touches no string. A value.
struct Amounts {
  int64_t milli_cpu = 0;
  int64_t memory = 0;             // bytes
  int64_t ephemeral_storage = 0;  // bytes
  // Everything else ("nvidia.com/gpu", "hugepages-2Mi"), sorted by name.
  std::vector<std::pair<std::string, int64_t>> extended;

  bool operator==(const Amounts&) const = default;
  int64_t extended_amount(std::string_view name) const;  // 0 when absent
  void AddExtended(std::string_view name, int64_t amount);
  void Add(const Amounts& other);
  void Subtract(const Amounts& other);
  // Nothing is asked for.
  bool none() const { return milli_cpu == 0 && memory == 0 && ephemeral_storage == 0 && extended.empty(); }
};

}  // namespace wherry
