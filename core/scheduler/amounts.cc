#include "core/scheduler/amounts.h"

#include <algorithm>

namespace wherry {
namespace {

auto Position(auto& list, std::string_view name) {
  return std::lower_bound(list.begin(), list.end(), name,
                          [](const auto& entry, std::string_view wanted) { return entry.first < wanted; });
}

}  // namespace

int64_t Amounts::extended_amount(std::string_view name) const {
  auto it = Position(extended, name);
  return it != extended.end() && it->first == name ? it->second : 0;
}

void Amounts::AddExtended(std::string_view name, int64_t amount) {
  auto it = Position(extended, name);
  if (it != extended.end() && it->first == name) {
    it->second += amount;
  } else {
    extended.emplace(it, std::string(name), amount);
  }
}

void Amounts::Add(const Amounts& other) {
  milli_cpu += other.milli_cpu;
  memory += other.memory;
  ephemeral_storage += other.ephemeral_storage;
  for (const auto& [name, amount] : other.extended) AddExtended(name, amount);
}

void Amounts::Subtract(const Amounts& other) {
  milli_cpu -= other.milli_cpu;
  memory -= other.memory;
  ephemeral_storage -= other.ephemeral_storage;
  for (const auto& [name, amount] : other.extended) AddExtended(name, -amount);
  std::erase_if(extended, [](const auto& entry) { return entry.second == 0; });
}

}  // namespace wherry
